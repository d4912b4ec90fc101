"""Lines that outlive every end of the process that writes them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from elevator.errors import RequestError
from elevator.study.records import FILE, Record, Records, packed, unpacked
from tests.elevator.study.conftest import there

RECORD = Record("k", "a", "embedded", "ein Fuchs — “rot”", 3, "c", "cpu", 1.5, 10, 0.25, {"flow": 1.5})


def test_what_is_added_is_read_again(tmp_path):
    records = Records(tmp_path)
    assert records.read() == {}
    others = [RECORD, replace(RECORD, seed=4), replace(RECORD, key="l", features="AAAA")]
    for record in others:
        records.add(record)
    assert list(records.read().values()) == others


def test_a_torn_line_is_cut_off_and_its_clip_made_again(tmp_path):
    records = Records(tmp_path)
    records.add(RECORD)
    whole = (tmp_path / FILE).read_bytes()
    for length in (1, len(whole) // 2, len(whole) - 1):
        (tmp_path / FILE).write_bytes(whole + whole[:length])
        assert list(records.read()) == [RECORD.clip]
        records.mend()
        assert (tmp_path / FILE).read_bytes() == whole
    (tmp_path / FILE).write_bytes(whole[:5])
    records.mend()
    assert (tmp_path / FILE).read_bytes() == b""
    records.add(RECORD)
    assert list(records.read().values()) == [RECORD]


def test_of_two_records_of_one_clip_the_first_counts(tmp_path):
    records = Records(tmp_path)
    records.add(RECORD)
    records.add(replace(RECORD, seconds=9))
    assert [record.seconds for record in records.read().values()] == [1.5]


@pytest.mark.parametrize("line", [b"{}", b"no JSON", b"[1, 2]", b'"text"'])
def test_a_line_that_is_no_record_is_named(tmp_path, line):
    records = Records(tmp_path)
    records.add(RECORD)
    with (tmp_path / FILE).open("ab") as file:
        file.write(line + b"\n")
    with pytest.raises(RequestError, match="Line 2 of"):
        records.read()


def test_features_come_back_as_they_were():
    features = np.random.default_rng(0).normal(size=(4, 128)).astype(np.float16)
    assert (unpacked(there(packed(features))) == features).all()
    assert packed(None) is None
