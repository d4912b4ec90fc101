"""What the server's children get of its environment: no secrets, and all that devices and libraries need."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import psutil
import pytest

from backend.child_environment import child_environment, looks_secret
from backend.server.weigher import Weigher
from shared_protocol.messages import Done, Generate
from tests.backend.harness import greet, running, until
from tests.backend.orders import order

SECRETS = {
    "HF_TOKEN": "hf_planted",
    "HUGGING_FACE_HUB_TOKEN": "hf_planted",
    "GITHUB_TOKEN": "ghp_planted",
    "ELEVATOR_HF_TOKEN": "planted",
    "token": "planted",
    "OPENAI_API_KEY": "sk-planted",
    "APIKEY": "planted",
    "WANDB_API_KEY": "planted",
    "SSH_PRIVATE_KEY": "planted",
    "AWS_ACCESS_KEY_ID": "planted",
    "AWS_SESSION_TOKEN": "planted",
    "AWS_PROFILE": "planted",
    "AZURE_CLIENT_ID": "planted",
    "DB_PASSWORD": "planted",
    "MYSQL_PWD": "planted",
    "PGPASSFILE_PASSWORD": "planted",
    "SMTP_PASS": "planted",
    "CLIENT_SECRET": "planted",
    "SECRET_KEY_BASE": "planted",
    "GOOGLE_APPLICATION_CREDENTIALS": "/planted",
    "SENTRY_DSN": "planted",
    "SSH_AUTH_SOCK": "/planted",
    "https_proxy": "http://maria:planted@proxy:3128",
    "DATABASE_URL": "postgres://maria:planted@db/x",
}
NEEDED = {
    "PATH": "/usr/bin",
    "PWD": "/",
    "OLDPWD": "/",
    "HOME": "/home/maria",
    "LANG": "de_DE.UTF-8",
    "LD_LIBRARY_PATH": "/usr/local/cuda/lib64",
    "CUDA_VISIBLE_DEVICES": "0,1",
    "CUDA_HOME": "/usr/local/cuda",
    "CUDA_CACHE_PATH": "/tmp/x",
    "NVIDIA_VISIBLE_DEVICES": "all",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
    "TORCH_HOME": "/x",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HOME": "/x",
    "HF_HUB_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "HSA_OVERRIDE_GFX_VERSION": "10.3.0",
    "TMPDIR": "/tmp",
    "ELEVATOR_HOME": "/x",
    "XDG_DATA_HOME": "/x",
    "SYSTEMROOT": "C:\\Windows",
    "USERPROFILE": "C:\\Users\\x",
    "KEYBOARD": "de",
    "PATHEXT": ".EXE",
    "http_proxy": "http://proxy:3128",
}


@pytest.mark.parametrize("name", SECRETS)
def test_what_looks_like_a_secret_is_left_out(name: str) -> None:
    assert looks_secret(name, SECRETS[name])


@pytest.mark.parametrize("name", NEEDED)
def test_what_is_needed_stays(name: str) -> None:
    assert not looks_secret(name, NEEDED[name])


def test_nothing_else_changes() -> None:
    assert child_environment({**SECRETS, **NEEDED}) == NEEDED


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CUDA_CACHE_PATH", "/kept")


def is_clean(given: dict[str, str]) -> bool:
    return not SECRETS.keys() & given.keys() and "planted" not in "".join(given.values())


@pytest.mark.skipif(sys.platform == "win32", reason="environments of others are hard to read there")
@pytest.mark.usefixtures("planted")
def test_the_worker_gets_none(home: Path) -> None:
    """Asked of the process itself; a clip is made all the same."""
    with running() as backend, backend.client() as client:
        greet(client)
        assert isinstance(client.end_of(client.submit()), Done)
        (worker,) = backend.family
        given = worker.environ()
        assert not is_clean(psutil.Process(backend.process.pid).environ()), "the server has them"
    assert is_clean(given)
    assert given["CUDA_CACHE_PATH"] == "/kept"
    assert given["OMP_WAIT_POLICY"] == "PASSIVE"


@pytest.mark.process
@pytest.mark.usefixtures("planted")
def test_the_weigher_gets_none(tmp_path: Path) -> None:
    code = "import json, os, sys; sys.stdin.read(); json.dump(dict(os.environ), open(sys.argv[1], 'w')); print('{}')"
    weigher = Weigher((sys.executable, "-c", code, str(tmp_path / "given")))
    clip = Generate(job="a" * 32, prompt="a", style="plain", frames=2, width=64, height=64, seed=1)
    assert weigher.ask(b"me", clip, order(), "cpu") is None
    assert until(lambda: bool(list(weigher.look())), 60)
    weigher.close()
    given = json.loads((tmp_path / "given").read_text())
    assert is_clean(given)
    assert given["CUDA_CACHE_PATH"] == "/kept"
