"""`service`: with a `systemctl` that only notes what it is told, and with a real systemd where one can be had."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest

from backend.__main__ import _parser
from backend.cli import service, service_managers, units
from backend.cli.service import ALWAYS, service_of
from backend.cli.service_managers import Launchd, Systemd, TaskScheduler
from backend.cli.units import LAUNCHD_LABEL, SYSTEMD_NAME, TASK_NAME
from backend.server.keys import KeyPair
from backend.server.only_one import only_one
from shared_protocol import connection
from shared_protocol.errors import ConnectionFileError
from shared_protocol.machine import places
from tests.backend.cli.test_units import settings, started, words_of
from tests.backend.commands import Call, caller
from tests.backend.harness import ROOT, until

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="its stand-ins are scripts for sh"),
    pytest.mark.process,
]

NOTES = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
    *" show "*) [ -z "$NO_BUS" ] || { echo "Failed to connect to bus: No medium found" >&2; exit 1; } ;;
    *is-active*) echo "${ACTIVE:-active}"; [ "${ACTIVE:-active}" = active ] ;;
    *is-enabled*) echo enabled ;;
    *Linger*) echo "Linger=${LINGER:-no}" ;;
    *restart*|*bootstrap*|*/Run*) [ -z "$FAILS" ] || { echo "Job failed: it is broken." >&2; exit 1; } ;;
    /Query*) echo '"Name","N/A","Running"' ;;
    print*) echo "    state = running" ;;
    *) : ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the system's commands, which are all ours here, note how they were called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("systemctl", "loginctl", "launchctl", "schtasks"):
        (folder / name).write_text(NOTES)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("HOME", str(tmp_path / "house"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "house").mkdir()
    (tmp_path / "calls").touch()
    return tmp_path / "calls"


@pytest.fixture
def call(calls: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    return caller(capsys)


def unit_file() -> Path:
    return Path.home() / ".config" / "systemd" / "user" / SYSTEMD_NAME


linux = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")


@linux
def test_install_writes_enables_and_starts(call: Call, calls: Path, home: Path) -> None:
    done = call("service", "install", "--fake", "--keep", "7")
    assert (done.code, done.err) == (0, "")
    unit = unit_file().read_text(encoding="utf-8")
    assert started(unit) == (sys.executable, *ALWAYS, "--fake", "--keep=7")
    assert {"--stay", "--wait"} < set(ALWAYS)
    assert settings(unit)["WorkingDirectory"] == str(ROOT)
    assert words_of(settings(unit)["Environment"]) == [f"ELEVATOR_HOME={home}"]
    assert [line.removeprefix("systemctl --user ") for line in calls.read_text().splitlines()] == [
        "show --property=Version",
        "daemon-reload",
        f"enable {SYSTEMD_NAME}",
        f"restart {SYSTEMD_NAME}",
        f"loginctl show-user {os.getuid()} --property=Linger",
    ]
    for said in (str(unit_file()), "loginctl enable-linger", f"systemctl --user status {SYSTEMD_NAME}"):
        assert said in done.out
    assert str(places.log_file()) in done.out


@linux
def test_who_lingers_is_not_told_to(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LINGER", "yes")
    assert "enable-linger" not in call("service", "install").out


@linux
def test_where_no_systemd_runs_it_says_so_and_writes_nothing(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_BUS", "1")
    done = call("service", "install")
    assert done.code == 1
    assert done.err.startswith("Nothing here starts services for this user: Failed to connect to bus: No medium found.")
    assert "loginctl enable-linger" in done.err
    assert "serve --stay" in done.err
    assert not list(Path.home().iterdir())


@linux
def test_where_there_is_no_systemctl_it_says_so(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    done = call("service", "install")
    assert done.code == 1
    assert "there is no systemctl here" in done.err
    assert not list(Path.home().iterdir())


@linux
def test_what_systemd_refuses_is_said(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "1")
    done = call("service", "install")
    assert done.code == 1
    assert f'"systemctl --user restart {SYSTEMD_NAME}": Job failed: it is broken.' in done.err


@linux
def test_remove_stops_and_deletes(call: Call, calls: Path) -> None:
    assert "There is no service" in call("service", "remove").out
    assert not calls.read_text()
    call("service", "install")
    calls.write_text("")
    done = call("service", "remove")
    assert done.code == 0
    assert not unit_file().exists()
    assert f"systemctl --user disable --now {SYSTEMD_NAME}" in calls.read_text()
    assert calls.read_text().endswith("systemctl --user daemon-reload\n")
    assert "There is no service" in call("service", "remove").out


@linux
def test_remove_where_no_systemd_runs_any_more(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    call("service", "install")
    link = unit_file().parent / "default.target.wants" / SYSTEMD_NAME
    link.parent.mkdir()
    link.symlink_to(unit_file())
    monkeypatch.setenv("NO_BUS", "1")
    assert call("service", "remove").code == 0
    assert not unit_file().exists()
    assert not link.is_symlink()


@linux
def test_status_says_how_it_is(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    done = call("service", "status")
    assert done.code == 3
    assert "There is no service" in done.out
    call("service", "install")
    done = call("service", "status")
    assert done.code == 0
    assert "runs (active, enabled)" in done.out
    monkeypatch.setenv("ACTIVE", "failed")
    done = call("service", "status")
    assert done.code == 3
    assert "does not run" in done.out
    assert f"systemctl --user status {SYSTEMD_NAME}" in done.out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--fake", "--device", "cuda:0,cuda:1", "--grace", "3.5", "--idle", "7", "--silence", "1e3"],
        ["--model-memory", "2.5", "--keep", "3", "--keep-gb", "0.25", "--log-prompts", "--bind", "[::1]:5577"],
        ["--authorize", "a key.pub", "--authorize", "-second.pub", "--bind", "*:1"],
    ],
)
def test_the_service_has_the_options_that_install_was_given(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read of them is written, and read by `serve`, the same."""
    monkeypatch.chdir(tmp_path)
    parser = _parser()
    given = vars(parser.parse_args(["service", "install", *words]))
    install = given["run"].args[0]
    written = install.words_of(parser.parse_args(["service", "install", *words]))
    read = vars(parser.parse_args([*ALWAYS[2:], *written]))
    assert read["stay"]
    assert read["wait"]
    shared = given.keys() & read.keys() - {"command", "run"}
    assert len(shared) >= 11
    assert {name: read[name] for name in shared} == {name: given[name] for name in shared}
    known = {name for name in vars(parser.parse_args(["serve"])) if name not in ("command", "run", "stay", "wait")}
    assert known == shared, "an option of serve that install does not take"


@linux
def test_key_files_are_looked_at_and_named_by_their_whole_paths(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "the key file" in call("service", "install", "--authorize", "studio.pub").err
    assert not unit_file().exists()
    (tmp_path / "studio.pub").write_text(KeyPair.fresh().public)
    (tmp_path / "studio.pub").chmod(0o644)
    assert call("service", "install", "--authorize", "studio.pub").code == 0
    assert started(unit_file().read_text(encoding="utf-8"))[-1] == f"--authorize={tmp_path / 'studio.pub'}"


@linux
def test_a_name_that_no_unit_can_hold_is_said(call: Call, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("ELEVATOR_HOME", str(home / "two\nlines"))
    done = call("service", "install")
    assert done.code == 1
    assert "cannot be written" in done.err
    assert not unit_file().exists()


def test_each_system_has_its_manager(monkeypatch: pytest.MonkeyPatch) -> None:
    for platform, kind in (("linux", Systemd), ("darwin", Launchd), ("win32", TaskScheduler)):
        monkeypatch.setattr(sys, "platform", platform)
        assert isinstance(service_managers.manager_here(), kind)


def test_on_windows_the_service_has_no_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    python = tmp_path / "python.exe"
    monkeypatch.setattr(sys, "executable", str(python))
    (tmp_path / "pythonw.exe").touch()
    assert service_of([]).program == str(python), "elsewhere there is none"
    monkeypatch.setattr(sys, "platform", "win32")
    assert service_of([]).program == str(tmp_path / "pythonw.exe")
    (tmp_path / "pythonw.exe").unlink()
    assert service_of([]).program == str(python)


@linux
def test_where_nobody_can_say_whether_one_lingers_nothing_is_said_of_it(
    call: Call, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = calls.parent / "bin"
    (commands / "loginctl").write_text("#!/bin/sh\nexit 1\n")
    assert "enable-linger" not in call("service", "install").out
    (commands / "loginctl").unlink()
    monkeypatch.setenv("PATH", f"{commands}:/nowhere")
    for name in ("basename", "systemctl"):
        (commands / name).write_text("#!/bin/sh\necho x\n")
        (commands / name).chmod(0o755)
    done = call("service", "install")
    assert (done.code, "enable-linger" in done.out) == (0, False)


@linux
def test_a_command_of_the_system_that_does_not_end_or_cannot_be_run_is_said(
    call: Call, calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    systemctl = calls.parent / "bin" / "systemctl"
    said = '"systemctl --user show --property=Version"'
    systemctl.write_text("no program")
    with monkeypatch.context() as alone:
        alone.setenv("PATH", str(systemctl.parent))
        done = call("service", "install")
    assert (done.code, f"{said}: Exec format error." in done.err) == (1, True), done.err
    monkeypatch.setattr(service_managers, "COMMAND_SECONDS", 0.1)
    systemctl.write_text("#!/bin/sh\nexec sleep 20\n")
    done = call("service", "install")
    assert (done.code, f"{said}: it took more than 0 seconds." in done.err) == (1, True), done.err


@linux
def test_one_that_only_fails_is_said_with_its_code(call: Call, calls: Path) -> None:
    systemctl = calls.parent / "bin" / "systemctl"
    systemctl.write_text('#!/bin/sh\ncase "$*" in *show*) echo ok ;; *) exit 7 ;; esac\n')
    assert '"systemctl --user daemon-reload": exit code 7.' in call("service", "install").err
    systemctl.write_text("#!/bin/sh\nexit 7\n")
    assert "systemctl --user does not answer" in call("service", "install").err


@linux
def test_a_folder_of_units_that_cannot_be_written_is_said(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    (Path.home() / ".config").write_text("a file in its place")
    done = call("service", "install")
    assert (done.code, "cannot be written" in done.err) == (5, True)
    (Path.home() / ".config").unlink()
    unit_file().mkdir(parents=True)
    done = call("service", "remove")
    assert (done.code, "cannot be written" in done.err) == (5, True)


@linux
def test_settings_may_lie_elsewhere(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    call("service", "install")
    assert (tmp_path / "settings" / "systemd" / "user" / SYSTEMD_NAME).is_file()
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")  # which counts as unset
    call("service", "install")
    assert unit_file().is_file()


def test_folders_of_the_terminal_are_the_services(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELEVATOR_HOME", "here")
    monkeypatch.setenv("XDG_DATA_HOME", "/big disk")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert service_of([]).environment == {"ELEVATOR_HOME": str(tmp_path / "here"), "XDG_DATA_HOME": "/big disk"}


# Other systems, as far as they can be tried here ---------------------------------------------------------------


def test_launchd_is_told(call: Call, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "manager_here", Launchd)
    assert call("service", "install", "--fake").code == 0
    file = Path.home() / "Library" / "LaunchAgents" / f"{LAUNCHD_LABEL}.plist"
    assert file.exists()
    name = f"gui/{os.getuid()}/{LAUNCHD_LABEL}"
    assert calls.read_text().splitlines() == [
        f"launchctl bootout {name}",
        f"launchctl bootstrap gui/{os.getuid()} {file}",
        f"launchctl print {name}",
    ]
    assert "state = running" in call("service", "status").out
    assert call("service", "remove").code == 0
    assert not file.exists()
    assert "There is no service" in call("service", "remove").out


def test_launchd_is_given_time_to_take_leave(call: Call, calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "manager_here", Launchd)
    monkeypatch.setattr(service_managers, "LEAVING_SECONDS", 1.2)
    monkeypatch.setenv("FAILS", "1")
    call("service", "install")
    assert calls.read_text().count("bootstrap") >= 3


def test_the_task_scheduler_is_told(call: Call, calls: Path, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setattr(service, "manager_here", TaskScheduler)
    monkeypatch.setenv("USERDOMAIN", "PC")
    monkeypatch.setenv("USERNAME", "märia")
    assert call("service", "install", "--fake").code == 0
    file = home / "config" / "service.xml"
    assert "PC\\märia" in ElementTree.tostring(ElementTree.fromstring(file.read_bytes()), encoding="unicode")
    assert calls.read_text().splitlines() == [
        f"schtasks /End /TN {TASK_NAME}",
        f"schtasks /Create /TN {TASK_NAME} /XML {file} /F",
        f"schtasks /Run /TN {TASK_NAME}",
    ]
    assert call("service", "status").code == 3
    with only_one(places.lock_file()):
        assert "runs (Running)" in call("service", "status").out
    assert call("service", "remove").code == 0
    assert not file.exists()


# A systemd of one's own ----------------------------------------------------------------------------------------

BEGIN = """
set -e
for folder in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ ! -e "$folder/cgroup.procs" ] || { mkdir "$folder/$1"; echo $$ > "$folder/$1/cgroup.procs"; }
done
mkdir -p /run/systemd
mount -t tmpfs none /run/systemd
mkdir /run/systemd/system
exec "$2" --user --log-target=null
"""
"""A systemd of a user begins only where the machine was booted with one, and takes all processes of its group."""
PROGRAM = next((path for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if os.path.exists(path)), "")


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One that serves this test alone."""
    if sys.platform != "linux" or not PROGRAM or os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("needs root, unshare and systemd")
    if os.path.exists("/run/systemd/system"):
        pytest.skip("this machine has a systemd, which is left alone")
    run, name = Path(f"/tmp/elevator-{os.getpid()}"), f"elevator-{os.getpid()}"  # the names of sockets are short
    run.mkdir(mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path / "house"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(run))
    for each in ("XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS"):
        monkeypatch.delenv(each, raising=False)
    (tmp_path / "house").mkdir()
    process = subprocess.Popen(
        ["unshare", "-m", "sh", "-c", BEGIN, "sh", name, PROGRAM], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        if not until(lambda: systemctl("show", "--property=Version")[0] == 0 or process.poll() is not None, 20):
            pytest.skip("systemd does not begin here")
        if process.poll() is not None:
            pytest.skip("systemd does not begin here")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()
        shutil.rmtree(run, ignore_errors=True)
        for folder in ("", "systemd/", "unified/"):
            for group in sorted(Path("/sys/fs/cgroup").glob(f"{folder}{name}/**/"), reverse=True):
                with suppress(OSError):
                    group.rmdir()


def systemctl(*words: str) -> tuple[int, str]:
    done = subprocess.run(["systemctl", "--user", *words], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def shown(name: str) -> str:
    return systemctl("show", "--value", f"--property={name}", SYSTEMD_NAME)[1]


def pid_of_backend() -> int:
    """Of one that is ready; 0 while there is none."""
    try:
        return connection.read(places.connection_file()).pid
    except ConnectionFileError:
        return 0


@pytest.mark.usefixtures("systemd")
@pytest.mark.timeout(180)
def test_a_real_systemd_starts_it_again_but_not_after_stop(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = units.systemd_unit
    monkeypatch.setattr(
        service_managers, "systemd_unit", lambda one: quick(one).replace("RestartSec=15", "RestartSec=1")
    )
    call = caller(capsys)
    done = call("service", "install", "--fake")
    assert (done.code, done.err) == (0, "")
    assert until(lambda: pid_of_backend() > 0, 60)
    assert call("service", "status").code == 0
    first = pid_of_backend()
    assert first == int(shown("MainPID"))
    os.kill(first, signal.SIGKILL)
    assert until(lambda: pid_of_backend() not in (0, first), 60)
    second = pid_of_backend()
    assert call("service", "install", "--fake", "--keep", "7").code == 0, "the older one gives way"
    assert until(lambda: pid_of_backend() not in (0, second), 60)
    words = Path(f"/proc/{pid_of_backend()}/cmdline").read_bytes().split(b"\0")
    assert b"--keep=7" in words
    assert call("stop").code == 0
    assert until(lambda: shown("ActiveState") == "inactive", 60)
    time.sleep(2)
    assert shown("ActiveState") == "inactive", "nobody wants it now"
    assert call("service", "status").code == 3
    assert call("service", "remove").code == 0
    assert shown("LoadState") == "not-found"
    assert not list(unit_file().parent.rglob(SYSTEMD_NAME))


@pytest.mark.usefixtures("systemd")
@pytest.mark.timeout(180)
def test_a_real_systemd_reads_odd_names_as_they_were_meant(tmp_path: Path) -> None:
    from tests.backend.cli.test_units import NAMES

    for number, name in enumerate(NAMES):
        folder = tmp_path / "odd" / name
        folder.mkdir(parents=True)
        program, told = folder / "python", tmp_path / f"told {number}"
        program.write_text(
            f'#!/bin/sh\nprintf "%s\\0" "$PWD" "$ELEVATOR_HOME" "$@" > "{told}.part"\nmv "{told}.part" "{told}"\n'
        )
        program.chmod(0o755)
        list(
            Systemd().install(
                units.Service(str(program), (name, "$HOME", "%h", ";"), str(folder), {"ELEVATOR_HOME": name})
            )
        )
        assert until(told.exists, 60), name
        assert told.read_text(encoding="utf-8").split("\0")[:-1] == [str(folder), name, name, "$HOME", "%h", ";"]
