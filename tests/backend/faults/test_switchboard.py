"""The faults themselves: a switch that did nothing would let every test pass that relies on it."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backend.faults.pngs import is_whole, noise
from tests.backend.faults.switchboard import Switchboard, switchboard

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="objects are preloaded as on Linux")
AS_SERVER = ("-c", "import sys; exec(sys.argv[-1])", "-m", "backend", "serve")


def run(board: Switchboard, home: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Code in a process that the switchboard takes for a server."""
    return subprocess.run(
        [sys.executable, *AS_SERVER, code],
        env={**os.environ, **board.environment},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def board(home: Path, tmp_path: Path):
    home.mkdir()
    with switchboard(home, tmp_path) as board:
        yield board


WRITE = "import os; f = os.open({path!r}, os.O_CREAT | os.O_RDWR); os.write(f, bytes(10)); os.fsync(f); print('done')"


@pytest.mark.parametrize(("moment", "size"), [("before", 0), ("half", 5), ("after", 10)])
def test_a_write_is_the_last_call(board: Switchboard, home: Path, moment: str, size: int) -> None:
    board.kill("server", "write", 1, moment)  # type: ignore[arg-type]
    done = run(board, home, WRITE.format(path=str(home / "a")))
    assert done.returncode == -signal.SIGKILL
    assert board.befell("server", "write")
    assert (home / "a").stat().st_size == size
    again = run(board, home, WRITE.format(path=str(home / "b")))
    assert again.stdout == "done\n", "once"


def test_calls_are_counted_over_all_processes_and_logs_and_other_folders_not_at_all(
    board: Switchboard, home: Path, tmp_path: Path
) -> None:
    board.kill("server", "sync", 3, "before")
    for path in (home / "a", home / "a.log", tmp_path / "a", home / "b"):
        assert run(board, home, WRITE.format(path=str(path))).returncode == 0
    assert run(board, home, WRITE.format(path=str(home / "c"))).returncode == -signal.SIGKILL


CALLS = {
    "open": "open({path!r}, 'wb')",
    "read": "open({old!r}, 'rb').read()",
    "write": "open({path!r}, 'wb', buffering=0).write(b'a')",
    "sync": "os.fsync(os.open({path!r}, os.O_CREAT | os.O_WRONLY))",
    "rename": "os.replace({old!r}, {path!r})",
    "mkdir": "os.mkdir({path!r})",
    "unlink": "os.unlink({old!r})",
    "process": "import subprocess; subprocess.run(['true'])",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_call_fails_until_it_is_mended(board: Switchboard, home: Path, call: str) -> None:
    (home / "old").write_bytes(b"old")
    code = CALLS[call].format(path=str(home / "new"), old=str(home / "old"))
    told = f"import os\ntry:\n    {code}\nexcept OSError as error:\n    print(error.errno)"
    board.fail("worker", call, errno.EIO)  # type: ignore[arg-type]
    assert run(board, home, "print(1)").stdout == "1\n", "another role's"
    board.fail("server", call, errno.ENOSPC)  # type: ignore[arg-type]
    assert run(board, home, told).stdout == f"{errno.ENOSPC}\n"
    assert board.failed("server", call)  # type: ignore[arg-type]
    board.mend()
    assert run(board, home, told).stdout == ""


def test_no_thread_can_be_begun(board: Switchboard, home: Path) -> None:
    board.fail("server", "thread", errno.EAGAIN)
    done = run(board, home, "import threading; threading.Thread(target=print).start()")
    assert "can't start new thread" in done.stderr


def test_a_deleted_tree_counts_each_file(board: Switchboard, home: Path) -> None:
    """Python names them below an open folder."""
    (home / "tree").mkdir()
    for number in range(3):
        (home / "tree" / str(number)).touch()
    board.kill("server", "unlink", 2, "after")
    assert run(board, home, f"import shutil; shutil.rmtree({str(home / 'tree')!r})").returncode == -signal.SIGKILL
    assert len(list((home / "tree").iterdir())) == 1


def test_who_waits_goes_on_when_it_is_released(board: Switchboard, home: Path) -> None:
    board.stop_at("server", "write", 1, "needle")
    code = WRITE.format(path=str(home / "other")) + "; " + WRITE.format(path=str(home / "a needle"))
    with subprocess.Popen(
        [sys.executable, *AS_SERVER, code], env={**os.environ, **board.environment}, stdout=subprocess.PIPE, text=True
    ) as process:
        board.await_at("server", "write")
        assert (home / "a needle").stat().st_size == 0
        board.release("server", "write")
        assert process.communicate(timeout=60)[0] == "done\ndone\n"
    assert (home / "a needle").stat().st_size == 10


def test_a_picture_is_whole_to_its_last_byte() -> None:
    picture = noise(1, 16, 8)
    assert is_whole(picture, 16, 8)
    assert not is_whole(picture, 8, 16)
    assert not is_whole(picture + b"\0", 16, 8)
    for end in range(len(picture)):
        assert not is_whole(picture[:end], 16, 8)
    for place in range(8, len(picture), 7):
        spoiled = bytearray(picture)
        spoiled[place] ^= 1
        assert not is_whole(bytes(spoiled), 16, 8)
