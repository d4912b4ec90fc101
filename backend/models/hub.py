"""The hub over HTTP: what a file there is, and its bytes from any place on.

Our own few lines rather than huggingface_hub's: a download must go on after a kill, notice a stall, compare hashes
and never send a token elsewhere, and its library does half of that, each release another half. It speaks the same
addresses, variables and headers:

* `HEAD /{repo}/resolve/{revision}/{file}` answers with `X-Linked-Size` and `X-Linked-Etag` (the SHA-256) for large
  files, and with `Content-Length` and `ETag` (git's hash) for small ones; `GET` leads elsewhere, to a store.
* `HF_ENDPOINT` names a mirror; `HF_TOKEN`, or the file of the hub's own login, a token; `HF_HUB_OFFLINE` forbids all.
"""

from __future__ import annotations

import os
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urljoin, urlsplit

from shared_protocol import VERSION
from shared_protocol.edited import NoText, text_of

from .failures import ModelFailure

ENDPOINT = "https://huggingface.co"
SECONDS = 30.0
"""Of silence, after which a connection counts as broken."""
MOST_REDIRECTS = 10
BUSY = frozenset({408, 425, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MEANS_YES = frozenset({"1", "ON", "YES", "TRUE"})
_NO_REPOSITORY = frozenset({"RepoNotFound", "RevisionNotFound", "EntryNotFound"})
"""What the hub says in a header where it answers 401 to hide what is not there."""


class Broken(Exception):
    """A request failed in a way that another try may mend. The message says how, in few words."""

    def __init__(self, detail: str, *, status: int = 0, wait: float | None = None) -> None:
        super().__init__(detail)
        self.status = status
        """Of the answer; 0: there was none."""
        self.wait = wait
        """Seconds that the other side asks for."""


@dataclass(frozen=True)
class Remote:
    """A file as the hub has it."""

    size: int
    """Bytes."""
    etag: str
    """Changes with the content."""
    sha256: str | None
    git_sha1: str | None
    """Git's hash of a small file's content."""
    commit: str
    """The revision that this is of, or ""."""


def offline_because(*, asked: bool = False) -> str:
    """Why nothing may be downloaded, as the rest of a sentence, or "". `asked`: by --offline."""
    if asked:
        return "--offline was given"
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(name, "").upper() in _MEANS_YES:
            return f"the variable {name} is set"
    return ""


def token() -> str | None:
    """The user's token for the hub: that of the variable, else that of the hub's own login. Raises nothing."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if text := os.environ.get(name, "").strip():
            return text
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache"), "huggingface"
    )
    try:
        text = text_of(Path(os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")).read_bytes(), wide=True)
    except (OSError, NoText):
        return None
    return text.strip() if text.isascii() and text.strip() else None


def endpoint() -> str:
    """The hub's address, or its mirror's. Raises ModelFailure if the variable holds none."""
    text = os.environ.get("HF_ENDPOINT", "").strip().rstrip("/") or ENDPOINT
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        good = good and not parts.query and not parts.fragment and parts.port != 0 and re.search(r"\s", text) is None
    except ValueError:
        good = False
    if not good:
        raise ModelFailure("endpoint_unusable", endpoint=re.sub(r"//.*@", "//…@", text))
    return text


@dataclass(frozen=True)
class Hub:
    """The hub or a mirror. Nothing is sent before a file is asked for."""

    address: str = field(default_factory=endpoint)
    token: str | None = field(default_factory=token, repr=False)
    """Sent only where the hub wants to know who asks, and to no other host."""
    seconds: float = SECONDS
    """Of silence, after which a connection counts as broken."""

    @property
    def host(self) -> str:
        """For sentences."""
        return urlsplit(self.address).netloc

    def look(self, repo: str, revision: str, file: str) -> Remote:
        """What the file is. Raises Broken and ModelFailure."""
        with self._asked("HEAD", repo, revision, file, {}) as answer:
            headers = answer.headers
        etag = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
        length = headers.get("X-Linked-Size") or headers.get("Content-Length") or ""
        if not length.isdecimal() or len(length) > 15:
            raise ModelFailure(
                "hub_refused", host=self.host, file=file, repo=repo, detail="it does not say how large that is"
            )
        return Remote(
            size=int(length),
            etag=etag,
            sha256=etag.lower() if re.fullmatch(r"[0-9a-fA-F]{64}", etag) else None,
            git_sha1=etag.lower() if re.fullmatch(r"[0-9a-fA-F]{40}", etag) else None,
            commit=headers.get("X-Repo-Commit", ""),
        )

    def opened(self, repo: str, revision: str, file: str, start: int) -> tuple[HTTPResponse, int]:
        """The file's bytes, and at which one they begin: at `start`, or at 0 if the other side knows no ranges.

        Raises Broken and ModelFailure.
        """
        headers = {"Range": f"bytes={start}-"} if start else {}
        answer = self._asked("GET", repo, revision, file, headers)
        if answer.status != 206:
            return answer, 0
        told = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
        if told is None or int(told[1]) != start:
            answer.close()
            raise Broken("the other side sent another part than was asked for")
        return answer, start

    def _asked(
        self, method: Literal["HEAD", "GET"], repo: str, revision: str, file: str, headers: Mapping[str, str]
    ) -> HTTPResponse:
        """An answer of status 200 or 206. Raises Broken and ModelFailure."""
        url = f"{self.address}/{quote(repo)}/resolve/{quote(revision, safe='')}/{quote(file)}"
        answer = self._followed(method, url, headers, None)
        if answer.status in (401, 403) and self.token and self._may_have_token:
            answer.close()
            answer = self._followed(method, url, headers, self.token)
        if answer.status in (200, 206) or (method == "HEAD" and answer.status in _REDIRECTS):
            return answer
        answer.close()
        if answer.status in BUSY:
            wait = _wait(answer.headers.get("Retry-After", ""))
            raise Broken(f"the other side answers with status {answer.status}", status=answer.status, wait=wait)
        if answer.status == 416:
            raise Broken("the other side has no more of it", status=416)
        host, status = self.host, answer.status
        if status in (404, 410) or answer.headers.get("X-Error-Code") in _NO_REPOSITORY:
            raise ModelFailure("hub_lacks", host=host, file=file, repo=repo, status=status)
        if status in (401, 403):
            raise ModelFailure("hub_denied", host=host, file=file, repo=repo, status=status)
        raise ModelFailure("hub_refused", host=host, file=file, repo=repo, detail=f"it answers with status {status}")

    @property
    def _may_have_token(self) -> bool:
        """Whether nobody on the way could read it."""
        parts = urlsplit(self.address)
        return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "::1", "localhost")

    def _followed(
        self, method: Literal["HEAD", "GET"], url: str, headers: Mapping[str, str], token: str | None
    ) -> HTTPResponse:
        """The answer after all redirects. A HEAD ends where the hub has said what the file is. Raises Broken."""
        origin = _origin(url)
        for _ in range(MOST_REDIRECTS):
            request = urllib.request.Request(url, method=method)
            request.add_header("User-Agent", f"video-elevator/{VERSION}")
            request.add_header("Accept-Encoding", "identity")  # else a length is not the file's
            for name, value in headers.items():
                request.add_header(name, value)
            if token is not None and _origin(url) == origin:
                request.add_unredirected_header("Authorization", f"Bearer {token}")
            answer = self._sent(request)
            if answer.status not in _REDIRECTS:
                return answer
            if method == "HEAD" and "X-Linked-Size" in answer.headers:
                return answer
            answer.close()
            url = self._next(url, answer.headers.get("Location", ""))
        raise Broken("the other side leads from place to place without an end")

    def _next(self, url: str, location: str) -> str:
        """Where a redirect leads. Raises Broken where nobody should follow."""
        try:
            following = urljoin(url, location)
            parts = urlsplit(following)
            known = parts.scheme in ("http", "https") and bool(parts.hostname)
        except ValueError:
            known = False
        if not location or not known:
            raise Broken("the other side leads to what is no address")
        if urlsplit(url).scheme == "https" and parts.scheme == "http":
            raise Broken("the other side leads to a place without encryption")
        return following

    def _sent(self, request: urllib.request.Request) -> HTTPResponse:
        """The answer to one request, whatever its status. Raises Broken without one."""
        # Without urllib's own ways with statuses and redirects: these would take the token along to any other host.
        opener = urllib.request.OpenerDirector()
        for handler in (urllib.request.ProxyHandler, urllib.request.HTTPHandler, urllib.request.HTTPSHandler):
            opener.add_handler(handler())
        try:
            answer = opener.open(request, timeout=self.seconds)
        except urllib.error.URLError as error:
            raise Broken(reason(error.reason)) from error
        except (OSError, HTTPException, ValueError) as error:
            raise Broken(reason(error)) from error
        assert isinstance(answer, HTTPResponse)  # nothing but http and https is asked
        return answer


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def reason(error: object) -> str:
    """Why a connection failed, in few words, and never with an address: those of stores are signed."""
    match error:
        case TimeoutError():
            return "the other side was silent for too long"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted here ({error.verify_message})"
        case ssl.SSLError():
            return "the encryption failed"
        case ConnectionRefusedError():
            return "nobody answers there"
        case ConnectionError() | HTTPException():
            return "the connection was closed"
        case OSError(strerror=str(text)):
            return text
    return "the connection failed"


def _wait(text: str) -> float | None:
    """Seconds that a `Retry-After` asks for."""
    if text.strip().isdecimal():
        return min(float(text), 1e6)
    try:
        then = parsedate_to_datetime(text)
        return max(0.0, then.timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None
