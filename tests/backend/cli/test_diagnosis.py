"""`doctor` finds what was broken here on purpose, and names what mends it; `report` tells no secret."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import shutil
import sqlite3
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import zmq

from backend import __main__, logs
from backend.cli import diagnosis
from backend.installer import doctor, gpus, torch_build
from backend.installer.clone import BACKEND
from backend.installer.doctor import Finding
from backend.installer.gpus import Gpus, Nvidia
from backend.installer.torch_build import TorchBuild
from backend.installer.torch_wheel import INDEX
from backend.orders import Sample
from backend.server.jobs import Job, Owner
from backend.server.schema import SCHEMA_VERSION
from backend.server.store import JobStore
from elevator import Plan, Sources
from shared_protocol import VERSION, connection
from shared_protocol.machine import places
from tests.backend.harness import Running, command
from tests.protocol.test_connection_file import of_this_process

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
PROMPT = 'Grandma Ottilie\'s "secret" garden\nat dawn'
NEGATIVE = "no uncle Waldemar"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """install.py's own findings are tested with it; here they would only start torch again and again."""
    monkeypatch.setattr(doctor, "findings", lambda: iter([Finding("install.py is content")]))
    for folder in ("config", "state", "data"):
        (home / folder).mkdir(mode=0o700, parents=True)


def found() -> list[Finding]:
    return list(diagnosis.examine())


def wrong() -> list[Finding]:
    """What is to be mended, without what only demo and Blender need."""
    return [one for one in found() if one.remedy and "extension" not in one.what]


@pytest.mark.parametrize(
    ("build", "machine", "what", "remedy"),
    [
        (TorchBuild("2.13.0+cpu"), Gpus(Nvidia(580)), "cannot use this machine's GPU: it is built for the CPU", "cuda"),
        (TorchBuild("2.13.0+cpu"), Gpus(amd=True), "cannot use this machine's GPU: it is built for the CPU", "rocm"),
        (TorchBuild("2.13.0+cu130", cuda="13.0"), Gpus(intel=True), "it is built for NVIDIA's", "xpu"),
        (TorchBuild("2.13.0", cuda="13.0"), Gpus(Nvidia(580)), "is built for this machine's GPU", ""),
        (TorchBuild("2.13.0+rocm7.2", hip="7.2"), Gpus(Nvidia(580), amd=True), "is built for this machine's GPU", ""),
    ],
)
def test_what_torch_says_of_itself_is_believed(
    build: TorchBuild, machine: Gpus, what: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metadata of Windows' usual wheel says 2.13.0, of whichever build."""
    monkeypatch.setattr(torch_build, "installed", lambda: build)
    monkeypatch.setattr(gpus, "found", lambda: machine)
    (finding,) = (each for each in found() if each.what.startswith("torch "))
    assert finding.what.endswith(what)
    assert finding.remedy == (remedy and f"python3 install.py setup --torch {remedy}")
    assert not finding.needed or not finding.remedy


def test_without_install_py_the_remedy_is_pips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "ROOT", tmp_path)
    remedy = diagnosis._other_torch(TorchBuild("2.13.0+cpu"), Gpus(Nvidia(570)))
    assert remedy.endswith(f"-m pip install --extra-index-url {INDEX}/cu126 torch==2.13.0+cu126")


@pytest.mark.parametrize(("build", "machine"), [(None, Gpus(Nvidia(580))), (TorchBuild("2.13.0+cpu"), Gpus())])
def test_no_word_on_torch_where_there_is_none_or_no_gpu(
    build: TorchBuild | None, machine: Gpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_build, "installed", lambda: build)
    monkeypatch.setattr(gpus, "found", lambda: machine)
    assert not [each for each in found() if each.what.startswith("torch ")]


def store(home: Path) -> JobStore:
    return JobStore(home / "data" / "queue.db")


def job(number: int = 0, prompt: str = PROMPT) -> Job:
    order = Sample(
        prompt=f"{prompt}, best quality",
        negative_prompt=NEGATIVE,
        sources=Sources("/m/t2i", "/m/t2v"),
        plan=Plan(),
        frames=4,
        width=64,
        height=64,
        fps=8,
        seed=1,
    )
    return Job(f"{number:032x}", Owner("local", "c" * 32), order, prompt)


def test_all_is_well_here(home: Path) -> None:
    with closing(store(home)) as jobs:
        jobs.add(job())
        assert wrong() == []
    texts = "\n".join(one.what for one in found())
    for expected in (
        "packages have the versions",
        'style "plain": all',
        "queue.db is whole",
        "no backend runs",
        "GB are free",
    ):
        assert expected in texts


def loosen_data(home: Path) -> None:
    (home / "data").chmod(0o755)


def loosen_settings(home: Path) -> None:
    (home / "config").chmod(0o777)


def expose_key(home: Path) -> None:
    path = home / "config" / "keys" / "studio.key"
    path.parent.mkdir()
    path.write_text("{}")
    path.chmod(0o644)


def expose_log(home: Path) -> None:
    (home / "state" / "backend.log.1").write_text("")
    (home / "state" / "backend.log.1").chmod(0o604)


def open_guest_list(home: Path) -> None:
    path = home / "config" / "authorized" / "studio.pub"
    path.parent.mkdir()
    path.write_text(zmq.curve_keypair()[0].decode())
    path.chmod(0o666)


def damage_database(home: Path) -> None:
    with closing(store(home)) as jobs:
        for number in range(200):
            jobs.add(job(number))
    path = home / "data" / "queue.db"
    data = bytearray(path.read_bytes())
    data[8192:12288] = b"\xa5" * 4096
    path.write_bytes(data)


def cut_database(home: Path) -> None:
    damage_database(home)
    path = home / "data" / "queue.db"
    path.write_bytes(path.read_bytes()[:5000])


def write_database_of_the_future(home: Path) -> None:
    with closing(sqlite3.connect(home / "data" / "queue.db")) as base:
        base.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    (home / "data" / "queue.db").chmod(0o600)


def damage_connection_file(home: Path) -> None:
    path = home / "state" / "connection.json"
    path.write_text("{")
    path.chmod(0o600)


def expose_connection_file(home: Path) -> None:
    connection.write(places.connection_file(), of_this_process())
    places.connection_file().chmod(0o644)


def write_style_without_model(home: Path) -> None:
    _write_style(home, t2i="nowhere.safetensors")


def write_style_with_wrong_model(home: Path) -> None:
    weights = Path(doctor.MODELS)
    _write_style(home, t2i=str(weights / "loras" / "neon"))


def write_broken_style(home: Path) -> None:
    (home / "config" / "styles").mkdir()
    (home / "config" / "styles" / "mine.toml").write_text("title = ")


def _write_style(home: Path, t2i: str) -> None:
    weights = Path(doctor.MODELS)
    for folder in ("styles", "bases"):
        (home / "config" / folder).mkdir()
    (home / "config" / "bases" / "own.toml").write_text(
        f'title = "Own"\nt2i = "{t2i}"\nt2v = "{weights / "zeroscope"}"\npresets = "zeroscope"\n', encoding="utf-8"
    )
    (home / "config" / "styles" / "mine.toml").write_text(
        'title = "Mine"\nbase = "own"\npreset = "balanced"\nexample_prompt = "a cat"\n', encoding="utf-8"
    )


@posix
@pytest.mark.parametrize(
    ("harm", "what", "remedy", "needed"),
    [
        (loosen_data, "others can read the data folder", "chmod go-rwx", False),
        (loosen_settings, "others can write into the settings folder", "chmod go-w", True),
        (expose_key, "others can read .*studio.key", "chmod 600", True),
        (expose_log, r"others can read .*backend\.log\.1", "chmod 600", True),
        (open_guest_list, "the key in .*studio.pub is not let in: others can write it", "chmod go-w", False),
        (damage_database, "the database .* is damaged", "video-elevator serve", True),
        (cut_database, "the database .* is damaged", "video-elevator serve", True),
        (write_database_of_the_future, "written by a newer release", "git pull", True),
        (damage_connection_file, "connection file .* is damaged", "delete", True),
        (expose_connection_file, "[Oo]thers can read .*connection", "", True),
        (write_style_without_model, 'style "mine": .*nowhere.safetensors is missing', "docs/STYLES.md", False),
        (write_style_with_wrong_model, 'style "mine": .*neon is a LoRA, not a text-to-image', "docs/STYLES.md", False),
        (write_broken_style, "mine.toml is skipped", "docs/STYLES.md", False),
    ],
)
def test_what_is_wrong_is_found_and_nothing_else(
    home: Path, harm: Callable[[Path], None], what: str, remedy: str, needed: bool
) -> None:
    harm(home)
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    findings = wrong()
    hits = [one for one in findings if re.search(what, one.what)]
    assert hits, findings
    assert any(remedy in one.remedy for one in hits)
    assert any(one.needed for one in findings) == needed, findings
    assert len(findings) <= 2
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before, "it changes nothing"


def test_packages_of_other_versions_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text('# why\npyzmq==1.0\nnot-there==2\nmsgspec>=0.1\nno==1; sys_platform == "none"\n', encoding="utf-8")
    monkeypatch.setattr(diagnosis, "BACKEND", dataclasses.replace(BACKEND, lock=lock))
    (finding,) = [one for one in wrong() if one.what.startswith("packages")]
    assert f"pyzmq is {zmq.__version__} instead of 1.0" in finding.what
    assert "not-there is missing" in finding.what
    assert "msgspec" not in finding.what


@posix
def test_a_folder_that_cannot_be_written_is_told_with_the_one_that_is_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "state").rmdir()
    real = os.access
    for refused, said in ((os.W_OK, 3), (os.X_OK, 3), (os.R_OK, 0)):
        monkeypatch.setattr(os, "access", lambda path, mode, refused=refused: not mode & refused and real(path, mode))
        found = [one for one in wrong() if "cannot be written" in one.what]
        assert len(found) == said
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != home)
    (finding,) = wrong()
    assert finding.what == f"the state folder {home / 'state'} cannot be written"
    assert finding.remedy == f'chmod u+rwx "{home}"'
    assert finding.needed


def test_a_backend_of_another_release_is_told(backend: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "VERSION", "99.9")
    (finding,) = [one for one in wrong() if "backend" in one.what]
    assert finding.what.endswith("not 99.9")
    assert finding.remedy.endswith(" stop")


def test_the_extension_is_looked_for_by_its_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "BUILD", tmp_path)
    (tmp_path / "video_elevator-0.0.1-linux.zip").touch()
    (finding,) = [one for one in found() if one.what.startswith("the extension")]
    assert (finding.what, finding.needed) == ("the extension is not built", False)
    assert finding.remedy.endswith("package")
    built = tmp_path / f"video_elevator-{VERSION}-linux.zip"
    built.touch()
    (finding,) = [one for one in found() if one.what.startswith("the extension")]
    assert (finding.what, finding.remedy) == (f"the extension for Blender is built: {built}", "")


@pytest.mark.parametrize("count", [3, 4, 9])
def test_of_many_packages_three_are_named(count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text("".join(f"not-there-{n}==2 \\\n    --hash=sha256:0\n" for n in range(count)), encoding="utf-8")
    monkeypatch.setattr(diagnosis, "BACKEND", dataclasses.replace(BACKEND, lock=lock))
    (finding,) = [one for one in wrong() if one.what.startswith("packages")]
    named = ", ".join(f"not-there-{n} is missing" for n in range(3))
    assert finding.what == f"packages: {named}" + (f" and {count - 3} more" if count > 3 else "")
    assert finding.remedy.startswith("delete .venv, then: ")


def test_a_line_says_how_bad_it_is() -> None:
    assert diagnosis.line(Finding("x")) == "ok       x"
    assert diagnosis.line(Finding("x", "mend it")) == "WRONG    x → mend it"
    assert diagnosis.line(Finding("x", "mend it", needed=False)) == "better   x → mend it"


@posix
def test_secrets_that_are_their_owners_alone_are_counted(home: Path) -> None:
    for name in ("config/keys/a.key", "config/profiles/b.json", "state/backend.log.1", "data/queue.db-wal"):
        (home / name).parent.mkdir(exist_ok=True, mode=0o700)
        (home / name).touch(0o600)
    (home / "config" / "keys" / "a.pub").touch(0o644)
    told = [one.what for one in found() if "their owner's alone" in one.what]
    assert told == ["4 files with keys, prompts or logs are their owner's alone"]
    (home / "config" / "keys" / "a.key").chmod(0o610)
    assert not [one for one in found() if "their owner's alone" in one.what]


@pytest.mark.parametrize("free", [0, 1_000_000_000, 2 * 1024**3 - 1])
def test_little_space_is_said(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: _Usage(free))
    (finding,) = wrong()
    assert finding.what == f"{free / 1e9:.1f} GB are free where results go"
    assert finding.remedy.endswith(f"at least {(2 * 1024**3 - free) / 1e9:.1f} GB")


def test_two_gibibytes_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: _Usage(2 * 1024**3))
    assert wrong() == []


@dataclasses.dataclass(frozen=True)
class _Usage:
    free: int


@posix
@pytest.mark.parametrize(("mode", "said"), [(0o702, True), (0o720, True), (0o755, False), (0o711, False)])
def test_settings_may_be_read_and_not_written_by_others(home: Path, mode: int, said: bool) -> None:
    (home / "config").chmod(mode)
    assert any("write into the settings folder" in one.what for one in wrong()) is said


@posix
@pytest.mark.parametrize("mode", [0o701, 0o702, 0o704, 0o710, 0o720, 0o740])
def test_data_and_state_are_nobody_elses(home: Path, mode: int) -> None:
    for name, folder in (("data", places.data_folder()), ("state", places.state_folder())):
        folder.chmod(mode)
        assert any(f"others can read the {name} folder" in one.what for one in wrong())
        folder.chmod(0o700)


def test_a_stale_connection_file_is_no_fault(home: Path) -> None:
    ended = subprocess.Popen(command("--version"), stdout=subprocess.DEVNULL)
    ended.wait()
    connection.write(places.connection_file(), msgspec.structs.replace(of_this_process(), pid=ended.pid, started=None))
    assert wrong() == []
    assert any("is stale" in one.what for one in found())


def test_a_process_that_does_not_answer_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "ANSWER_SECONDS", 0.5)
    connection.write(places.connection_file(), of_this_process())
    (finding,) = wrong()
    assert f"process {os.getpid()}, does not answer" in finding.what


def test_a_backend_that_answers(backend: Running) -> None:
    assert wrong() == []
    assert any(f"process {backend.process.pid}, answers" in one.what for one in found())


def doctor_of(*options: str) -> int:
    parsed = __main__._parser().parse_args(options)
    return int(parsed.run(parsed))


@posix
def test_exit_code_and_lines(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor_of("doctor") == 0
    assert "WRONG" not in capsys.readouterr().out
    expose_log(home)
    assert doctor_of("doctor") == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WRONG")]
    assert line.endswith(f'→ chmod 600 "{home / "state" / "backend.log.1"}"')
    assert doctor_of("doctor", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert not told["ok"]
    assert {"what", "remedy", "needed"} == set(told["findings"][0])


@posix
def test_rotated_logs_are_private_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "MAX_BYTES", 200)
    root = logging.getLogger()
    before, level, raising = root.handlers[:], root.level, logging.raiseExceptions
    mask = os.umask(0)
    try:
        logs.start(tmp_path / "state" / "backend.log")
        for number in range(30):
            logging.getLogger("test").info("line %d", number)
    finally:
        os.umask(mask)
        for handler in root.handlers:
            handler.close()
        logging.captureWarnings(False)
        root.handlers[:], root.level, logging.raiseExceptions = before, level, raising
    files = list((tmp_path / "state").iterdir())
    assert len(files) == logs.KEPT + 1
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
