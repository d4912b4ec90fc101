"""Results are there whole or not at all, whatever is killed, full or forbidden."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.client.failures import cannot_write
from backend.failures import BackendError, cannot_keep
from backend.result_files import ResultWriter
from backend.server.results import FORGOTTEN, PARTIAL, ResultStore, to_drop
from elevator.pictures.clip_folder import frame_name
from shared_protocol.machine import files
from tests.backend.harness import ROOT

JOB, OTHER = "a" * 32, "b" * 32
KILLS = 30


@pytest.fixture
def store(tmp_path) -> ResultStore:
    return ResultStore(tmp_path / "results", lambda: 0.0)


def result(store: ResultStore, job: str = JOB, frames: int = 2) -> int:
    """A result of `frames` frames of 10 bytes."""
    writer = ResultWriter(store.partial(job))
    for index in range(frames):
        writer.write(frame_name(index), b"%010d" % index)
    return store.publish(job, json.dumps({"frames": frames}).encode())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_names_of_frames():
    assert [frame_name(index) for index in (0, 1, 9998, 9999)] == [
        "frame_0001.png",
        "frame_0002.png",
        "frame_9999.png",
        "frame_10000.png",
    ]


def test_from_partial_folder_to_result(store):
    assert not store.has(JOB)
    folder = store.partial(JOB)
    assert names(folder) == []
    writer = ResultWriter(folder)
    writer.write("frame_0001.png", b"first")
    writer.write("frame_0001.png", b"second")
    assert not store.has(JOB)
    assert list(store.found()) == []
    size = store.publish(JOB, b'{"frames": 1}')
    assert size == store.size(JOB) == len(b"second") + len(b'{"frames": 1}')
    assert store.has(JOB)
    assert names(store.folder(JOB)) == ["frame_0001.png", "result.json"]
    assert store.frame(JOB, 0) == b"second"
    assert list(store.found()) == [(JOB, b'{"frames": 1}')]
    assert names(store.folder(JOB).parent) == [JOB]
    with pytest.raises(FileNotFoundError):
        store.frame(JOB, 1)


def test_partial_folder_is_begun_anew(store):
    ResultWriter(store.partial(JOB)).write("frame_0001.png", b"of the first try")
    assert names(store.partial(JOB)) == []


def test_publishing_again_changes_nothing(store):
    size = result(store)
    assert store.publish(JOB, b"{}") == size
    # A second try of the same job, begun though the first was published.
    ResultWriter(store.partial(JOB)).write("frame_0001.png", b"another")
    assert store.publish(JOB, b"{}") == size
    assert store.frame(JOB, 0) == b"0000000000"
    assert names(store.folder(JOB).parent) == [JOB]


def test_nothing_to_publish(store):
    with pytest.raises(FileNotFoundError):
        store.publish(JOB, b"{}")
    assert list(store.found()) == []


def test_forgetting(store):
    result(store)
    result(store, OTHER)
    store.partial(JOB)
    store.forget(JOB)
    store.forget(JOB)
    assert not store.has(JOB)
    assert names(store.folder(JOB).parent) == [OTHER]
    with pytest.raises(FileNotFoundError):
        store.frame(JOB, 0)


@pytest.mark.parametrize("kind", ["file", "link to a folder", "link to nothing"])
def test_what_lies_where_a_partial_folder_belongs_is_taken_away(store, tmp_path, kind):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").touch()

    def lay(begin: str) -> None:
        path = store.folder(JOB).parent / f"{begin}{JOB}"
        if kind == "file":
            path.touch()
        else:
            path.symlink_to(elsewhere if kind == "link to a folder" else tmp_path / "nothing")

    lay(PARTIAL)
    folder = store.partial(JOB)
    assert folder.is_dir()
    assert not folder.is_symlink()
    for clear in (store.sweep, lambda: store.forget(JOB)):
        shutil.rmtree(folder, ignore_errors=True)
        lay(PARTIAL)
        lay(FORGOTTEN)
        clear()
        assert names(store.folder(JOB).parent) == []
    assert names(elsewhere) == ["precious"], "what a link leads to is left alone"


def test_what_somebody_has_put_beside_the_frames_goes_with_them(store):
    result(store)
    (store.folder(JOB) / "notes" / "more").mkdir(parents=True)
    (store.folder(JOB) / "notes" / "more" / "text").touch()
    store.forget(JOB)
    assert store.is_clear
    assert names(store.folder(JOB).parent) == []


def test_a_result_that_says_nothing_of_its_frames_is_whole(store):
    store.partial(JOB)
    store.publish(JOB, b"{}")
    assert list(store.found()) == [(JOB, b"{}")]


def test_half_forgotten_result_is_never_seen(store, monkeypatch):
    result(store)

    def killed(path):
        Path(path).rename(store.folder(JOB).parent / "gone")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            store.forget(JOB)
    assert not store.has(JOB)
    assert list(store.found()) == []
    again = ResultStore(store.folder(JOB).parent, lambda: 0.0)
    again.sweep()
    assert names(store.folder(JOB).parent) == ["gone"]


def test_sweep_spares_results(store):
    result(store)
    for job in (OTHER, "c" * 32):
        store.partial(job)
    store.sweep()
    assert names(store.folder(JOB).parent) == [JOB]


def test_found_passes_over_what_is_torn_or_foreign(store, tmp_path):
    result(store)
    root = store.folder(JOB).parent
    for number, done in enumerate([None, b"", b'{"frames": 2', b"[]", b'{"frames": 3}', b'{"frames": "x"}', b"\xff"]):
        folder = root / f"{number:032x}"
        folder.mkdir()
        (folder / frame_name(0)).write_bytes(b"")
        if done is not None:
            (folder / "result.json").write_bytes(done)
    (root / "notes.txt").write_text("of the user")
    shutil.copytree(store.folder(JOB), root / "a copy")
    (root / OTHER).symlink_to(store.folder(JOB))
    (root / ("e" * 32)).write_bytes(b"")
    assert [job for job, _ in store.found()] == [JOB]


@pytest.mark.parametrize("name", ["", "..", "../x", "A" * 32, "a" * 31, "a" * 33, f"{JOB}\n", "/etc"])
def test_only_names_of_jobs(store, name):
    for method in (store.partial, store.folder, store.has, store.forget, store.size):
        with pytest.raises(ValueError, match="32 hex digits"):
            method(name)
    with pytest.raises(ValueError, match="32 hex digits"):
        store.publish(name, b"{}")
    with pytest.raises(ValueError, match="32 hex digits"):
        store.frame(name, 0)


def test_only_the_owner_may_look(tmp_path):
    before = os.umask(0)
    try:
        store = ResultStore(tmp_path / "results")
        partial = store.partial(JOB)
        assert stat.S_IMODE(partial.stat().st_mode) == 0o700
        result(store)
    finally:
        os.umask(before)
    folders = [tmp_path / "results", store.folder(JOB)]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in store.folder(JOB).iterdir()} == {0o600}


# Retention --------------------------------------------------------------------------------------------------

results = st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=12)


@given(results=results, max_count=st.integers(0, 12), max_bytes=st.integers(0, 300))
def test_room_is_made_of_what_was_received(results, max_count, max_bytes):
    """results: (bytes, received), the oldest first."""
    named = [(str(number), size, received) for number, (size, received) in enumerate(results)]
    received = [(job, size) for job, size, has in named if has]
    count, size = len(named), sum(size for _, size, _ in named)
    dropped = to_drop(received, count, size, max_count=max_count, max_bytes=max_bytes)
    # The oldest of the received ones, in their order, and no other.
    assert list(dropped) == [job for job, _ in received[: len(dropped)]]

    def fits(drops: int) -> bool:
        left = size - sum(size for _, size in received[:drops])
        return count - drops <= max_count and left <= max_bytes

    assert fits(len(dropped)) or len(dropped) == len(received)
    assert not any(fits(fewer) for fewer in range(len(dropped)))


# Killed -----------------------------------------------------------------------------------------------------

WRITES = """
import json, sys, hashlib
from pathlib import Path
from backend.result_files import ResultWriter
from backend.server.results import ResultStore
from elevator.pictures.clip_folder import frame_name
from shared_protocol.machine import files
root, seed = Path(sys.argv[1]), int(sys.argv[2])
store = ResultStore(root)
print(flush=True)
for number in range(10**6):
    job = f"{seed:016x}{number:016x}"
    writer = ResultWriter(store.partial(job))
    frames = [b"%d/%d " % (number, index) * (500 * (index + 1)) for index in range(3)]
    for index, frame in enumerate(frames):
        writer.write(frame_name(index), frame)
    hashes = [hashlib.sha256(frame).hexdigest() for frame in frames]
    store.publish(job, json.dumps({"frames": 3, "hashes": hashes}).encode())
    print(flush=True)
    if number % 3 == 2:
        store.forget(f"{seed:016x}{number - 1:016x}")
"""


def test_killed_at_any_moment_no_result_is_torn(tmp_path):
    """SIGKILL in the midst of writing, publishing and forgetting, again and again in the same folder."""
    root = tmp_path / "results"
    moments = random.Random(6)
    seen, swept = 0, 0
    for seed in range(KILLS):
        command = [sys.executable, "-c", WRITES, str(root), str(seed)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for _ in range(1 + moments.randrange(4)):  # so many results, however slow the machine is
                process.stdout.readline()
            time.sleep(moments.uniform(0, 0.02))
            process.kill()
            assert process.wait() == -signal.SIGKILL
        store = ResultStore(root, lambda: 0.0)
        published = {name for name in names(root) if not name.startswith(".")}
        found = dict(store.found())
        assert found.keys() == published  # so none is torn
        for job, done in found.items():
            for index, expected in enumerate(json.loads(done)["hashes"]):
                assert hashlib.sha256(store.frame(job, index)).hexdigest() == expected
            assert names(store.folder(job)) == ["frame_0001.png", "frame_0002.png", "frame_0003.png", "result.json"]
        swept += len(names(root)) - len(published)
        store.sweep()
        assert set(names(root)) == published
        seen += len(published)
        for job in published:
            store.forget(job)
    assert seen > KILLS / 2  # else nothing was tried
    assert swept > KILLS / 4


# Full, forbidden --------------------------------------------------------------------------------------------

FILLS = """
import errno, sys
from pathlib import Path
from backend.result_files import ResultWriter
from backend.server.results import ResultStore
from elevator.pictures.clip_folder import frame_name
from shared_protocol.machine import files
from backend.failures import cannot_keep
store = ResultStore(Path(sys.argv[1]), lambda: 0.0)
job = "a" * 32
done = 0
writer = ResultWriter(store.partial(job))
for index in range(1000):
    try:
        writer.write(frame_name(index), bytes(50_000))
    except OSError as error:
        print(errno.errorcode[error.errno], cannot_keep(store.folder(job), error).code, index)
        break
assert len(list((Path(sys.argv[1]) / f".partial-{job}").iterdir())) == index  # nothing half-written
assert list(store.found()) == [] and not store.has(job)
store.forget(job)
writer = ResultWriter(store.partial(job))  # there is room again
writer.write(frame_name(0), bytes(1000))
store.publish(job, b'{"frames": 1}')
assert store.has(job)
"""


def _may_mount() -> bool:
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="a small disk needs the right to mount; the limit of files is tested")
def test_full_disk(tmp_path):
    script = 'mount -t tmpfs -o size=1m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    command = ["unshare", "-m", "sh", "-c", script, "sh", str(tmp_path), sys.executable, FILLS]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    said, code, index = run.stdout.split()
    assert (said, code) == ("ENOSPC", "disk_full")
    assert 5 < int(index) < 21
    assert names(tmp_path) == []  # the small disk is gone


def test_limit_of_files(tmp_path):
    command = [sys.executable, "-c", FILLS.replace("range(1000)", "range(3)").replace("50_000", "50_000 * index")]

    import resource  # not on Windows

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    run = subprocess.run(
        [*command, str(tmp_path / "r")], cwd=ROOT, capture_output=True, text=True, check=False, preexec_fn=limit
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == ["EFBIG", "disk_full", "2"]


FORBIDDEN = """
import os, sys
from pathlib import Path
from backend.result_files import ResultWriter
from backend.server.results import ResultStore
from elevator.pictures.clip_folder import frame_name
from shared_protocol.machine import files
from backend.failures import cannot_keep
root = Path(".")  # no way down to it is needed
store, job, nobody = ResultStore(root), "a" * 32, 65534
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(nobody)
    os.setuid(nobody)
for act in (
    lambda: store.partial("b" * 32),
    lambda: store.publish(job, b"{}"),
    lambda: ResultWriter(root / f".partial-{job}").write(frame_name(0), b"x"),
    lambda: store.forget("c" * 32),
):
    try:
        act()
    except OSError as error:
        failure = cannot_keep(root, error)
        print(failure.code, "|", failure.sentence)
    else:
        sys.exit("was done")
"""


def test_read_only_folder(tmp_path):
    """As another user, because nothing is forbidden to root."""
    root = tmp_path / "results"
    store = ResultStore(root, lambda: 0.0)
    store.partial(JOB)
    result(store, "c" * 32)
    for path in (root, *root.iterdir()):
        path.chmod(0o555)
    run = subprocess.run(
        [sys.executable, "-c", FORBIDDEN],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    for path in (root, *root.iterdir()):
        path.chmod(0o755)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) == 4
    assert {line.split(" | ")[0] for line in lines} == {"results_unwritable"}
    assert all("ermission denied" in line for line in lines)
    assert store.has("c" * 32)


@pytest.mark.parametrize(
    ("number", "ours", "users"),
    [
        (errno.ENOSPC, "disk_full", "disk_full"),
        (errno.EDQUOT, "disk_full", "disk_full"),
        (errno.EFBIG, "disk_full", "disk_full"),
        (errno.EROFS, "results_unwritable", "folder_unwritable"),
        (errno.EACCES, "results_unwritable", "folder_unwritable"),
        (errno.EIO, "results_unwritable", "folder_unwritable"),
    ],
)
def test_what_is_said(tmp_path, number, ours, users):
    error = OSError(number, os.strerror(number))
    kept, written = cannot_keep(tmp_path, error), cannot_write(tmp_path, error)
    assert (kept.code, written.code) == (ours, users)
    assert all(isinstance(each, BackendError) and each.sentence.endswith(".") for each in (kept, written))


# On the disk before it is said ------------------------------------------------------------------------------


def test_everything_is_synced_before_it_gets_its_name(store, monkeypatch):
    """What kill -9 cannot show and a power cut would."""
    done: list[str] = []
    paths: dict[int, str] = {}
    real = {name: getattr(os, name) for name in ("open", "fsync", "replace", "rename")}

    def opened(path, flags, *more, **keywords):
        descriptor = real["open"](path, flags, *more, **keywords)
        paths[descriptor] = Path(path).name
        return descriptor

    def synced(descriptor):
        done.append(f"sync {re.sub(r'[0-9a-f]{32}(?=.part)', '…', paths[descriptor])}")
        real["fsync"](descriptor)

    def renamed(old, new, **keywords):
        done.append(f"name {Path(new).name}")
        real["rename"](old, new, **keywords)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(os, "rename", renamed)
    result(store, frames=1)
    assert done == [
        "sync .frame_0001.png.….part",
        "name frame_0001.png",
        "sync .result.json.….part",
        "name result.json",
        f"sync .partial-{JOB}",
        f"name {JOB}",
        "sync results",
    ]


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    files.write(tmp_path / "a", b"old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        files.write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert names(tmp_path) == ["a", "mon été"] or names(tmp_path) == ["a"]
