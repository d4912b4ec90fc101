"""OpenCV says of a shortage of memory often only that there is no picture; what is said here is the reason."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

from elevator.pictures.encoding import encoded
from elevator.pictures.footage import decoded

SHORT = """
import resource, sys
import numpy as np
from elevator.pictures.encoding import encoded
from elevator.pictures.footage import decoded

what, file, spare = sys.argv[1:]
decoded(encoded(np.zeros((4, 4, 3), np.uint8)))  # whatever is taken once
with open(file, "rb") as taken:
    given = np.load(taken) if what == "encode" else taken.read()
with open("/proc/self/statm") as statm:
    now = int(statm.read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + int(spare), resource.RLIM_INFINITY))
try:
    print(encoded(given)[:4] if what == "encode" else decoded(given).shape)
except MemoryError as error:
    print("no memory:", error)
"""


def noise(height, width):
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits a process's memory so")
@pytest.mark.parametrize(
    ("what", "picture", "spare"),
    [
        ("decode", np.zeros((3000, 4000, 3), np.uint8), 12_000_000),
        ("decode", np.zeros((4, 1_000_000, 3), np.uint8), 13_000_000),
        ("encode", np.zeros((3000, 4000, 3), np.uint8), 12_000_000),
        ("encode", noise(1500, 2000), 10_000_000),
    ],
    ids=["none for the pixels", "none for a line beside them", "none to turn them round", "none for the file"],
)
def test_a_real_shortage_is_called_one(tmp_path, what, picture, spare):
    file = tmp_path / "given"
    with file.open("wb") as kept:
        if what == "encode":
            np.save(kept, picture)
        else:
            kept.write(encoded(picture))

    def said(spare):
        command = [sys.executable, "-c", SHORT, what, str(file), str(spare)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.stdout or done.stderr

    assert said(spare).startswith("no memory:")
    assert said(400_000_000).startswith(("b'\\x89PNG'", str(picture.shape)))


def test_what_is_no_picture_is_none_and_no_shortage():
    whole = encoded(np.zeros((4, 4, 3), np.uint8))
    start = whole.index(b"IDAT") - 4
    rubbish = b"\xff" * struct.unpack_from(">I", whole, start)[0]
    chunk = b"IDAT" + rubbish
    spoiled = whole[: start + 4] + chunk + struct.pack(">I", zlib.crc32(chunk)) + whole[start + 12 + len(rubbish) :]
    assert decoded(spoiled) is None
    assert decoded(b"") is None
    assert decoded(b"no picture") is None


@pytest.mark.parametrize(("code", "shortage"), [(cv2.Error.StsNoMem, True), (cv2.Error.StsBadArg, False)])
def test_opencvs_own_word_for_it_is_understood(monkeypatch, code, shortage):
    def refuses(*_):
        error = cv2.error("error")
        error.code = code
        raise error

    data = encoded(np.zeros((4, 4, 3), np.uint8))
    monkeypatch.setattr(cv2, "imdecode", refuses)
    if shortage:
        with pytest.raises(MemoryError):
            decoded(data)
    else:
        assert decoded(data) is None
