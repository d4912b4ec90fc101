"""`doctor` finds what was broken here on purpose, and names what mends it; `report` tells no secret."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import re
import shutil
import socket
import sqlite3
import stat
import subprocess
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import zmq

from backend import __main__, logs
from backend.cli import diagnosis
from backend.cli.report import Redactor
from backend.installer import doctor
from backend.installer.clone import BACKEND
from backend.installer.doctor import Finding
from backend.orders import Sample
from backend.server.jobs import Job, Owner
from backend.server.schema import SCHEMA_VERSION
from backend.server.security import server_keys
from backend.server.store import JobStore
from elevator import Plan, Sources
from shared_protocol import connection
from shared_protocol.machine import places
from shared_protocol.messages import Failed
from tests.backend.harness import Running, command, greet
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
        (damage_database, "the database .* is damaged", "python -m backend serve", True),
        (cut_database, "the database .* is damaged", "python -m backend serve", True),
        (write_database_of_the_future, "written by a newer release", "git pull", True),
        (damage_connection_file, "connection file .* is damaged", "delete", True),
        (expose_connection_file, "[Oo]thers can read .*connection", "", True),
        (write_style_without_model, 'style "mine": .*nowhere.safetensors is missing', "docs/STYLES.md", False),
        (write_style_with_wrong_model, 'style "mine": .*neon is LoRA, not a text-to-image', "docs/STYLES.md", False),
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


# The report ---------------------------------------------------------------------------------------------------


@pytest.fixture
def maria(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Another user on another machine, with files in their own places."""
    house = tmp_path / "home" / "Maria Muster"
    for folder in (".config", ".local/state", ".local/share"):
        (house / folder / "video_elevator").mkdir(parents=True, mode=0o700)
    monkeypatch.delenv("ELEVATOR_HOME")
    for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, "mmuster")
    monkeypatch.setenv("HOME", str(house))
    monkeypatch.setattr(socket, "gethostname", lambda: "studio-seven.example")
    return house


def content_of(path: Path) -> str:
    """All that a reader of the zip can see."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return "\n".join([*archive.namelist(), *(archive.read(name).decode("utf-8") for name in archive.namelist())])


def test_a_report_tells_no_secret(maria: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lost = "Lost prompt of a row that is gone"
    keys = [key for _ in range(40) for key in (each.decode() for each in zmq.curve_keypair())]
    unknown = [key.decode() for _ in range(3) for key in zmq.curve_keypair()]
    pair = server_keys(places.config_folder() / "keys")
    connection.write(places.connection_file(), of_this_process())
    with closing(JobStore(places.data_folder() / "queue.db")) as jobs:
        jobs.add(job(1))
        jobs.add(job(2, "Ottilie dancing"))
        jobs.move(job(2).id, jobs.get(job(2).id).state.LOADING)  # type: ignore[union-attr]
        jobs.finish(Failed(job=job(2).id, code="model_missing", message=f"{PROMPT} of mmuster", next_step=""))
    record = places.data_folder() / "results" / f"{9:032x}" / "result.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"prompt": "Only in a record", "work": {"prompt": "x", "negative_prompt": "Hush"}}))
    hexes = "0123456789abcdef" * 4
    lines = [
        "2026-01-02 03:04:05,678 42 INFO backend.server.server: Ready at tcp://127.0.0.1:4711 with 5 styles.",
        "INFO backend.server.server: Other machines reach it at tcp://gpu-nine.example:5555.",
        f"ERROR no such file: {maria}/clips/Ottilie dancing/frame_0001.png",
        "ERROR no such file: /home/peter/x and C:\\Users\\Peter Pan\\x",
        f"INFO job {PROMPT!r} and {json.dumps(PROMPT)} and raw: {PROMPT}",
        f"INFO Job {5:032x}: {lost!r}",
        f"INFO prompt: {lost}",
        "WARNING The models do not know “Waldemar”: the clip is made all the same.",
        "INFO Only in a record, Hush",
        f"DEBUG secret={pair.secret} public {pair.public} hex {hexes} {hexes.upper()}",
        *(f"DEBUG key {key}" for key in unknown),
        *(f'DEBUG "client_secret":"{key}"' for key in keys),
        "INFO mmuster@studio-seven says Job " + f"{7:032x}: done.",
        '  File "/opt/x/site-packages/torch/nn/modules/module.py", line 1773, in _wrapped_call_impl',
    ]
    for name in ("backend.log", "worker.log.1"):
        (places.state_folder() / name).write_text("\n".join(lines), encoding="utf-8")
        (places.state_folder() / name).chmod(0o600)
    out = tmp_path / "report.zip"
    assert doctor_of("report", "--out", str(out)) == 0
    assert str(out) in capsys.readouterr().out
    assert stat.S_IMODE(out.stat().st_mode) == 0o600 or os.name != "posix"
    content = content_of(out)
    of_file = of_this_process()
    for secret in (
        *keys,
        *unknown,
        *(pair.public, pair.secret, hexes, of_file.client_secret, of_file.server_key),
        *("Ottilie", "garden", "dancing", "Waldemar", "Lost prompt", "Only in a record", "Hush"),
        *("Maria", "Muster", "mmuster", "studio-seven", "gpu-nine", "peter", "Peter Pan"),
    ):
        assert secret not in content, secret
        assert secret.lower() not in content.lower() or secret in ("Hush",), secret
    for kept in (
        "Ready at tcp://127.0.0.1:4711 with 5 styles.",
        f"Job {7:032x}: done.",
        '"model_missing"',
        "/opt/x/site-packages/torch/nn/modules/module.py",
        "report.json",
        "logs/worker.log.1",
        "pyzmq",
        '"plain"',
        "install.py is content",
    ):
        assert kept in content, kept


def test_a_report_is_made_of_whatever_is_there(maria: Path, tmp_path: Path) -> None:
    (places.data_folder() / "queue.db").write_bytes(b"no database")
    places.connection_file().write_bytes(b"\xff")
    (places.state_folder() / "backend.log").write_bytes(b"\xff\xfe\x00 bytes")
    (places.config_folder() / "keys").mkdir()
    (places.config_folder() / "keys" / "x.key").write_bytes(b"[]")
    (tmp_path / "old.zip").write_bytes(b"an older report")
    assert doctor_of("report", "--out", str(tmp_path / "old.zip")) == 0
    assert "file is not a database" in content_of(tmp_path / "old.zip")


def test_a_report_of_a_backend_that_runs(backend: Running, tmp_path: Path) -> None:
    with backend.client() as client:
        greet(client)
        client.end_of(client.submit("Ottilie on the swing"))
        assert doctor_of("report", "--out", str(tmp_path / "report.zip")) == 0
    content = content_of(tmp_path / "report.zip")
    assert '"workers"' in content
    assert "Ottilie" not in content
    for key in (backend.connection.client_secret, backend.connection.client_public, backend.connection.server_key):
        assert key not in content


def test_words_of_ours_stay_readable() -> None:
    redactor = Redactor(secrets=[], prompts=["it"], names=["a", "", "root"], homes=[Path("/")])
    text = "A job failed: it waits at /root in backend.server.scheduler. " * 3
    assert redactor.text(text).count("«name»") == 3  # "A" alone is a word, and a name
    assert Redactor(secrets=[], prompts=[], names=[], homes=[]).text(text) == text


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
