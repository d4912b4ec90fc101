"""`report` tells no secret, whatever was planted and wherever; and it is made of whatever is there."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import stat
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from backend import __main__
from backend.cli.known_here import redactor_here
from backend.cli.redacting import Redactor
from backend.failures import BackendError
from backend.installer import doctor
from backend.installer.doctor import Finding
from backend.serve_options import ServeOptions
from backend.server.keys import server_keys
from backend.server.only_one import only_one
from backend.server.store import JobStore
from shared_protocol import VERSION, connection
from shared_protocol.machine import files, places
from shared_protocol.messages import Failed
from tests.backend.cli.test_diagnosis import PROMPT, job
from tests.backend.harness import Running, greet
from tests.protocol.test_connection_file import of_this_process


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """install.py's own findings are tested with it; here they would only start torch again and again."""
    monkeypatch.setattr(doctor, "findings", lambda: iter([Finding("install.py is content")]))
    for folder in ("config", "state", "data"):
        (home / folder).mkdir(mode=0o700, parents=True)


def doctor_of(*options: str) -> int:
    parsed = __main__._parser().parse_args(options)
    return int(parsed.run(parsed))


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
    (places.state_folder() / "worker.log").mkdir()
    (places.config_folder() / "keys").mkdir()
    (places.config_folder() / "keys" / "x.key").write_bytes(b"[]")
    (tmp_path / "old.zip").write_bytes(b"an older report")
    assert doctor_of("report", "--out", str(tmp_path / "old.zip")) == 0
    content = content_of(tmp_path / "old.zip")
    assert "file is not a database" in content
    assert "Is a directory" in content
    assert doctor_of("report", "--out", str(tmp_path / "new" / "report.zip")) == 0, "its folder is made"


def test_a_place_that_cannot_be_written_is_said(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendError) as caught:
        doctor_of("report", "--out", str(tmp_path / "file" / "report.zip"))
    assert (caught.value.code, caught.value.exit_code) == ("folder_unwritable", 5)


def facts_of(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        facts: dict[str, Any] = json.loads(archive.read("report.json"))
    return facts


def test_the_last_jobs_are_told_newest_first_with_what_ended_them(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.cli.report.LAST_JOBS", 3)
    with closing(JobStore(places.data_folder() / "queue.db")) as jobs:
        for number in range(1, 6):
            jobs.add(job(number))
        for number in (1, 2, 3):
            jobs.move(job(number).id, jobs.get(job(number).id).state.LOADING)  # type: ignore[union-attr]
            jobs.finish(Failed(job=job(number).id, code="model_missing", message="x", next_step=""))
    with closing(sqlite3.connect(places.data_folder() / "queue.db")) as base:
        base.execute("UPDATE jobs SET ended = 1000.0 WHERE id = ?", [job(1).id])
        base.execute("UPDATE jobs SET ended = 3000.0, ending = '{' WHERE id = ?", [job(2).id])
        base.execute("UPDATE jobs SET ended = 2000.0 WHERE id = ?", [job(3).id])
        base.commit()
    out = tmp_path / "report.zip"
    assert doctor_of("report", "--out", str(out)) == 0
    queue = facts_of(out)["queue"]
    assert queue["states"] == {"queued": 2, "failed": 3}
    told = [(int(one["job"], 16), one["state"], one["failure"]) for one in queue["last"]]
    assert told == [(4, "queued", ""), (5, "queued", ""), (2, "failed", "unreadable")]
    monkeypatch.setattr("backend.cli.report.LAST_JOBS", 50)
    assert doctor_of("report", "--out", str(out)) == 0
    older = [(int(one["job"], 16), one["failure"]) for one in facts_of(out)["queue"]["last"][3:]]
    assert older == [(3, "model_missing"), (1, "model_missing")]


def test_of_a_log_the_last_lines_go_in(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.cli.report.LOG_LINES", 3)
    (places.state_folder() / "backend.log").write_text("".join(f"line {n} of it\n" for n in range(9)))
    assert doctor_of("report", "--out", str(tmp_path / "report.zip")) == 0
    with zipfile.ZipFile(tmp_path / "report.zip") as archive:
        assert archive.read("logs/backend.log").decode() == "line 6 of it\nline 7 of it\nline 8 of it"


def test_what_the_report_says_of_settings_and_styles(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELEVATOR_FAKE_STEP_SECONDS", "0.5")
    out = tmp_path / "report.zip"
    assert doctor_of("report", "--out", str(out)) == 0
    facts = facts_of(out)
    assert facts["settings"]["defaults"]["grace"] == ServeOptions().grace
    assert facts["settings"]["environment"]["ELEVATOR_FAKE_STEP_SECONDS"] == "0.5"
    assert set(facts["settings"]["environment"]) <= {name for name in os.environ if name.startswith("ELEVATOR_")}
    assert facts["settings"]["install_file"] == "FileNotFoundError"
    assert facts["findings"][0]["what"] == "install.py is content"
    assert facts["styles"]["plain"]["fps"] == 8
    assert facts["styles"]["plain"]["presets"] == sorted(facts["styles"]["plain"]["presets"])
    assert facts["backend"] == "No backend runs."
    with only_one(places.lock_file()):
        assert doctor_of("report", "--out", str(out)) == 0
    assert facts_of(out)["backend"] == f"No backend runs. But process {os.getpid()} holds the lock of one."
    assert facts["versions"]["elevator"] == VERSION
    assert re.fullmatch(r"\d\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts["written"])


def test_what_cannot_be_read_hides_nothing_else(maria: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records, profiles and accounts that are not as ours are."""
    results, profiles = places.data_folder() / "results", places.profiles_folder()
    for number, text in enumerate(("{", "[]", json.dumps({"prompt": "Only in a record"}))):
        (results / str(number)).mkdir(parents=True)
        (results / str(number) / "result.json").write_text(text)
    profiles.mkdir()
    for number, endpoint in enumerate(("ipc:///tmp/x", "tcp://planted-gpu:5577", "tcp://[fe80::1]:5577")):
        (profiles / f"p{number}.json").write_text(json.dumps({"endpoint": endpoint}))

    def nobody() -> str:
        raise KeyError("no such account")

    monkeypatch.setattr("getpass.getuser", nobody)
    shown = redactor_here().text("Only in a record; planted-gpu; studio-seven; Muster")
    for gone in ("Only in a record", "planted-gpu", "studio-seven"):
        assert gone not in shown


def test_names_of_the_users_own_keys_go_and_the_servers_stays(home: Path) -> None:
    (home / "config" / "keys").mkdir()
    for name in ("studio.key", "studio.pub", "server.key", "server.pub"):
        (home / "config" / "keys" / name).write_text("{}")
    assert redactor_here().text("keys studio and server") == "keys «key 1» and server"


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


def test_a_file_of_the_user_that_is_called_like_a_word_of_ours_hides_none(maria: Path) -> None:
    ours = ("video_guidance", "example_prompt", "scheduler", "plain", "balanced")  # setting, key, file, style, preset
    loras = places.config_folder() / "loras"
    loras.mkdir()
    for name in (*ours, "Ottilie"):
        (loras / f"{name}.safetensors").touch()
    text = redactor_here().text(f"{', '.join(ours)} are words, Ottilie is none")
    assert text.startswith(f"{', '.join(ours)} are words")
    assert "Ottilie" not in text


# Planted everywhere -------------------------------------------------------------------------------------------

TOKEN = "hf_PLANTEDtokenPLANTEDtoken"
STYLE = """
title = "PLANTEDtitle"
description = "PLANTEDdescription of {token}"
base = "plantedbase"
preset = "PLANTEDpreset"
prompt = "{{prompt}}, PLANTEDwords"
example_prompt = "PLANTEDexample"
loras = [{{ path = "PLANTEDlora.safetensors", weight = 1.0 }}]
"""
LINES = (
    f"connect to 192.168.7.9 with token={TOKEN}",
    "fe80::1ff:fe23:4567:890a%enp3s0 and 02:42:ac:11:00:02 and planted-gpu.example",
    "loading /mnt/PLANTEDdisk/PLANTEDmodel final.safetensors",
    'File "/home/mmuster/PLANTEDdir/PLANTED model.safetensors", line 3, in load',
    "https://maria:PLANTEDpass@planted-gpu.example/PLANTEDpath?key=PLANTED",
    "password: PLANTED horse battery",
    "Authorization: Bearer PLANTEDbearer",
    "style plantedstyle, profile planted_profile, LoRA PLANTEDink, preset PLANTEDpreset",
    "mail maria@planted-host.example",
)
TRACE = """2026-01-02 03:04:05,678 42 ERROR backend.worker.process: A job failed.
  | Traceback (most recent call last):
  |   File "/home/mmuster/PLANTEDdir/load.py", line 9, in load
  |     api_key = "PLANTEDapikey"
  | OSError: [Errno 2] No such file or directory: '/mnt/PLANTEDdisk/PLANTEDmodel.safetensors'
"""
SECRETS = ("PLANTED", "plantedstyle", "plantedbase", "planted_profile", "planted-gpu", "planted-host", "hf_P", "Anna")
ADDRESSES = (
    "192.168.7.9",
    "10.1.2.3",
    "fe80",
    "02:42:ac",
    "enp3s0",
    "horse battery",
    "maria@",
    "mmuster",
    "studio-seven",
)


def plant(monkeypatch: pytest.MonkeyPatch, house: Path) -> None:
    """Secrets in every kind of place that a report is made of."""
    config, state, data = places.config_folder(), places.state_folder(), places.data_folder()
    for folder in ("styles", "bases", "loras/PLANTEDfolder", "profiles", "keys", "authorized"):
        (config / folder).mkdir(parents=True)
    weights = Path(doctor.MODELS)
    (config / "bases" / "plantedbase.toml").write_text(
        f'title = "PLANTEDbase"\nt2i = "PLANTEDt2i.safetensors"\nt2v = "{weights / "zeroscope"}"\n'
        "[presets.PLANTEDpreset]\nguidance = 3\n",
        encoding="utf-8",
    )
    (config / "styles" / "plantedstyle.toml").write_text(STYLE.format(token=TOKEN), encoding="utf-8")
    broken = ('nope = "PLANTEDvalue"', 'title = 3\nPLANTEDkey = "x"', f'title = "{TOKEN}', 'base = "PLANTEDnobase"')
    for number, text in enumerate(broken):
        (config / "styles" / f"plantedstyle_{number}.toml").write_text(text, encoding="utf-8")
    (config / "styles" / "PLANTED wrong name.toml").write_text("", encoding="utf-8")
    (config / "loras" / "PLANTEDfolder" / "PLANTEDink.safetensors").write_bytes(b"x")
    (config / "authorized" / "PLANTEDkey.pub").write_text("PLANTEDno key")
    (config / "backend.json").write_text(
        json.dumps({"python": f"{house}/venv/bin/python", "token": "PLANTED", "url": "tcp://10.1.2.3:99", "x": TOKEN})
    )
    profile = {**json.loads(_encoded(of_this_process())), "pid": 0, "endpoint": "tcp://planted-gpu.example:5577"}
    files.write(config / "profiles" / "planted_profile.json", json.dumps(profile).encode())
    for name in ("backend.log", "backend.log.2", "worker.log", "worker_output_auto.log", "backend_start.log"):
        head = "2026-01-02 03:04:05,678 42 INFO backend.server.desk: A client has come: Blender of Anna PLANTED."
        files.write(state / name, "\n".join([head, *LINES, TRACE, f"x{TOKEN}", *LINES]).encode())
    for name, text in {"HF_TOKEN": TOKEN, "ELEVATOR_API_KEY": "PLANTED", "MY_PASSWORD": "swordfish-PL4NTED"}.items():
        monkeypatch.setenv(name, text)
    with (state / "worker_output_auto.log").open("a") as file:
        file.write("\nsaid by a library: swordfish-PL4NTED\n")
    with closing(JobStore(data / "queue.db")) as jobs:
        jobs.add(job(1))
        jobs.move(job(1).id, jobs.get(job(1).id).state.LOADING)  # type: ignore[union-attr]
        jobs.finish(Failed(job=job(1).id, code="model_missing", message="PLANTED", next_step=TOKEN))


def _encoded(one: connection.Connection) -> bytes:
    import msgspec

    return msgspec.json.encode(one)


def test_nothing_that_was_planted_is_left(maria: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, maria)
    assert doctor_of("report", "--out", str(tmp_path / "report.zip")) == 0
    content = content_of(tmp_path / "report.zip")
    for secret in (*SECRETS, *ADDRESSES, "swordfish"):
        where = [line for line in content.splitlines() if secret.lower() in line.lower()]
        assert not where, (secret, where)
    for kept in (
        '"model_missing"',
        "logs/worker_output_auto.log",
        "A job failed.",
        "Traceback (most recent call last):",
        "OSError: [Errno 2] No such file or directory",
        '"plain"',
        "is skipped: ",
        "«style ",
        "A client has come: «client»",
    ):
        assert kept in content, kept


def test_half_a_token_at_the_beginning_of_what_goes_in_is_left_out(
    maria: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.cli.report.LOG_BYTES", 100)
    text = f"INFO token={'Q' * 60}PLANTED\n" + "INFO x: fine" * 6 + "\n"
    files.write(places.state_folder() / "backend.log", text.encode())
    assert doctor_of("report", "--out", str(tmp_path / "report.zip")) == 0
    content = content_of(tmp_path / "report.zip")
    assert "PLANTED" not in content
    assert "INFO x: fine" in content
