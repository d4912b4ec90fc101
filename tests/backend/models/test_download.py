"""Downloads from a hub that breaks: every file comes whole or not at all, and every end is a sentence."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import shutil
import signal
import ssl
import subprocess
import time
from email.utils import formatdate
from http.client import IncompleteRead
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from backend.models import download, getting
from backend.models.catalogue import read_catalogue
from backend.models.failures import ModelFailure
from backend.models.getting import Means, Meter, Step
from backend.models.hub import Broken, Hub, offline_because, reason, token
from backend.models.stock import Got, changing, place_of, read_stock
from shared_protocol import VERSION
from shared_protocol.machine import places
from tests.backend.harness import ROOT, command, until
from tests.backend.models.conftest import BIG, CONFIG, LORA, UNET
from tests.backend.models.hub_server import Answering, Fault, HubServer, corrupt, cut, shorter, stall, status

SECRET = "hf_verySecretToken"


def get(means: Means, *names: str) -> list[Got]:
    return getting.get(read_catalogue(), names, means, lambda step: None)


def refused(means: Means, *names: str) -> ModelFailure:
    with pytest.raises(ModelFailure) as told:
        get(means, *names)
    text = str(told.value)
    assert "\n" not in text
    assert "signature" not in text
    assert SECRET not in text
    return told.value


def everything() -> list[str]:
    """Names of all files below the folder of models, but for the list and the lock."""
    folder = places.models_folder()
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(set(names) - {"got.json", ".lock"})


def test_a_set_comes_whole_and_is_noted(hub: HubServer, means: Means) -> None:
    new = get(means, "pair")
    assert everything() == ["big/big.safetensors", "video/unet/config.json", "video/unet/diffusion_pytorch_model.bin"]
    for got, name in zip(sorted(new, key=lambda got: got.path), (BIG, CONFIG, UNET), strict=True):
        assert got.place.read_bytes() == hub.files[name]
        assert got.sha256 == hub.hash_of(name)
        assert (got.published, got.revision, got.size) == (True, "c" * 40, len(hub.files[name]))
    assert {got.path for got in read_stock()} == {got.path for got in new}
    assert all("/resolve/abc/" in one.path for one in hub.seen if "video" in one.path)
    before = len(hub.seen)
    assert get(means, "pair") == []
    assert len(hub.seen) == before, "what is here is asked for no more"


INTERRUPTIONS: dict[str, tuple[Fault, int]] = {
    "cut": (cut(1_000_000), 1_000_000),
    "cut at once": (cut(0), 0),
    "stall": (stall(1_000_000), 1_000_000),
    "truncated": (shorter(100_000), 2_900_000),
    "503": (status(503), 0),
    "429": (status(429, Retry_After="7"), 0),
    "500": (status(500), 0),
}
"""Each with how many bytes came before it."""


@pytest.mark.parametrize("name", INTERRUPTIONS)
def test_after_an_interruption_it_goes_on_where_it_was(
    hub: HubServer, means: Means, waits: list[float], name: str
) -> None:
    fault, kept = INTERRUPTIONS[name]
    hub.faults[BIG] = [fault]
    get(means, "big")
    assert place_of("big", "big.safetensors").read_bytes() == hub.files[BIG]
    assert [one.start for one in hub.gets("big")] == [0, kept]
    assert waits == [7 if name == "429" else 1]
    assert everything() == ["big/big.safetensors"]


def test_what_came_is_not_asked_for_again(hub: HubServer, means: Means) -> None:
    hub.faults[BIG] = [cut(1_000_000), cut(500_000)]
    get(means, "big")
    assert [one.start for one in hub.gets("big")] == [0, 1_000_000, 1_500_000]


def test_after_as_many_tries_without_a_byte_it_gives_up_and_keeps_what_came(hub: HubServer, means: Means) -> None:
    hub.faults[BIG] = [cut(1_000_000), *[cut(0)] * 2]
    failure = refused(means, "big")
    assert failure.code == "transfer_broken"
    assert "goes on where it stopped" in failure.next_step
    assert everything() == ["big/.big.safetensors.part", "big/.big.safetensors.part.json"]
    get(means, "big")
    assert hub.gets("big")[-1].start == 1_000_000
    assert everything() == ["big/big.safetensors"]


def test_a_line_that_breaks_ever_again_but_brings_something_is_no_reason_to_give_up(
    hub: HubServer, means: Means
) -> None:
    hub.faults[BIG] = [cut(300_000) for _ in range(9)]
    get(means, "big")
    assert len(hub.gets("big")) == 10


def test_damage_is_mended_by_a_second_try_from_the_start(hub: HubServer, means: Means) -> None:
    hub.faults[BIG] = [corrupt]
    get(means, "big")
    assert place_of("big", "big.safetensors").read_bytes() == hub.files[BIG]
    assert [one.start for one in hub.gets("big")] == [0, 0]


@pytest.mark.parametrize(("model", "name"), [("big", BIG), ("lora", LORA)])
def test_what_stays_damaged_is_not_kept(hub: HubServer, means: Means, model: str, name: str) -> None:
    """Against the catalogue's hash, and where that has none against the hub's."""
    hub.faults[name] = [corrupt, corrupt]
    assert refused(means, model).code == "file_damaged"
    assert everything() == []
    assert read_stock() == ()


def test_a_small_file_is_compared_with_gits_hash(hub: HubServer, means: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which the hub tells no other."""
    told = hub.files[CONFIG]
    real = Hub.look

    def look(self: Hub, *asked: str) -> Any:
        seen = real(self, *asked)
        if asked[2] == "unet/config.json":
            hub.files[CONFIG] = told[:-1] + b" "
        return seen

    monkeypatch.setattr(Hub, "look", look)
    assert refused(means, "video").code == "file_damaged"
    assert everything() == ["video/unet/diffusion_pytorch_model.bin"]


def test_a_damaged_beginning_is_found(hub: HubServer, means: Means) -> None:
    """As after a loss of power: the length is right, the bytes are not."""
    hub.faults[BIG] = [cut(1_000_000), *[cut(0)] * 2]
    refused(means, "big")
    part = place_of("big", ".big.safetensors.part")
    part.write_bytes(bytes(1_000_000))
    get(means, "big")
    assert place_of("big", "big.safetensors").read_bytes() == hub.files[BIG]
    assert [one.start for one in hub.gets("big")][-2:] == [1_000_000, 0]


def test_another_content_is_not_put_behind_the_old_beginning(hub: HubServer, means: Means) -> None:
    hub.faults[LORA] = [cut(1_000), *[cut(0)] * 2]
    refused(means, "lora")
    hub.files[LORA] = hub.files[LORA][::-1]
    get(means, "lora")
    assert hub.gets("lora")[-1].start == 0
    assert place_of("lora", "lora.safetensors").read_bytes() == hub.files[LORA]


def test_a_store_without_ranges_sends_all_again(hub: HubServer, means: Means) -> None:
    hub.faults[BIG] = [cut(1_000_000)]
    hub.ranges = False
    get(means, "big")
    assert place_of("big", "big.safetensors").read_bytes() == hub.files[BIG]


@pytest.mark.parametrize(
    ("code", "headers", "expected", "asked"),
    [
        (401, {"X-Error-Code": "GatedRepo"}, "hub_denied", 1),
        (401, {"X-Error-Code": "RepoNotFound"}, "hub_lacks", 1),
        (403, {}, "hub_denied", 1),
        (404, {}, "hub_lacks", 1),
        (410, {}, "hub_lacks", 1),
        (418, {}, "hub_refused", 1),
        (429, {}, "hub_busy", 3),
        (429, {"Retry-After": "1800"}, "hub_busy", 1),
        (503, {}, "hub_busy", 3),
        (503, {"Retry-After": "5"}, "hub_busy", 3),
        (500, {}, "hub_busy", 3),
    ],
)
def test_each_status_is_a_sentence_and_a_way_out(
    hub: HubServer, means: Means, waits: list[float], code: int, headers: dict[str, str], expected: str, asked: int
) -> None:
    hub.statuses[BIG] = [(code, headers)]
    failure = refused(means, "big")
    assert failure.code == expected
    assert len([one for one in hub.seen if one.method == "HEAD"]) == asked
    assert len(waits) == asked - 1
    assert hub.address.removeprefix("http://") in failure.sentence
    if headers.get("Retry-After") == "1800":
        assert "in 30 min" in failure.next_step
    if headers.get("Retry-After") == "5":
        assert waits == [5, 5]
        assert "in 1 min" in failure.next_step
    assert everything() == []


def test_a_busy_hub_is_asked_again(hub: HubServer, means: Means, waits: list[float]) -> None:
    hub.statuses[BIG] = [(503, {}), (429, {}), (0, {})]
    get(means, "big")
    assert waits == [1, 2]


def test_nobody_answers(hub: HubServer, waits: list[float], means: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    failure = refused(Means(hub=Hub(), patience=means.patience), "big")
    assert failure.code == "hub_unreachable"
    assert "127.0.0.1:9" in failure.sentence
    assert waits == [1, 2], "three tries"


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("{hub}/me/big/resolve/main/big.safetensors", "without an end"),
        ("file:///etc/passwd", "no address"),
        ("ftp://127.0.0.1/x", "no address"),
        ("", "no address"),
        ("http://[::1", "no address"),
    ],
)
def test_redirects_that_lead_nowhere(hub: HubServer, means: Means, location: str, says: str) -> None:
    hub.statuses[BIG] = [(302, {"Location": location.format(hub=hub.address)})]
    failure = refused(means, "big")
    assert failure.code == "hub_unreachable"
    assert says in failure.sentence


def test_a_repository_that_has_moved_is_followed(hub: HubServer, means: Means) -> None:
    """As the hub does with those that were renamed: within itself, where the token may go, too."""
    hub.files["me/new/big.safetensors"] = hub.files[BIG]
    hub.statuses[BIG] = [(307, {"Location": "/me/new/resolve/main/big.safetensors"})]
    hub.needs_token = SECRET
    get(Means(hub=Hub(token=SECRET, seconds=1.0), patience=means.patience), "big")
    assert place_of("big", "big.safetensors").read_bytes() == hub.files[BIG]


def test_nobody_is_followed_out_of_encryption() -> None:
    with pytest.raises(Broken, match="without encryption"):
        Hub(address="https://hub.example")._next("https://hub.example/a", "http://store.example/a")
    assert Hub()._next("https://hub.example/a", "https://store.example/a") == "https://store.example/a"


def test_it_works_behind_a_proxy_which_hears_no_token(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", hub.address)
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("HF_TOKEN", SECRET)
    asked = Hub(seconds=1.0)
    assert asked.look("me/video", "abc", "unet/config.json").size == len(hub.files[CONFIG])
    answer, start = asked.opened("me/video", "abc", "unet/config.json", 0)
    with answer:
        assert (answer.read(), start) == (hub.files[CONFIG], 0)
    assert all(one.path.startswith("http://hub.invalid/") for one in hub.seen)
    hub.needs_token = SECRET
    with pytest.raises(ModelFailure) as told:
        asked.look("me/video", "abc", "unet/config.json")
    assert told.value.code == "hub_denied"
    assert not [one for one in hub.seen if "authorization" in one.headers]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "the other side was silent for too long"),
        (ConnectionRefusedError(), "nobody answers there"),
        (ConnectionResetError(), "the connection was closed"),
        (IncompleteRead(b""), "the connection was closed"),
        (ssl.SSLError("x"), "the encryption failed"),
        (OSError(errno.ENETUNREACH, "Network is unreachable", "https://secret"), "Network is unreachable"),
        (OSError("https://secret"), "the connection failed"),
        ("https://secret", "the connection failed"),
    ],
)
def test_why_a_connection_failed_is_said_without_an_address(error: object, words: str) -> None:
    assert reason(error) == words


def test_a_certificate_that_is_not_trusted_is_said() -> None:
    error = ssl.SSLCertVerificationError("x")
    error.verify_message = "self-signed certificate"
    assert reason(error) == "its certificate is not trusted here (self-signed certificate)"


def test_after_a_date_is_waited_for_and_what_is_none_is_left_out(
    hub: HubServer, means: Means, waits: list[float]
) -> None:
    later = formatdate(time.time() + 40, usegmt=True)
    for told in (later, formatdate(time.time() - 40, usegmt=True), "soon", " 7 "):
        hub.statuses[BIG] = [(503, {"Retry-After": told}), (0, {})]
        get(means, "big")
        place_of("big", "big.safetensors").unlink()
        (places.models_folder() / "got.json").unlink()
    assert 30 < waits[0] <= 40
    assert waits[1:] == [1, 1, 7]


def test_who_is_asked_to_wait_longer_than_a_minute_is_told_so(hub: HubServer, means: Means, waits: list[float]) -> None:
    hub.statuses[BIG] = [(503, {"Retry-After": "60"}), (0, {})]
    get(means, "big")
    assert waits == [60]
    hub.statuses[LORA] = [(503, {"Retry-After": "61"})]
    assert "in 1 min" in refused(means, "lora").next_step
    assert waits == [60]


def test_a_store_that_is_busy_is_asked_again_and_then_told(hub: HubServer, means: Means, waits: list[float]) -> None:
    hub.faults[BIG] = [status(503), status(503), status(503)]
    failure = refused(means, "big")
    assert (failure.code, waits) == ("hub_busy", [1, 2])
    hub.faults[BIG] = [status(503, Retry_After="1800")]
    assert "in 30 min" in refused(means, "big").next_step
    assert waits == [1, 2]


def test_a_store_that_denies_the_file_is_told_at_once(hub: HubServer, means: Means, waits: list[float]) -> None:
    hub.faults[BIG] = [status(403)]
    assert refused(means, "big").code == "hub_denied"
    assert waits == []


def test_a_beginning_that_the_store_has_not_is_begun_anew(hub: HubServer, means: Means) -> None:
    """As when it answers that there is nothing from there on."""
    hub.faults[BIG] = [cut(1_000_000), status(416)]
    steps: list[Step] = []
    getting.get(read_catalogue(), ["big"], means, steps.append)
    assert [one.start for one in hub.gets("big")] == [0, 1_000_000, 0]
    assert steps[-1].done == steps[-1].total


def test_another_part_than_was_asked_for_is_not_taken(hub: HubServer, means: Means) -> None:
    def elsewhere(answer: Answering, content: bytes, start: int) -> None:
        answer.begin(content, start + 1, start + len(content))
        answer.wfile.write(content)

    hub.faults[BIG] = [cut(1_000_000), elsewhere]
    get(means, "big")
    assert place_of("big", "big.safetensors").read_bytes() == hub.files[BIG]
    assert [one.start for one in hub.gets("big")] == [0, 1_000_000, 1_000_000]


def test_a_line_that_brings_hardly_anything_counts_as_broken(
    hub: HubServer, means: Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "SLOW_SECONDS", 0.0)
    monkeypatch.setattr(download, "CHUNK", 100_000)
    get(means, "lora")
    monkeypatch.setattr(download, "SLOW_BYTES", 100_000_000)
    get(means, "big")
    assert len(hub.gets("lora")) == 1
    starts = [one.start for one in hub.gets("big.safetensors")]
    assert len(starts) > 2
    assert starts == sorted(set(starts)), "each goes on where the last has ended"
    assert place_of("big", "big.safetensors").read_bytes() == hub.files[BIG]


@pytest.mark.parametrize("length", ["", "x", "-1", "1" * 16])
def test_a_hub_that_does_not_say_how_large_a_file_is(hub: HubServer, means: Means, length: str) -> None:
    hub.statuses[BIG] = [(200, {"Content-Length": "0", "X-Linked-Size": length} if length else {"Content-Length": ""})]
    failure = refused(means, "big")
    assert failure.code == "hub_refused"
    assert "how large" in failure.sentence


@pytest.mark.parametrize("etag", ['W/"{}"', '"{}"', "{}"])
def test_hashes_are_known_by_their_length(hub: HubServer, etag: str) -> None:
    for text, kind in (("A" * 64, "sha256"), ("b" * 40, "git_sha1"), ("c" * 63, ""), ("d" * 41, ""), ("g" * 64, "")):
        hub.statuses[BIG] = [(200, {"ETag": etag.format(text), "Content-Length": "5", "X-Repo-Commit": "abc"})]
        told = Hub(seconds=1.0).look("me/big", "main", "big.safetensors")
        assert (told.size, told.etag, told.commit) == (5, text, "abc")
        assert told.sha256 == (text.lower() if kind == "sha256" else None)
        assert told.git_sha1 == (text.lower() if kind == "git_sha1" else None)


def test_names_with_odd_signs_are_asked_for_as_they_are(hub: HubServer) -> None:
    hub.files["me/big/a b#(1).bin"] = b"x"
    assert Hub(seconds=1.0).look("me/big", "main", "a b#(1).bin").size == 1
    assert hub.seen[-1].path == "/me/big/resolve/main/a%20b%23%281%29.bin"
    with pytest.raises(ModelFailure):
        Hub(seconds=1.0).look("me/big", "refs/pr/1", "unet/a.bin")
    assert hub.seen[-1].path == "/me/big/resolve/refs%2Fpr%2F1/unet/a.bin"
    assert hub.seen[-1].headers["user-agent"] == f"video-elevator/{VERSION}"
    assert hub.seen[-1].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("address", "safe"),
    [
        ("https://hub.example", True),
        ("http://localhost:9", True),
        ("http://127.0.0.1:9", True),
        ("http://[::1]:9", True),
        ("http://hub.example", False),
    ],
)
def test_where_a_token_may_go(address: str, safe: bool) -> None:
    assert Hub(address=address)._may_have_token is safe


@pytest.mark.parametrize(("text", "offline"), [("1", True), ("yes", True), ("True", True), ("0", False), ("", False)])
def test_offline_is_what_means_yes(monkeypatch: pytest.MonkeyPatch, text: str, offline: bool) -> None:
    monkeypatch.setenv("TRANSFORMERS_OFFLINE", text)
    assert bool(offline_because()) is offline


def test_a_token_is_looked_for_where_the_hub_itself_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places_of_it = {
        "HUGGING_FACE_HUB_TOKEN": (None, "of the old variable"),
        "HF_TOKEN_PATH": (tmp_path / "anywhere", "of a path"),
        "HF_HOME": (tmp_path / "hf2" / "token", "of its home"),
        "XDG_CACHE_HOME": (tmp_path / "cache" / "huggingface" / "token", "of the cache"),
        "HOME": (tmp_path / "house" / ".cache" / "huggingface" / "token", "of the house"),
    }
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    values = {"HF_TOKEN_PATH": "anywhere", "HF_HOME": "hf2", "XDG_CACHE_HOME": "cache", "HOME": "house"}
    for name, (file, text) in reversed(places_of_it.items()):
        if file is None:
            monkeypatch.setenv(name, text)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f" {text}\n", encoding="ascii")
            monkeypatch.setenv(name, str(tmp_path / values[name]))
        assert token() == text
    monkeypatch.delenv("HUGGING_FACE_HUB_TOKEN")
    for content in (b"", b" \n", "é".encode(), b"\xff"):
        (tmp_path / "anywhere").write_bytes(content)
        assert token() is None


def test_a_disk_that_refuses_is_said_by_its_kind(tmp_path: Path) -> None:
    full = download.cannot_write(tmp_path / "x", OSError(errno.ENOSPC, "No space left on device"))
    assert (full.code, str(tmp_path) in full.sentence) == ("no_room", True)
    closed = download.cannot_write(tmp_path / "x", PermissionError(errno.EACCES, "Permission denied"))
    assert (closed.code, "Permission denied" in closed.sentence) == ("models_unwritable", True)
    assert "OSError" in download.cannot_write(tmp_path / "x", OSError()).sentence


def test_a_folder_where_a_file_should_be_is_in_the_way(hub: HubServer, means: Means) -> None:
    place_of("big", "big.safetensors").mkdir(parents=True)
    assert refused(means, "big").code == "name_taken"


# Tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_for_the_hub_alone_and_only_if_it_asks(
    hub: HubServer, means: Means, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("HF_TOKEN", SECRET)
    with_token = Means(hub=Hub(seconds=1.0), patience=means.patience)
    get(with_token, "lora")
    assert not [one for one in hub.seen if "authorization" in one.headers], "nobody wanted to know"
    hub.needs_token = SECRET
    get(with_token, "big")
    told = [one for one in hub.seen if "authorization" in one.headers]
    assert {one.server for one in told} == {"hub"}
    assert {one.headers["authorization"] for one in told} == {f"Bearer {SECRET}"}
    assert [one for one in hub.gets("big") if "authorization" in one.headers] == []
    assert SECRET not in caplog.text
    assert SECRET not in repr(with_token)


def test_a_token_that_is_not_enough_is_never_shown(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    hub.needs_token = "another"
    failure = refused(Means(), "big")
    assert failure.code == "hub_denied"
    assert "HF_TOKEN" in failure.next_step


def test_no_token_goes_over_an_open_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", SECRET)
    assert not Hub(address="http://mirror.example")._may_have_token
    assert Hub(address="https://mirror.example")._may_have_token


def test_the_hubs_own_login_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert token() is None
    (tmp_path / "hf").mkdir()
    (tmp_path / "hf" / "token").write_text(f"{SECRET}\n", encoding="ascii")
    assert token() == SECRET
    monkeypatch.setenv("HF_TOKEN", "other")
    assert token() == "other"


# What is refused before anything comes -----------------------------------------------------------------------------


@pytest.mark.parametrize(("what", "found"), [("size", {"size": 5}), ("hash", {"sha256": "0" * 64})])
def test_another_file_than_the_published_one_is_not_taken(
    hub: HubServer, means: Means, what: str, found: dict[str, Any]
) -> None:
    catalogue = read_catalogue()
    model = catalogue.models["big"]
    changed = replace(model, files=(replace(model.files[0], **found),))
    with pytest.raises(ModelFailure) as told:
        getting.get(
            type(catalogue)({**catalogue.models, "big": changed}, catalogue.sets), ["big"], means, lambda step: None
        )
    assert told.value.code == "file_changed"
    assert f"its {what}" in told.value.sentence
    assert hub.gets() == []


def test_the_disk_is_looked_at_first(hub: HubServer, means: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    free = getting.SPARE_BYTES + 2_999_999
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=free))
    failure = refused(means, "big")
    assert failure.code == "no_room"
    assert failure.exit_code == 5
    assert hub.gets() == []
    free += 1
    get(means, "big")


@pytest.mark.skipif(os.name != "posix", reason="limits of files are POSIX")
def test_a_disk_that_is_full_in_the_middle(hub: HubServer, means: Means, monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, limits[1]))
    try:
        failure = refused(means, "big")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert failure.code == "no_room"
    assert failure.exit_code == 5
    room = SimpleNamespace(free=getting.SPARE_BYTES + 1_499_999)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: room)
    assert refused(means, "big").code == "no_room"
    room.free += 1  # for the other half
    get(means, "big")
    assert hub.gets("big")[-1].start == 1_500_000, "what had room was kept"


@pytest.mark.parametrize("how", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "--offline"])
def test_offline_means_that_nobody_is_asked(
    hub: HubServer, means: Means, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how.startswith("--"):
        means = Means(hub=means.hub, patience=means.patience, offline=True)
    else:
        monkeypatch.setenv(how, "1")
    failure = refused(means, "pair")
    assert failure.code == "offline"
    assert how in failure.sentence
    assert hub.seen == []


@pytest.mark.parametrize(
    "text", ["huggingface.co", "ftp://x", "https://", "https://me:pass@x", "https://a b", "x:99", "http://x:0"]
)
def test_an_endpoint_that_is_none(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", text)
    with pytest.raises(ModelFailure) as told:
        Hub()
    assert told.value.code == "endpoint_unusable"
    assert "pass" not in str(told.value)


def test_two_at_once_do_not_mix(hub: HubServer, means: Means) -> None:
    with changing():
        failure = refused(means, "big")
    assert failure.code == "models_busy"
    assert str(os.getpid()) in failure.sentence
    get(means, "big")


# What is there already -------------------------------------------------------------------------------------------


def test_a_file_that_somebody_put_there_is_taken_for_what_it_is(hub: HubServer, means: Means) -> None:
    place = place_of("big", "big.safetensors")
    place.parent.mkdir(parents=True)
    place.write_bytes(hub.files[BIG])
    (got,) = get(means, "big")
    assert got.place == place
    assert hub.seen == []


def test_another_file_of_its_name_is_left_alone(hub: HubServer, means: Means) -> None:
    place = place_of("big", "big.safetensors")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"mine")
    assert refused(means, "big").code == "name_taken"
    assert place.read_bytes() == b"mine"


@pytest.mark.parametrize(("model", "asked"), [("big", 0), ("video", 2)])
def test_a_lost_list_costs_no_download(hub: HubServer, means: Means, model: str, asked: int) -> None:
    """Where the catalogue has no hashes, the hub is asked for them, and for nothing else."""
    new = get(means, model)
    (places.models_folder() / "got.json").write_bytes(b"{")
    before = len(hub.seen)
    assert {got.sha256 for got in get(means, model)} == {got.sha256 for got in new}
    assert [one.method for one in hub.seen[before:]] == ["HEAD"] * asked
    (places.models_folder() / "got.json").unlink()
    new[0].place.write_bytes(b"mine")
    assert refused(means, model).code == "name_taken"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(hub: HubServer, means: Means) -> None:
    places.models_folder().mkdir(parents=True)
    places.models_folder().chmod(0o500)
    assert refused(means, "big").code == "models_unwritable"


# Ends of the process itself -------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_process_that_ends_in_the_middle_loses_nothing(hub: HubServer, means: Means, end: signal.Signals) -> None:
    hub.faults[BIG] = [stall(1_000_000)]
    process = subprocess.Popen(
        command("models", "get", "big"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    part = place_of("big", ".big.safetensors.part")
    with process:
        assert until(lambda: part.exists() and part.stat().st_size == 1_000_000)
        process.send_signal(end)
        _, said = process.communicate(timeout=60)
    assert process.returncode == (-9 if end is signal.SIGKILL else 130)
    assert "Traceback" not in said
    assert not place_of("big", "big.safetensors").exists()
    get(means, "big")
    assert hub.gets("big")[-1].start == 1_000_000
    assert hashlib.sha256(place_of("big", "big.safetensors").read_bytes()).hexdigest() == hub.hash_of(BIG)


# What is told meanwhile ------------------------------------------------------------------------------------------


def test_progress_counts_all_files_and_ends_at_their_sum(hub: HubServer, means: Means) -> None:
    hub.faults[BIG] = [cut(1_000_000), corrupt]
    steps: list[Step] = []
    getting.get(read_catalogue(), ["pair"], means, steps.append)
    total = sum(len(hub.files[name]) for name in (BIG, UNET, CONFIG))
    assert {step.total for step in steps} == {total}
    assert steps[-1].done == total
    assert [name for name in dict.fromkeys(step.file for step in steps)] == [
        "big/big.safetensors",
        "video/unet/diffusion_pytorch_model.bin",
        "video/unet/config.json",
    ]
    assert max(step.done for step in steps) == total


def test_the_end_is_foreseen_from_the_last_half_minute() -> None:
    times = iter((10.0, 20.0, 30.0, 100.0, 110.0))
    steps: list[Step] = []
    meter = Meter(1_000, steps.append, clock=lambda: next(times))
    meter.begin("a")
    meter.had(400)  # was there already: says nothing of the speed
    for _ in range(3):
        meter(100)
    assert steps[-1].seconds_left == pytest.approx(300 / 10)
    meter(100)
    assert steps[-1].seconds_left is None, "after so long a silence nobody can tell"
    meter(50)
    assert steps[-1].seconds_left == pytest.approx(150 / 5)
