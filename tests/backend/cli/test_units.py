"""The files of systemd, launchd and Task Scheduler say what was meant, by the rules of each, whatever names are."""

from __future__ import annotations

import plistlib
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.cli.units import (
    LAUNCHD_LABEL,
    Service,
    Unwritable,
    checked,
    launchd_agent,
    scheduled_task,
    systemd_unit,
)
from backend.server.worker_process import END_SECONDS

NAMES = (
    "plain",
    "mit Leer",
    "état d'ici",
    'q"uo"te',
    "per%cent %h %%",
    "dol$lar ${HOME} $$ $HOME",
    "back\\slash\\",
    "\\\\\\",
    "影 – end ",
    "semi;colon #x",
    "a=b & <c> > |d|",
    "-dash",
    ":colon",
    "@at +plus !bang",
)
SIGNS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
TEXTS = st.text(SIGNS | st.sampled_from("\"'\\%$; =&<"), max_size=20)
VARIABLE = "ELEVATOR_HOME"


def service(program: str, *words: str, folder: str = "/somewhere", home: str = "") -> Service:
    return Service(program, words, folder, {VARIABLE: home} if home else {})


# systemd ------------------------------------------------------------------------------------------------------


def settings(unit: str) -> dict[str, str]:
    """Keys and values of a unit, as systemd splits lines."""
    lines = [line for line in unit.split("\n") if line and line[0] not in "#[;"]
    assert not any(line.endswith("\\") for line in lines), "it would join the next line"
    pairs = [line.partition("=") for line in lines]
    assert len({key for key, _, _ in pairs}) == len(pairs)
    return {key: value.strip(" \t") for key, _, value in pairs}


def words_of(value: str) -> list[str]:
    """A list of words in double quotes, by systemd.syntax(7): C's escapes within them, `%%` for `%`."""
    words, k = [], 0
    while k < len(value):
        assert value[k] == '"'
        word, k = "", k + 1
        while value[k] != '"':
            if value[k] == "\\":
                k += 1
                assert value[k] in '\\"'
            elif value[k] == "%":
                k += 1
                assert value[k] == "%"
            word += value[k]
            k += 1
        words.append(word)
        k += 1
        assert value[k : k + 1] in ("", " ")
        k += 1
    return words


def started(unit: str) -> tuple[str, ...]:
    """The words with which a unit starts its program."""
    first, *others = words_of(settings(unit)["ExecStart"])
    if first.startswith(":"):
        first = first[1:]
    else:
        assert not any("$" in word for word in (first, *others)), "systemd would look for a variable"
    if first == "/bin/sh":
        assert others[:3] == ["-c", 'exec "$@"', "sh"]
        first, *others = others[3:]
    else:
        assert not set(first) & set("\"'\\"), "systemd takes no such program"
    return first, *others


ODD = ("$HOME", "50 %h", "q\"uo'te\\", "\\", " ", "")


@pytest.mark.parametrize("odd", ODD)
def test_a_unit_says_odd_words(odd: str) -> None:
    for program, folder in ((odd, "plain"), ("plain", odd)):
        unit = systemd_unit(service(f"/{program}", odd, ";", folder=f"/{folder}", home=odd or "x"))
        assert started(unit) == (f"/{program}", odd, ";")
        assert words_of(settings(unit)["Environment"]) == [f"{VARIABLE}={odd or 'x'}"]


@given(TEXTS, st.lists(TEXTS, max_size=4), TEXTS, TEXTS)
def test_a_unit_says_what_was_meant(program: str, words: list[str], folder: str, home: str) -> None:
    unit = systemd_unit(service(f"/{program}", *words, folder=f"/{folder}", home=f"/{home}"))
    assert started(unit) == (f"/{program}", *words)
    found = settings(unit)
    assert words_of(found["Environment"]) == [f"{VARIABLE}=/{home}"]
    in_it = found["WorkingDirectory"].replace("%%", "\0")
    assert "%" not in in_it
    assert Path(in_it.replace("\0", "%")) == Path(f"/{folder}")


def test_a_unit_starts_again_what_fails_and_not_what_was_stopped() -> None:
    found = settings(systemd_unit(service("/python", "-m", "backend")))
    assert found["Restart"] == "on-failure"
    assert found["StartLimitIntervalSec"] == "0", "a week unattended: it is tried for as long as it takes"
    assert 5 <= int(found["RestartSec"]) <= 60
    assert int(found["RestartMaxDelaySec"]) <= 600
    assert "1" not in found["RestartPreventExitStatus"].split(), "Python ends so when a disk fails while it starts"
    assert float(found["TimeoutStopSec"]) > 5 * END_SECONDS
    assert found["OOMPolicy"] == "continue", "a worker that the kernel ends is not the backend"
    assert found["UMask"] == "0077"
    assert found["WantedBy"] == "default.target"
    assert found["LimitCORE"] == "0"
    hinders = ("Private", "Protect", "Restrict", "Device", "SystemCall", "MemoryDeny", "NoNew", "Lock", "Capability")
    assert not [key for key in found if key.startswith(hinders) and not key.startswith("Restart")]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.process
def test_systemd_takes_the_unit(name: str, tmp_path: Path) -> None:
    program = tmp_path / name / "python"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    (tmp_path / "run").mkdir(mode=0o700)
    unit = tmp_path / "video_elevator.service"
    unit.write_text(
        systemd_unit(service(str(program), name, ";", folder=str(program.parent), home=str(tmp_path / name)))
    )
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", str(unit)],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path / "run"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    said = [line for line in done.stderr.splitlines() if line and "initialize" not in line]
    if "Failed to initialize manager" in done.stderr:
        pytest.skip(done.stderr.strip())
    # systemd 254 and later know these two; before, it waits equally long each time.
    new = ("Unknown key 'RestartSteps'", "Unknown key 'RestartMaxDelaySec'", "Unknown key name 'RestartSteps'")
    assert not [line for line in said if not any(each in line for each in (*new, "name 'RestartMaxDelaySec'"))]
    assert done.returncode == 0


# launchd ------------------------------------------------------------------------------------------------------


@given(TEXTS, st.lists(TEXTS, max_size=4), TEXTS, TEXTS)
def test_an_agent_says_what_was_meant(program: str, words: list[str], folder: str, home: str) -> None:
    agent = plistlib.loads(launchd_agent(service(program, *words, folder=folder, home=home)))
    assert agent["ProgramArguments"] == [program, *words]
    assert agent["WorkingDirectory"] == folder
    assert agent.get("EnvironmentVariables", {}) == ({VARIABLE: home} if home else {})


def test_an_agent_starts_again_what_fails_and_not_what_was_stopped() -> None:
    agent = plistlib.loads(launchd_agent(service("/python")))
    assert agent["KeepAlive"] == {"SuccessfulExit": False}
    assert agent["RunAtLoad"] is True
    assert agent["Label"] == LAUNCHD_LABEL
    assert agent["Umask"] == 0o077
    assert agent["ThrottleInterval"] >= 10
    assert not [key for key in agent if key.startswith("Standard")], "a file that nobody bounds"


# Task Scheduler -----------------------------------------------------------------------------------------------

SPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"


def texts_of(task: bytes) -> dict[str, str]:
    """All elements with a text, by their names below the root."""
    root = ElementTree.fromstring(task)
    assert root.tag == f"{SPACE}Task"
    found: dict[str, str] = {}

    def walk(element: ElementTree.Element, path: str) -> None:
        for child in element:
            name = f"{path}/{child.tag.removeprefix(SPACE)}".lstrip("/")
            if not len(child):
                found[name] = child.text or ""
            walk(child, name)

    walk(root, "")
    return found


def windows_words(line: str) -> list[str]:
    """A command line as Windows programs read it: 2n backslashes before a quote are n, 2n + 1 are n and the quote."""
    words, word, inside, k, begun = [], "", False, 0, False
    while k < len(line):
        if line[k] == "\\":
            end = k
            while end < len(line) and line[end] == "\\":
                end += 1
            count = end - k
            if line[end : end + 1] == '"':
                word += "\\" * (count // 2)
                if count % 2:
                    word += '"'
                    end += 1
            else:
                word += "\\" * count
            k, begun = end, True
        elif line[k] == '"':
            inside, begun, k = not inside, True, k + 1
        elif line[k] in " \t" and not inside:
            if begun:
                words.append(word)
            word, begun, k = "", False, k + 1
        else:
            word, begun, k = word + line[k], True, k + 1
    return [*words, word] if begun else words


@given(TEXTS, st.lists(TEXTS, max_size=4), TEXTS, TEXTS)
def test_a_task_says_what_was_meant(program: str, words: list[str], folder: str, user: str) -> None:
    task = scheduled_task(service(program, *words, folder=folder), user)
    assert task.startswith((b"\xff\xfe", b"\xfe\xff")), "schtasks reads UTF-16"
    found = texts_of(task)
    assert found["Actions/Exec/Command"] == program
    assert windows_words(found["Actions/Exec/Arguments"]) == words
    assert found["Actions/Exec/WorkingDirectory"] == folder
    assert found["Triggers/LogonTrigger/UserId"] == found["Principals/Principal/UserId"] == user


def test_a_tasks_actions_are_those_of_its_user() -> None:
    task = ElementTree.fromstring(scheduled_task(service("C:\\python.exe"), "PC\\maria"))
    (principal,) = (each for each in task.iter() if each.tag.endswith("}Principal"))
    (actions,) = (each for each in task.iter() if each.tag.endswith("}Actions"))
    assert principal.get("id")
    assert principal.get("id") == actions.get("Context")


def test_a_task_runs_for_weeks() -> None:
    found = texts_of(scheduled_task(service("C:\\python.exe"), "PC\\maria"))
    assert found["Settings/ExecutionTimeLimit"] == "PT0S"
    assert found["Settings/MultipleInstancesPolicy"] == "IgnoreNew"
    assert found["Settings/StopIfGoingOnBatteries"] == found["Settings/DisallowStartIfOnBatteries"] == "false"
    assert found["Settings/RestartOnFailure/Interval"] == "PT1M"
    assert found["Principals/Principal/RunLevel"] == "LeastPrivilege"


@pytest.mark.process
@pytest.mark.parametrize("name", NAMES)
def test_a_task_sets_variables_by_itself(name: str, tmp_path: Path) -> None:
    (tmp_path / "told.py").write_text("import os, sys; print(repr((os.environ['ELEVATOR_HOME'], sys.argv[1:])))")
    task = scheduled_task(service(sys.executable, "-m", "told", "serve", name, home=name), "x")
    words = windows_words(texts_of(task)["Actions/Exec/Arguments"])
    done = subprocess.run(
        [sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert done.stdout == f"{(name, ['serve', name])!r}\n"


# All ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\udcff", "\ufffe"])
@pytest.mark.parametrize("place", ["program", "word", "folder", "value"])
def test_what_no_format_can_hold_is_said(sign: str, place: str) -> None:
    texts = {name: f"/x{sign}y" if name == place else "/z" for name in ("program", "word", "folder", "value")}
    odd = service(texts["program"], texts["word"], folder=texts["folder"], home=texts["value"])
    for write in (checked, systemd_unit, launchd_agent, lambda one: scheduled_task(one, "x")):
        with pytest.raises(Unwritable) as caught:
            write(odd)
        assert str(caught.value).isprintable()


@given(TEXTS)
def test_all_else_is_taken(text: str) -> None:
    assert checked(service(text, text, folder=text, home=text))
