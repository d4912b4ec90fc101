"""Pictures from clients: each once, whole, what it says it is, and under limits."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import stat
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.server.uploads import IDLE_SECONDS, MAX_OF_KEY, MAX_PARTIAL, OLD_SECONDS, SHARE, UploadRefused, Uploads
from shared_protocol.messages import MAX_UPLOAD_BYTES

HOUR = 3600.0
PLENTY = 1 << 30


def picture(seed: int = 0, length: int = 300, **header: int) -> bytes:
    """`length` bytes that begin like a PNG file."""
    fields = {"width": 64, "height": 48, "depth": 8, "colours": 2, "compression": 0, "filters": 0, "interlace": 0}
    named = b"IHDR" + struct.pack(">II5B", *(fields | header).values())
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + named + struct.pack(">I", zlib.crc32(named))
    return start + random.Random(seed).randbytes(length - len(start))


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def on_disk(root: Path, name: str, sender: str = "") -> int:
    """Bytes of a picture on the disk: of all of it, or of what `sender` has sent so far."""
    whole, part = root / f"{name}.png", root / f".partial-{name}-{sha(sender.encode())[:16]}"
    return next((path.stat().st_size for path in (whole, part) if path.exists()), 0)


def send(uploads: Uploads, data: bytes, needed: tuple[str, ...] = (), sender: str = "") -> str:
    """Offer and send a picture in two parts."""
    name = sha(data)
    there = uploads.offer(name, len(data), needed, sender)
    if there < len(data):
        half = max(there, len(data) // 2)
        uploads.append(name, there, data[there:half], sender)
        assert uploads.append(name, half, data[half:], sender) == len(data)
    return name


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "uploads"


@pytest.fixture
def uploads(root: Path) -> Uploads:
    return Uploads(root, PLENTY)


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


# Whole ------------------------------------------------------------------------------------------------------


def test_a_real_picture_in_parts(uploads, root):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    data = cv2.imencode(".png", pixels)[1].tobytes()
    name = sha(data)
    assert uploads.path(name) is None
    assert uploads.offer(name, len(data)) == 0
    assert uploads.append(name, 0, memoryview(data)[:100]) == 100
    assert on_disk(root, name) == 100
    assert uploads.offer(name, len(data)) == 100
    assert uploads.path(name) is None
    assert uploads.append(name, 100, memoryview(data)[100:]) == len(data)
    assert on_disk(root, name) == uploads.offer(name, len(data)) == len(data)
    path = uploads.path(name)
    assert path == root / f"{name}.png"
    assert np.array_equal(np.asarray(cv2.imread(str(path))), pixels)
    assert names(root) == [f"{name}.png"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(root.stat().st_mode) == 0o700
    # Sent again, all of it or a part: nothing changes.
    assert uploads.append(name, 0, data) == len(data)
    assert uploads.append(name, 7, b"x") == len(data)
    assert path.read_bytes() == data


files = st.builds(picture, st.integers(0, 5), st.integers(33, 400))
SLOW = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@SLOW
@given(
    sent=st.lists(st.tuples(files, st.integers(0, 2)), min_size=1, max_size=6),
    moves=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 120), st.sampled_from([0, 0, 0, 0, -7, 1, 50])), max_size=60
    ),
    restart=st.integers(0, 60),
)
def test_clients_in_any_order(tmp_path_factory, sent, moves, restart):
    """Several clients send pictures, some the same, in parts of any length, at right and wrong offsets, with a restart.

    sent: (picture, sender). moves: (which of these, bytes, mistake of the offset).
    """
    root = tmp_path_factory.mktemp("uploads")
    uploads = Uploads(root, PLENTY)
    complete: set[str] = set()
    progress: dict[tuple[str, int], int] = {}
    for data, sender in sent:
        uploads.offer(sha(data), len(data), (), str(sender))
    for number, (which, length, mistake) in enumerate(moves):
        if number == restart:
            uploads = Uploads(root, PLENTY)
            for data, sender in sent:
                uploads.offer(sha(data), len(data), (), str(sender))
        data, sender = sent[which % len(sent)]
        name = sha(data)
        expected = len(data) if name in complete else progress.get((name, sender), 0)
        assert on_disk(root, name, str(sender)) == expected
        offset = max(expected + mistake, 0)
        there = uploads.append(name, offset, data[offset : offset + length], str(sender))
        if offset == expected and name not in complete:
            expected = min(offset + length, len(data))
            progress[name, sender] = expected
            if expected == len(data):
                complete.add(name)
        assert there == expected
    for data, _ in sent:
        assert (uploads.path(sha(data)) is not None) == (sha(data) in complete)
    for data, sender in sent:
        there = uploads.offer(sha(data), len(data), (), str(sender))
        assert uploads.append(sha(data), there, data[there:], str(sender)) == len(data)
    # Each once, and nothing else.
    assert names(root) == sorted({f"{sha(data)}.png" for data, _ in sent})
    assert all(sha(path.read_bytes()) == path.stem for path in root.iterdir())


def test_one_keys_unfinished_uploads_hinder_no_other_key(tmp_path: Path) -> None:
    clock = Clock()
    uploads = Uploads(tmp_path / "uploads", 64 * 400, clock)
    fits = 64 * 400 // SHARE // 300
    for number in range(fits):
        uploads.offer(sha(b"%d" % number), 300, (), "busy", whose="busy")
    with pytest.raises(UploadRefused, match="too many others"):
        uploads.offer(sha(b"one more"), 300, (), "busy", whose="busy")
    data = picture(1, length=300)
    uploads.offer(sha(data), len(data), (), "calm", whose="calm")
    assert uploads.append(sha(data), 0, data, "calm") == len(data)


def test_a_senders_unfinished_uploads_hinder_no_other_sender(tmp_path: Path) -> None:
    uploads = Uploads(tmp_path / "uploads", 1 << 30, Clock())
    for number in range(MAX_PARTIAL):
        uploads.offer(sha(b"%d" % number), 300, (), "busy", whose="one key")
    with pytest.raises(UploadRefused, match="too many others"):
        uploads.offer(sha(b"another"), 300, (), "busy", whose="one key")
    assert uploads.offer(sha(b"another"), 300, (), "calm", whose="one key") == 0
    for number in range(MAX_PARTIAL + 1, MAX_OF_KEY):
        uploads.offer(sha(b"%d" % number), 300, (), str(number), whose="one key")
    with pytest.raises(UploadRefused, match="too many others"):
        uploads.offer(sha(b"one more"), 300, (), "newcomer", whose="one key")


def test_a_clock_that_is_set_back_keeps_no_upload_for_ever(tmp_path: Path) -> None:
    clock = Clock()
    uploads = Uploads(tmp_path / "uploads", PLENTY, clock)
    for number in range(MAX_PARTIAL):
        uploads.offer(sha(b"%d" % number), 300)
    clock.now -= 365 * 86_400
    with pytest.raises(UploadRefused):
        uploads.offer(sha(b"another"), 300)
    clock.now += IDLE_SECONDS + 1
    assert uploads.offer(sha(b"another"), 300) == 0


# Lies -------------------------------------------------------------------------------------------------------


@SLOW
@given(data=st.binary(min_size=1, max_size=200) | files, name=st.binary().map(sha), size=st.integers(1, 400))
def test_lies_leave_nothing(tmp_path_factory, data, name, size):
    root = tmp_path_factory.mktemp("uploads")
    uploads = Uploads(root, PLENTY)
    uploads.offer(name, size)
    refused = None
    try:
        there = uploads.append(name, 0, data)
    except UploadRefused as error:
        refused = error
    if sha(data) == name and size == len(data) and data.startswith(b"\x89PNG"):
        assert refused is None
        assert uploads.path(name) is not None
    elif len(data) >= size:
        assert refused is not None
        assert names(root) == []
        assert uploads.path(name) is None
        assert refused.code == "upload_refused"
        assert refused.sentence.startswith("The picture was not taken: ")
    else:
        assert there == len(data)
        assert uploads.path(name) is None


def test_a_liar_does_not_spoil_what_another_sends(uploads, root):
    data = picture()
    name = sha(data)
    uploads.offer(name, len(data), (), "honest")
    uploads.append(name, 0, data[:200], "honest")
    for lie in (data[:-1] + b"!", data + b"!", b"no picture"):
        uploads.offer(name, min(len(lie), len(data)), (), "liar")
        with pytest.raises(UploadRefused):
            uploads.append(name, 0, lie, "liar")
    uploads.offer(name, 20, (), "liar")
    uploads.append(name, 0, b"never finished", "liar")
    assert uploads.append(name, 200, data[200:], "honest") == len(data)
    assert names(root) == [f"{name}.png"]
    assert uploads.append(name, 14, b"and on", "liar") == len(data)
    assert (root / f"{name}.png").read_bytes() == data


@pytest.mark.parametrize("sender", ["../../x", "a/b", "", "\0", "CON", "x" * 10_000, "é"])
def test_a_sender_is_no_path(uploads, root, sender):
    data = picture()
    uploads.offer(sha(data), len(data), (), sender)
    (name,) = names(root)
    assert name.startswith(f".partial-{sha(data)}-")
    send(uploads, data, (), sender)
    assert names(root) == [f"{sha(data)}.png"]


@pytest.mark.parametrize("name", ["", "a", "A" * 64, "../" + "a" * 61, "a" * 64 + "\n", "/etc/passwd", "a" * 65])
def test_only_hashes(uploads, root, name):
    calls = (
        uploads.path,
        lambda n: uploads.offer(n, 5),
        lambda n: uploads.append(n, 0, b""),
    )
    for call in calls:
        with pytest.raises(ValueError, match="64 hex digits"):
            call(name)
    assert names(root) == []


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GIF89a" + bytes(100), "no PNG file"),
        (picture()[:32], "no PNG file"),
        (picture(width=0), "0 × 48 pixels"),
        (picture(height=8193), "64 × 8193 pixels"),
        (picture(width=2**32 - 1), "8192 a side"),
        (picture(depth=16), "16 bits"),
        (picture(depth=1, colours=0), "1 bits"),
        (picture(colours=5), "damaged"),
        (picture(compression=1), "damaged"),
        (picture(filters=1), "damaged"),
        (picture(interlace=2), "damaged"),
        (picture()[:20] + b"\xff" + picture()[21:], "damaged"),
        (picture()[:8] + b"\0\0\0\x0eIHDR" + picture()[16:], "no PNG file"),
    ],
)
def test_what_is_no_picture(uploads, root, data, why):
    with pytest.raises(UploadRefused, match=why):
        send(uploads, data)
    assert names(root) == []


def test_largest_sides(uploads):
    assert uploads.path(send(uploads, picture(width=8192, height=1, interlace=1, colours=6))) is not None


def test_offered_with_another_size_when_it_is_there(uploads, root):
    name = send(uploads, picture())
    with pytest.raises(UploadRefused, match="another size"):
        uploads.offer(name, 299)
    assert names(root) == [f"{name}.png"]


def test_offered_anew_with_another_size(uploads):
    data = picture()
    name = sha(data)
    uploads.offer(name, 400)
    uploads.append(name, 0, data[:250])
    assert uploads.offer(name, 300) == 250  # may be its beginning
    assert uploads.offer(name, 200) == 0  # cannot
    send(uploads, data)


def test_not_offered(uploads, root):
    with pytest.raises(UploadRefused, match="not offered"):
        uploads.append(sha(b""), 0, b"x")
    data = picture()
    uploads.offer(sha(data), 300)
    uploads.append(sha(data), 0, data[:100])
    again = Uploads(root, PLENTY)
    with pytest.raises(UploadRefused, match="not offered"):  # its size is not known any more
        again.append(sha(data), 100, data[100:])
    assert again.offer(sha(data), 300) == 100
    assert again.append(sha(data), 100, data[100:]) == 300


def test_on_the_disk_before_it_has_its_name(uploads, root, monkeypatch):
    """What a power cut would show."""
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor):
        done.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def named(old, new):
        done.append("name")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    send(uploads, picture())
    assert done == ["sync file", "name", "sync folder"]


def test_killed_before_the_last_check(uploads, root):
    """All bytes are there, but nobody has looked at them."""
    data = picture()
    name = sha(data)
    uploads.offer(name, 300)
    uploads.append(name, 0, data[:200])
    (partial,) = root.iterdir()
    partial.write_bytes(data)
    again = Uploads(root, PLENTY)
    assert again.path(name) is None
    assert again.offer(name, 300) == 0
    assert again.append(name, 0, data) == 300
    assert names(root) == [f"{name}.png"]


# Limits -----------------------------------------------------------------------------------------------------


def test_one_file(uploads, root):
    for size in (0, -1, MAX_UPLOAD_BYTES + 1):
        with pytest.raises(UploadRefused, match="are the most"):
            uploads.offer(sha(b""), size)
    assert uploads.offer(sha(b""), MAX_UPLOAD_BYTES) == 0


def test_the_least_recently_used_goes_first(root):
    clock = Clock()
    uploads = Uploads(root, 1000, clock)
    first, second, third = (send(uploads, picture(seed)) for seed in range(3))
    uploads.path(first)
    fourth = send(uploads, picture(3))
    assert names(root) == sorted(f"{name}.png" for name in (first, third, fourth))
    assert uploads.path(second) is None
    # A new start knows the order too.
    for name in (third, fourth, first):
        clock.now += HOUR
        uploads.path(name)
    uploads = Uploads(root, 1000, clock)
    fifth = send(uploads, picture(4), needed=(third,))
    assert names(root) == sorted(f"{name}.png" for name in (third, first, fifth))


def test_what_is_needed_stays(root):
    uploads = Uploads(root, 1000)
    kept = tuple(send(uploads, picture(seed)) for seed in range(3))
    with pytest.raises(UploadRefused, match="unfinished jobs"):
        uploads.offer(sha(b""), 101, kept)
    with pytest.raises(UploadRefused, match="unfinished jobs"):
        uploads.offer(sha(b""), 401, kept[1:])  # and nothing is deleted in vain
    assert len(names(root)) == 3
    assert uploads.offer(sha(b""), 400, kept[1:]) == 0
    assert uploads.path(kept[0]) is None
    assert all(uploads.path(name) for name in kept[1:])


@pytest.mark.slow
@SLOW
@given(
    steps=st.lists(st.tuples(st.integers(0, 30), st.integers(33, 500), st.booleans(), st.booleans()), max_size=25),
)
def test_never_more_than_allowed(tmp_path_factory, steps):
    """steps: (seed, bytes, whether it is sent to its end, whether it is needed from then on)."""
    root = tmp_path_factory.mktemp("uploads")
    uploads = Uploads(root, 1200)
    needed: set[str] = set()
    for seed, length, finished, kept in steps:
        data = picture(seed, length)
        try:
            there = uploads.offer(sha(data), len(data), needed)
        except UploadRefused:
            assert all(uploads.path(name) for name in needed)
            continue
        uploads.append(sha(data), there, data[there:] if finished else data[there : there + 10])
        if kept and uploads.path(sha(data)):
            needed.add(sha(data))
        assert sum(path.stat().st_size for path in root.iterdir()) <= 1200
        assert all(uploads.path(name) for name in needed)


def test_what_was_announced_has_its_room(root):
    uploads = Uploads(root, 1000)
    uploads.offer(sha(b"1"), 600)
    with pytest.raises(UploadRefused):
        uploads.offer(sha(b"2"), 401)
    assert uploads.offer(sha(b"2"), 400) == 0
    assert uploads.offer(sha(b"1"), 600) == 0  # the same again needs no more


def test_uploads_under_way_at_once(root):
    clock = Clock()
    uploads = Uploads(root, PLENTY, clock)
    for number in range(MAX_PARTIAL):
        uploads.offer(sha(b"%d" % number), 100)
    clock.now += IDLE_SECONDS - 1
    with pytest.raises(UploadRefused, match="too many"):
        uploads.offer(sha(b"more"), 100)
    uploads.append(sha(b"0"), 0, b"x")
    uploads.offer(sha(b"1"), 100)
    clock.now += 2
    assert uploads.offer(sha(b"more"), 100) == 0  # the idle ones give their places
    assert {name.split("-")[1] for name in names(root)} == {sha(b"0"), sha(b"1"), sha(b"more")}
    assert on_disk(root, sha(b"0")) == 1


def test_idle_uploads_give_their_room(root):
    clock = Clock()
    uploads = Uploads(root, 1000, clock)
    uploads.offer(sha(b"1"), 900)
    clock.now += IDLE_SECONDS
    with pytest.raises(UploadRefused, match="no room"):
        uploads.offer(sha(b"2"), 101)
    clock.now += 1
    assert uploads.offer(sha(b"2"), 101) == 0, "one byte too many is too many"
    assert len(names(root)) == 1


def test_old_parts_are_swept_at_start(root):
    uploads = Uploads(root, PLENTY)
    whole = send(uploads, picture())
    (root / "notes.txt").write_text("of the user")
    for part in (b"old", b"new"):
        uploads.offer(sha(part), 100)
        uploads.append(sha(part), 0, b"12345")
    (old,) = root.glob(f".partial-{sha(b'old')}-*")
    before = old.stat().st_mtime - OLD_SECONDS - 10
    for path in (old, root / f"{whole}.png"):
        os.utime(path, (before, before))
    uploads = Uploads(root, PLENTY)
    assert not old.exists()
    assert uploads.offer(sha(b"new"), 100) == on_disk(root, sha(b"new")) == 5
    assert uploads.path(whole) is not None
    assert (root / "notes.txt").exists()


def test_a_picture_that_somebody_deleted_can_be_sent_again(uploads, root):
    name = send(uploads, picture())
    (root / f"{name}.png").unlink()
    assert uploads.path(name) is None
    assert send(uploads, picture()) == name


def test_full_disk_half_way(uploads, root, monkeypatch):
    """A part of which only some bytes could be written is sent again from its start."""
    data = picture()
    name = sha(data)
    uploads.offer(name, len(data))
    uploads.append(name, 0, data[:100])
    (partial,) = root.iterdir()
    partial.write_bytes(data[:100] + data[100:150])  # what such a write leaves
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(OSError, match="full"):
            uploads.append(name, 100, data[100:])
    assert uploads.path(name) is None
    assert uploads.offer(name, len(data)) == 100
    assert uploads.append(name, 100, data[100:]) == len(data)
    assert (root / f"{name}.png").read_bytes() == data
