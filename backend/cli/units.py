"""The files by which systemd, launchd and Windows' Task Scheduler start the backend. Pure: texts from a `Service`."""

from __future__ import annotations

import plistlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from xml.etree import ElementTree

ABOUT = "Elevator's backend: generated clips for Blender"
SYSTEMD_NAME: Final = "video_elevator.service"
LAUNCHD_LABEL: Final = "video_elevator.backend"
TASK_NAME: Final = "Video_elevator backend"
STOP_SECONDS = 30
"""How long the backend may take to end: a worker gets two seconds, the last messages one."""
_TASKS = "http://schemas.microsoft.com/windows/2004/02/mit/task"


class Unwritable(ValueError):
    """A text cannot stand in such a file. The message says which and why."""


@dataclass(frozen=True)
class Service:
    """How the backend is started."""

    program: str
    """The Python of the backend's environment, with its whole path."""
    words: tuple[str, ...]
    """What it is told: module, command, options."""
    folder: str
    """In which it is started: the project's."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beside those that the system gives it."""

    @property
    def texts(self) -> tuple[str, ...]:
        """All that the file has to hold."""
        return (self.program, *self.words, self.folder, *(f"{name}={text}" for name, text in self.environment.items()))


def checked(service: Service) -> Service:
    """The same. Raises Unwritable if a text holds what none of the formats can: control characters, or no Unicode."""
    for text in service.texts:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            shown = text.encode("utf-8", "backslashreplace").decode()
            raise Unwritable(f'"{shown}" is not UTF-8') from None
        # XML takes no others below the space, and two of those of Unicode's first plane are no characters.
        if any(sign < " " or "\x7f" <= sign <= "\x9f" or sign in "\ufffe\uffff" for sign in text):
            raise Unwritable(f"{text!r} holds a sign that cannot be seen")
    return service


# systemd ------------------------------------------------------------------------------------------------------


def systemd_unit(service: Service) -> str:
    """A unit of the user's systemd. Raises Unwritable.

    It is started anew after a crash, later and later up to every five minutes, and not after it was stopped in order.
    Nothing hardens it that takes rights away: for a user's service all of that implies NoNewPrivileges or namespaces,
    and without rights nvidia-modprobe makes no devices. A core dump would hold keys, and fill the disk.
    """
    program, *words = _in_a_shell(service.program, *checked(service).words)
    # A colon takes its meaning from the dollar sign, in all words; systemd 244 and later know it.
    colon = ":" if any("$" in word for word in (program, *words)) else ""
    command = " ".join([_quoted(colon + program), *map(_quoted, words)])
    variables = "".join(f"Environment={_quoted(f'{name}={text}')}\n" for name, text in service.environment.items())
    return f"""\
# Written by "video-elevator service install", which writes it anew; "service remove" deletes it.
[Unit]
Description={ABOUT}
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
WorkingDirectory={_folder(service.folder)}
{variables}Restart=on-failure
RestartSec=15
RestartSteps=5
RestartMaxDelaySec=300
# The command is not understood: it would not be the next time. 130: it was stopped before it served.
RestartPreventExitStatus=2
SuccessExitStatus=130
# The backend ends its workers by itself. One that the kernel ends for want of memory does not end the backend.
KillMode=mixed
OOMPolicy=continue
TimeoutStopSec={STOP_SECONDS}
UMask=0077
LimitCORE=0

[Install]
WantedBy=default.target
"""


def _in_a_shell(*words: str) -> tuple[str, ...]:
    """The words, or if systemd takes no program of such a name, those by which a shell becomes it."""
    return words if not set(words[0]) & set("\"'\\") else ("/bin/sh", "-c", 'exec "$@"', "sh", *words)


def _quoted(text: str) -> str:
    """One word, by systemd's rules of quoting; `%` begins a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"'


def _folder(path: str) -> str:
    """A path that stands by itself: nothing quotes it, spaces around it go, and `\\` at its end joins lines."""
    ended = f"{path}/" if path.endswith((" ", "\\")) else path
    return ended.replace("%", "%%")


# launchd ------------------------------------------------------------------------------------------------------


def launchd_agent(service: Service) -> bytes:
    """An agent of macOS's launchd. Raises Unwritable."""
    checked(service)
    agent: dict[str, object] = {
        "Label": LAUNCHD_LABEL,
        "ProgramArguments": [service.program, *service.words],
        "WorkingDirectory": service.folder,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 30,
        "ExitTimeOut": STOP_SECONDS,
        "Umask": 0o077,
    }
    if service.environment:
        agent["EnvironmentVariables"] = dict(service.environment)
    return plistlib.dumps(agent, sort_keys=False)


# Task Scheduler -----------------------------------------------------------------------------------------------


def scheduled_task(service: Service, user: str) -> bytes:
    """A task of Windows' Task Scheduler that begins when the user (`DOMAIN\\name`) logs on. Raises Unwritable."""
    checked(service)
    task = ElementTree.Element("Task", version="1.2", xmlns=_TASKS)
    _add(task, ["RegistrationInfo", "Description"], ABOUT)
    trigger = _add(task, ["Triggers", "LogonTrigger"])
    _add(trigger, ["Enabled"], "true")
    _add(trigger, ["UserId"], user)
    principal = _add(task, ["Principals", "Principal"])
    principal.set("id", "Author")
    _add(principal, ["UserId"], user)
    _add(principal, ["LogonType"], "InteractiveToken")
    _add(principal, ["RunLevel"], "LeastPrivilege")
    settings = _add(task, ["Settings"])
    for name, text in {
        "MultipleInstancesPolicy": "IgnoreNew",
        "DisallowStartIfOnBatteries": "false",
        "StopIfGoingOnBatteries": "false",
        "StartWhenAvailable": "true",
        "ExecutionTimeLimit": "PT0S",  # none
        "Priority": "5",
    }.items():
        _add(settings, [name], text)
    restart = _add(settings, ["RestartOnFailure"])
    _add(restart, ["Interval"], "PT1M")
    _add(restart, ["Count"], "999")
    actions = _add(task, ["Actions"])
    actions.set("Context", "Author")
    run = _add(actions, ["Exec"])
    _add(run, ["Command"], service.program)
    _add(run, ["Arguments"], subprocess.list2cmdline(_with_variables(service)))
    _add(run, ["WorkingDirectory"], service.folder)
    ElementTree.indent(task)
    text = ElementTree.tostring(task, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-16"?>\n{text}\n'.encode("utf-16")


def _with_variables(service: Service) -> Sequence[str]:
    """What the program is told; a task cannot give it variables, so Python sets them itself."""
    if not service.environment:
        return service.words
    module, *words = service.words[1:]
    code = (
        f"import os, runpy; os.environ.update({dict(service.environment)!r}); "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    return ["-c", code, *words]


def _add(parent: ElementTree.Element, path: Sequence[str], text: str | None = None) -> ElementTree.Element:
    """New elements below one another. Returns the last."""
    for name in path:
        parent = ElementTree.SubElement(parent, name)
    parent.text = text
    return parent
