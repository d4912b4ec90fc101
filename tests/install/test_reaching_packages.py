"""Setting up where machines are really set up: behind a proxy, without git and compiler, beside an index that lies."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.install.test_commands import SETUP, install

pytestmark = pytest.mark.process
HOST = "packages.invalid"
"""No name server knows it, so only a proxy can bring its packages."""
WHEEL = "tiny-1-py3-none-any.whl"


def wheel(path: Path) -> Path:
    """A package that has nothing but a name."""
    files = {
        "tiny.py": "",
        "tiny-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n",
        "tiny-1.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files["tiny-1.dist-info/RECORD"] = "".join(f"{each},,\n" for each in (*files, "tiny-1.dist-info/RECORD"))
    with zipfile.ZipFile(path, "w") as content:
        for name, text in files.items():
            content.writestr(name, text)
    return path


@pytest.fixture
def package(folder: Path) -> Path:
    return wheel(folder / WHEEL)


@pytest.fixture
def proxy(package: Path) -> Iterator[tuple[str, list[str]]]:
    """A proxy behind which an index is: its address, and what was asked of it."""
    asked: list[str] = []
    pages = {
        f"http://{HOST}/simple/tiny/": f'<a href="/files/{WHEEL}">{WHEEL}</a>'.encode(),
        f"http://{HOST}/files/{WHEEL}": package.read_bytes(),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            page = pages.get(self.path)
            self.send_response(200 if page is not None else 404)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(page or b"")))
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()
        thread.join()


@pytest.fixture
def online(offline: dict[str, str], proxy: tuple[str, list[str]]) -> dict[str, str]:
    """Environment variables of a machine that reaches the index through the proxy alone."""
    env = {name: value for name, value in offline.items() if not name.lower().endswith("_proxy")}
    del env["PIP_NO_INDEX"]
    index = {"PIP_INDEX_URL": f"http://{HOST}/simple", "PIP_TRUSTED_HOST": HOST, "PIP_RETRIES": "0"}
    return {**env, **index, "HTTP_PROXY": proxy[0], "http_proxy": proxy[0]}


def lock(copy: Path, sha256: str) -> None:
    (copy / "requirements.lock").write_text(f"tiny==1 \\\n    --hash=sha256:{sha256}\n", encoding="utf-8")


def test_packages_come_through_a_proxy(
    copy: Path, online: dict[str, str], package: Path, proxy: tuple[str, list[str]]
) -> None:
    lock(copy, hashlib.sha256(package.read_bytes()).hexdigest())
    done = install(copy, online, *SETUP)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"http://{HOST}/files/{WHEEL}" in proxy[1]
    assert list(copy.glob(".venv/**/site-packages/tiny.py"))


def test_a_package_of_another_content_is_refused(copy: Path, online: dict[str, str]) -> None:
    lock(copy, "0" * 64)
    done = install(copy, online, *SETUP)
    assert done.returncode == 1
    assert "is not the file that the lock names" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(copy.glob(".venv/**/site-packages/tiny.py"))


def test_neither_git_nor_a_compiler_is_asked_for(copy: Path, online: dict[str, str], package: Path) -> None:
    lock(copy, hashlib.sha256(package.read_bytes()).hexdigest())
    (copy / "nothing").mkdir()
    done = install(copy, {**online, "PATH": str(copy / "nothing")}, *SETUP)
    assert done.returncode == 0, done.stdout + done.stderr
