"""Who starts the backend on each system: systemd, launchd, Windows' Task Scheduler, asked by their commands."""

from __future__ import annotations

import getpass
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from shared_protocol.machine import files, locks, places

from ..client.failures import cannot_write
from .failures import CommandFailure
from .units import LAUNCHD_LABEL, SYSTEMD_NAME, TASK_NAME, Service, launchd_agent, scheduled_task, systemd_unit

COMMAND_SECONDS = 90.0
"""How long such a command may take: it waits for a backend that ends."""
LEAVING_SECONDS = 10.0
"""How long launchd may need to take leave of an agent that has just been put out."""


class Manager(Protocol):
    """One system's way. All methods raise BackendError."""

    file: Path
    """What the system reads. It is there while a service is installed."""
    look: str
    """The command by which one sees what has become of the service."""

    def install(self, service: Service) -> Iterator[str]:
        """Write the file and start the service, anew if it runs. Sentences about it."""

    def remove(self) -> None:
        """End the service and delete its file."""

    def state(self) -> str:
        """What the system says of it: a word or two. Empty: that it does not run."""


def manager_here() -> Manager:
    """This system's."""
    if sys.platform == "win32":
        return TaskScheduler()
    return Launchd() if sys.platform == "darwin" else Systemd()


class Systemd:
    """The user's own systemd."""

    look = f"systemctl --user status {SYSTEMD_NAME}"

    def __init__(self) -> None:
        config = os.environ.get("XDG_CONFIG_HOME", "")
        self._folder = (Path(config) if os.path.isabs(config) else Path.home() / ".config") / "systemd" / "user"
        self.file = self._folder / SYSTEMD_NAME

    def install(self, service: Service) -> Iterator[str]:
        """As `Manager` has it."""
        self._reach()
        _write(self.file, systemd_unit(service).encode("utf-8"))
        _call("systemctl", "--user", "daemon-reload")
        _call("systemctl", "--user", "enable", SYSTEMD_NAME)
        _call("systemctl", "--user", "restart", SYSTEMD_NAME)  # an older one may run
        yield "It begins when you log in, and is started again if it fails."
        if self._lingers() is False:
            yield (
                "It ends when you have logged out everywhere. To have it run from the start of the machine on, "
                'say "loginctl enable-linger".'
            )

    def remove(self) -> None:
        """As `Manager` has it. Where no systemd runs, nothing has to be ended: the files alone go."""
        try:
            self._reach()
        except CommandFailure:
            _delete(self._folder / "default.target.wants" / SYSTEMD_NAME)
            _delete(self.file)
            return
        _call("systemctl", "--user", "disable", "--now", SYSTEMD_NAME)
        _delete(self.file)
        _call("systemctl", "--user", "daemon-reload")

    def state(self) -> str:
        """As `Manager` has it."""
        self._reach()
        words = [_ask("systemctl", "--user", question, SYSTEMD_NAME)[1] for question in ("is-active", "is-enabled")]
        return ", ".join(words) if words[0] in ("active", "activating", "reloading") else ""

    def _reach(self) -> None:
        """Raises CommandFailure if no systemd of this user runs, as in containers."""
        code, _, wrong = _ask("systemctl", "--user", "show", "--property=Version")
        if code:
            raise CommandFailure("no_service_manager", detail=wrong or "systemctl --user does not answer")

    def _lingers(self) -> bool | None:
        """Whether this user's systemd runs without a login; None where that cannot be found out."""
        try:
            code, said, _ = _ask("loginctl", "show-user", str(_user()), "--property=Linger")
        except CommandFailure:
            return None
        return None if code else said == "Linger=yes"


class Launchd:
    """macOS's launchd, for as long as the user is logged in. Never tried: no Mac was at hand."""

    def __init__(self) -> None:
        self.file = Path.home() / "Library" / "LaunchAgents" / f"{LAUNCHD_LABEL}.plist"
        self._domain = f"gui/{_user()}"
        self._name = f"{self._domain}/{LAUNCHD_LABEL}"
        self.look = f"launchctl print {self._name}"

    def install(self, service: Service) -> Iterator[str]:
        """As `Manager` has it."""
        _write(self.file, launchd_agent(service))
        _ask("launchctl", "bootout", self._name)  # an older one, if there is one
        deadline = time.monotonic() + LEAVING_SECONDS
        while _ask("launchctl", "bootstrap", self._domain, str(self.file))[0] and time.monotonic() < deadline:
            time.sleep(0.5)
        _call("launchctl", "print", self._name)
        yield "It begins when you log in, ends when you log out, and is started again if it fails."

    def remove(self) -> None:
        """As `Manager` has it."""
        _ask("launchctl", "bootout", self._name)
        _delete(self.file)

    def state(self) -> str:
        """As `Manager` has it."""
        code, said, _ = _ask("launchctl", "print", self._name)
        return "" if code else next((line.strip() for line in said.splitlines() if "state = " in line), "loaded")


class TaskScheduler:
    """Windows' Task Scheduler, for as long as the user is logged on. Never tried: no Windows was at hand."""

    look = f'schtasks /Query /V /FO LIST /TN "{TASK_NAME}"'

    def __init__(self) -> None:
        self.file = places.config_folder() / "service.xml"

    def install(self, service: Service) -> Iterator[str]:
        """As `Manager` has it."""
        domain, user = os.environ.get("USERDOMAIN", ""), os.environ.get("USERNAME", "") or getpass.getuser()
        _write(self.file, scheduled_task(service, f"{domain}\\{user}" if domain else user))
        _ask("schtasks", "/End", "/TN", TASK_NAME)  # an older one, if there is one
        _call("schtasks", "/Create", "/TN", TASK_NAME, "/XML", str(self.file), "/F")
        _call("schtasks", "/Run", "/TN", TASK_NAME)
        yield "It begins when you log on, ends when you log off, and is started again if it fails."

    def remove(self) -> None:
        """As `Manager` has it."""
        _ask("schtasks", "/End", "/TN", TASK_NAME)
        _call("schtasks", "/Delete", "/TN", TASK_NAME, "/F")
        _delete(self.file)

    def state(self) -> str:
        """As `Manager` has it. What Windows says is in the user's language, so the backend itself is looked for."""
        code, said, _ = _ask("schtasks", "/Query", "/FO", "CSV", "/NH", "/TN", TASK_NAME)
        return "" if code or locks.holder(places.lock_file()) is None else said.rpartition(",")[2].strip('"')


def _user() -> int:
    """This user's number, which Windows has none of."""
    if sys.platform == "win32":
        raise AssertionError("no manager of services asks for it there")
    return os.getuid()


def _ask(*words: str) -> tuple[int, str, str]:
    """Run a command. Its exit code, what it printed, and the last line of what it complained of.

    Raises CommandFailure if there is no such command or it does not end.
    """
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=COMMAND_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise CommandFailure("no_service_manager", detail=f"there is no {words[0]} here") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        detail = error.strerror if isinstance(error, OSError) else f"it took more than {COMMAND_SECONDS:.0f} seconds"
        raise CommandFailure("service_refused", said=" ".join(words), detail=detail) from error
    wrong = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return done.returncode, done.stdout.strip(), wrong[-1].rstrip(".") if wrong else ""


def _call(*words: str) -> None:
    """Run a command that must succeed. Raises CommandFailure."""
    code, _, wrong = _ask(*words)
    if code:
        raise CommandFailure("service_refused", said=" ".join(words), detail=wrong or f"exit code {code}")


def _write(path: Path, data: bytes) -> None:
    try:
        files.make_folder(path.parent)
        files.write(path, data)
    except OSError as error:
        raise cannot_write(path.parent, error) from error


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path.parent, error) from error
