"""A client that was written from PROTOCOL.md alone passes every flow against the real backend."""

from __future__ import annotations

import ast
import hashlib
import signal
import struct
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.backend.harness import Running, running, until
from tests.protocol import foreign_client
from tests.protocol.foreign_client import Foreign, Lost, clip, connection, named, new_job, pages
from tests.security.guests import list_key

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def client(shared: Running) -> Iterator[Foreign]:
    """A client that was greeted, at a backend that it shares with the other tests of this file."""
    with Foreign(msgspec.to_builtins(shared.connection)) as client:
        client.welcome()
        yield client


def pixels(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and raw lines of a PNG; all chunks whole."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, data, size = 8, b"", (0, 0)
    while at < len(png):
        (length,), kind = struct.unpack_from(">I", png, at), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack_from(">I", png, at + 8 + length)[0]
        size = struct.unpack_from(">II", body) if kind == b"IHDR" else size
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    return size[0], size[1], zlib.decompress(data)


def test_it_has_nothing_of_the_project() -> None:
    tree = ast.parse(Path(foreign_client.__file__).read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in names} <= {*sys.stdlib_module_names, "zmq"}


def test_it_is_greeted(shared: Running) -> None:
    found = msgspec.to_builtins(shared.connection)
    with Foreign(found, client_id="f" * 32) as client:
        welcome = client.welcome()
        assert welcome["request_id"] == "foreign 1"
        assert (welcome["major"], welcome["session"], welcome["client_id"]) == (1, found["session"], "f" * 32)
        assert {"plain", "sketch"} <= {style["name"] for style in welcome["styles"]}
        assert client.expect("Alive")
    with Foreign(found, identity=b"") as client:
        assert len(client.welcome()["client_id"]) == 32, "one was made, and ZeroMQ has made an identity"


def test_it_follows_a_clip_from_its_order_to_its_frames(client: Foreign) -> None:
    job = client.submit("a fox and an unknown:okapi", frames=3, width=96, previews=True)
    done = client.end_of(job)
    assert done.type == "Done"
    assert (done["frames"], done["width"], done["height"], done["fps_numerator"], done["seed"]) == (3, 96, 64, 8, 1)
    assert "okapi" in client.of(job, "Accepted")[0]["warnings"][0]
    live = client.of(job, "Frame")
    assert [frame["index"] for frame in live] == [0, 1, 2]
    assert {frame["request_id"] for frame in live} == {""} == {done["request_id"]}
    assert client.fetch(job, 3) == [frame.buffers[0] for frame in live]
    for frame in live:
        assert pixels(frame.buffers[0])[:2] == (96, 64)
    previews = [progress for progress in client.of(job, "Progress") if progress["preview_frames"]]
    assert previews
    for preview in previews:
        width, height, lines = pixels(preview.buffers[0])
        assert width % preview["preview_frames"] == 0
        assert len(lines) == height * (3 * width + 1), "8 bits, RGB, not interlaced"
        assert not any(lines[:: 3 * width + 1]), "unfiltered"
    assert client.ask("Fetch", job=job, first=3)["code"] == "no_result"


def test_what_is_wrong_with_an_order_is_said(client: Foreign) -> None:
    wrong: dict[str, dict[str, Any]] = {
        "empty_prompt": {"prompt": "  "},
        "unknown_style": {"style": "none"},
        "size_out_of_range": {"width": 72},
        "frames_out_of_range": {"frames": 1000},
        "lora_missing": {"loras": [{"name": "../x"}]},
        "footage_missing": {"footage": ["0" * 64] * 2},
    }
    for code, fields in wrong.items():
        failed = client.ask("Generate", **clip(new_job(), **fields))
        assert (failed.type, failed["code"]) == ("Failed", code)
    for fields in ({"frames": 0}, {"frames": 2.0}, {"seed": -1}, {"settings": {"steps": 0}}, {"strength": 0.5}):
        failed = client.ask("Generate", **clip(new_job(), **fields))
        assert (failed.type, failed["code"]) == ("Failed", "bad_request"), fields
    assert client.ask("Conform", job=new_job(), source=new_job(), fps_numerator=24)["code"] == "source_missing"


def test_characters_are_code_points_and_unknown_fields_are_ignored(client: Foreign) -> None:
    for letter in ("a", "é", "🦊"):
        assert client.end_of(client.submit(letter * 2000, frames=1, whim={"a": [1]})).type == "Done"
        failed = client.ask("Generate", **clip(new_job(), letter * 2001))
        assert (failed["code"], "prompt" in failed["message"]) == ("bad_request", True)
    assert client.ask("AskStatus", request_id="🦊" * 64).type == "Status"


SHUT = [
    b'{"type":"Generate","request_id":"me","job":"%s"}' % (b"A" * 32),
    b'{"type":"Generate","request_id":"me"}',
    b'{"type":"Fetch","request_id":"me","job":7}',
    b'{"type":"AskJobs","request_id":"me","ended":1.0}',
    b'{"type":"Whim","request_id":"me"}',
    b'{"type":"AskStatus","request_id":"\\ud800"}',
    b"{",
]


@pytest.mark.parametrize("header", SHUT)
def test_what_ends_a_conversation_ends_it_alone(client: Foreign, header: bytes) -> None:
    with Foreign(client.found) as other:
        other.welcome()
        other.raw(header)
        refused = other.expect("Refused")
        assert (refused["code"], refused["request_id"]) == ("malformed", "me" if b'"me"' in header else "")
        other.tell("AskStatus")
        assert other.expect("Refused")["code"] == "malformed", "it must say Hello again"
        other.tell("Hello", client="again")
        assert other.welcome()
    assert client.ask("AskStatus").type == "Status"


def test_other_ends_of_conversations(client: Foreign) -> None:
    with Foreign(client.found) as other:
        other.welcome()
        other.raw(b'{"type":"AskStatus"}', b"a buffer too many")
        assert other.expect("Refused")["code"] == "malformed"
    for tag, code in ((b"elevator/2", "version"), (b"elevator", "malformed")):
        with Foreign(client.found, hello=False) as other:
            other.raw(b"{}", tag=tag)
            assert other.expect("Refused")["code"] == code
    with Foreign(client.found, hello=False) as other:
        other.tell("AskStatus", request_id="early")
        assert other.expect("Refused")["request_id"] == "early"
    with Foreign(client.found) as other:
        other.welcome()
        other.raw(b" " * (1 << 20) + b'{"type":"AskStatus"}')
        assert other.expect("Refused")["code"] == "malformed", "no header is so long"
    with Foreign(client.found) as other:
        other.welcome()
        other.raw(b" " * (1 << 21) + b'{"type":"AskStatus"}')
        with pytest.raises(Lost, match="broken"):
            other.expect("Status")
    assert client.ask("AskStatus").type == "Status"


def test_who_sends_too_much_is_told_so_and_closed_out(client: Foreign) -> None:
    """Nobody can follow so many so quickly; what comes after the refusal is no answer."""
    with Foreign(client.found) as other:
        other.welcome()
        for _ in range(20_000):
            other.raw(b'{"type":"AskJobs","ended":500,"count":500}')
        refused = other.expect("Refused")
        assert refused["code"] == "too_much"
        assert "wait for answers" in refused["message"]
        with pytest.raises(Lost, match="broken"):
            other.expect("Welcome")
        assert len(other.heard) < 20_000
    with Foreign(client.found) as again:
        assert again.welcome(), "a new connection is heard"
    assert client.ask("AskStatus").type == "Status"


def test_a_connection_with_the_identity_of_another_is_not_heard(client: Foreign) -> None:
    with Foreign(client.found, identity=b"mine") as first:
        first.welcome()
        with Foreign(client.found, identity=b"mine") as second:
            second.tell("AskStatus")
            assert not second.socket.poll(1500)
            assert first.ask("AskStatus").type == "Status"
            assert not second.socket.poll(0)


def test_an_order_that_cannot_be_read_fails_alone_and_never_the_job_of_its_name(client: Foreign) -> None:
    job = client.submit("slow:0.05")
    for wrong in ({"frames": 0}, {"prompt": ""}, {"style": "none"}, {"width": 65}, {}):
        failed = client.ask("Generate", **clip(job, **wrong))
        assert (failed.type, failed["code"]) == ("Failed", "duplicate_job"), wrong
    assert client.ask("Conform", job=job, source=job, fps_numerator=0)["code"] == "duplicate_job"
    ends = [client.expect("Done", "Cancelled", fits=lambda heard: heard["job"] == job)]
    assert [end.type for end in ends] == ["Done"]
    failed = client.ask("Generate", **clip(job, frames=0))
    assert failed["code"] == "duplicate_job", "also when it has ended"


def test_answers_are_told_apart_by_their_names(client: Foreign) -> None:
    with Foreign(client.found) as other:
        other.welcome()
        first, second, third = (client.submit("slow:0.05") for _ in range(3))
        asked = [client.tell("Move", job=job, position=0) for job in (second, third)]
        asked += [client.tell("AskJobs", ended=count) for count in (0, 500)]
        moved, again, few, many = (client.answer(name) for name in asked)
        assert {each.type for each in (moved, again, few, many)} == {"Jobs"}
        assert [view["job"] for view in moved["jobs"]][1:3] == [second, third]
        assert [view["job"] for view in again["jobs"]][1:3] == [third, second]
        assert len(many["jobs"]) >= len(few["jobs"])
        assert client.ask("Pause")["queue"]["paused"]
        assert other.expect("Queue")["request_id"] == "", "it has not asked"
        assert not client.ask("Resume")["queue"]["paused"]
        for job in (first, second, third):
            client.end_of(job)


def test_it_is_told_of_new_styles(home: Path, backend: Running) -> None:
    file = home / "config" / "styles" / "fresh.toml"
    file.parent.mkdir(parents=True)
    with Foreign(msgspec.to_builtins(backend.connection)) as client:
        client.welcome()
        file.write_text(
            'title = "F"\nbase = "embedded"\npreset = "draft"\nexample_prompt = "a fox"\n', encoding="utf-8"
        )
        client.tell("AskStatus")
        told = client.expect("Styles")
        assert "request_id" not in told.fields, "it has not asked for them"
        assert "fresh" in [style["name"] for style in told["styles"]]
        assert told["notes"] == []
        file.unlink()
        client.tell("AskStatus")
        assert "fresh" not in [style["name"] for style in client.expect("Styles")["styles"]]


def test_it_cancels(client: Foreign) -> None:
    running_one, waiting = client.submit("slow:0.2"), client.submit()
    client.expect("Progress", fits=lambda heard: heard["job"] == running_one and heard["phase"] == "painting")
    for job in (waiting, running_one):
        cancelled = client.ask("Cancel", job=job)
        assert (cancelled.type, cancelled["job"]) == ("Cancelled", job)
        again = client.ask("Cancel", job=job)
        assert (again.type, again["job"]) == ("Cancelled", job), "how it has ended"
    done = client.submit()
    client.end_of(done)
    assert client.ask("Cancel", job=done).type == "Done"
    denied = client.ask("Cancel", job=new_job())
    assert (denied.type, denied["request"], denied["code"]) == ("Denied", "Cancel", "unknown_job")


def test_who_cancels_hears_the_end_though_it_does_not_watch(client: Foreign) -> None:
    with Foreign(client.found) as other:
        other.welcome()
        job = client.submit("slow:0.2")
        client.expect("Progress", fits=lambda heard: heard["job"] == job and heard["phase"] == "painting")
        assert other.ask("Cancel", job=job).type == "Cancelled"
        assert client.end_of(job)["request_id"] == ""
        assert not other.of(job, "Progress", "Frame")


def test_another_client_watches_with_previews_of_its_own(client: Foreign) -> None:
    with Foreign(client.found, live_frames=False) as other:
        other.welcome()
        job = client.submit("slow:0.1", previews=False)
        told = other.ask("Watch", job=job, previews=True)
        assert [view["job"] for view in told["jobs"]] == [job]
        assert other.end_of(job).type == "Done"
        assert client.end_of(job).type == "Done"
        assert any(progress["preview_frames"] for progress in other.of(job, "Progress"))
        assert not any(progress["preview_frames"] for progress in client.of(job, "Progress")), "it has not asked"
        assert len(client.of(job, "Frame")) == 2
        assert not other.of(job, "Frame"), "it wants none live"
        name = other.tell("Watch", job=job)
        assert other.expect("Jobs", fits=named(name))
        assert other.expect("Done", fits=named(name))["job"] == job, "told again to who watches later"
        assert len(other.fetch(job, 2)) == 2


def test_it_uploads_and_starts_from_pictures(client: Foreign) -> None:
    source = client.submit("grain:40", frames=4, width=128, height=128)
    client.end_of(source)
    pngs = client.fetch(source, 4)
    hashes = [client.upload(png) for png in pngs]
    assert client.ask("Offer", sha256=hashes[0], size=len(pngs[0]))["offset"] == len(pngs[0]), "it is there"
    there = clip(new_job(), frames=4, width=128, height=128, footage=hashes, strength=0.5, anchor=hashes[0])
    assert client.ask("Generate", **there).type == "Accepted"
    assert client.end_of(there["job"]).type == "Done"
    denied = client.ask("Chunk", b"x", sha256="1" * 64, offset=0)
    assert (denied["code"], denied["job"]) == ("upload_refused", "1" * 64)


def test_it_uploads_in_parts_and_a_part_elsewhere_changes_nothing(client: Foreign) -> None:
    source = client.submit("grain:60", frames=1, width=128, height=128)
    client.end_of(source)
    (png,) = client.fetch(source, 1)
    png += b"\0" * (foreign_client.CHUNK - len(png) + 1000)
    sha256 = hashlib.sha256(png).hexdigest()
    half = foreign_client.CHUNK
    assert client.ask("Offer", sha256=sha256, size=len(png))["offset"] == 0
    assert client.ask("Chunk", png[half:], sha256=sha256, offset=half)["offset"] == 0
    assert client.ask("Chunk", png[:half], sha256=sha256, offset=0)["offset"] == half
    assert client.ask("Offer", sha256=sha256, size=len(png))["offset"] == half, "it goes on from there"
    assert client.ask("Chunk", png[half:], sha256=sha256, offset=half)["offset"] == len(png)


@pytest.mark.parametrize(
    ("rate", "frames"), [({"fps_numerator": 24}, 6), ({"fps_numerator": 30000, "fps_denominator": 1001}, 7)]
)
def test_it_conforms(client: Foreign, rate: dict[str, int], frames: int) -> None:
    source = client.submit()
    client.end_of(source)
    job = new_job()
    assert client.ask("Conform", job=job, source=source, **rate).type == "Accepted"
    done = client.end_of(job)
    assert (done["frames"], done["fps_numerator"]) == (frames, rate["fps_numerator"])
    assert len(client.fetch(job, frames)) == frames


def test_the_highest_rate_that_may_be_asked_for_is_told_at_the_end(client: Foreign) -> None:
    source = client.submit(frames=1)
    client.end_of(source)
    job = new_job()
    rate = {"fps_numerator": 1_000_000, "fps_denominator": 999}
    assert client.ask("Conform", job=job, source=source, **rate).type == "Accepted"
    done = client.end_of(job)
    assert {name: done[name] for name in rate} == rate
    assert done["frames"] == 125


def test_it_asks_what_a_clip_takes_and_how_a_style_looks(client: Foreign) -> None:
    (plain,) = (style for style in client.heard[0]["styles"] if style["name"] == "plain")
    picture = client.ask("AskThumbnail", sha256=plain["thumbnail"])
    assert pixels(picture.buffers[0])[:2] == (64, 64)
    assert client.ask("AskThumbnail", sha256="0" * 64)["code"] == "unknown_thumbnail"
    asked = clip(new_job())
    for wish in (asked, {"type": "Generate", **asked}):
        estimate = client.ask("AskEstimate", clip=wish)
        assert (estimate.type, estimate["job"], estimate["problem"]) == ("Estimate", asked["job"], "")
        assert estimate["calls"] == plain["calls"][plain["presets"].index(plain["preset"])]
    assert client.ask("AskEstimate", clip={**asked, "width": 65})["problem"]
    assert asked["job"] not in [view["job"] for view in pages(client)], "nothing was submitted"


def test_results_are_confirmed_and_forgotten(client: Foreign) -> None:
    job = client.submit()
    client.end_of(job)
    client.tell("Received", job=job)
    (view,) = (view for view in pages(client) if view["job"] == job)
    assert (view["state"], view["has_result"], view["received"]) == ("done", True, True)
    assert Path(view["folder"]).name == job
    assert client.ask("Forget", job=job).type == "Jobs"
    assert client.ask("Fetch", job=job)["code"] == "no_result"
    name = client.tell("Received", job=new_job())
    assert client.answer(name)["code"] == "unknown_job"


def test_a_client_without_an_id_is_made_one_and_another_of_its_key_confirms(client: Foreign) -> None:
    with Foreign(client.found) as other:
        made = other.welcome()["client_id"]
        job = other.submit()
        other.end_of(job)
    with Foreign(client.found, client_id=made) as again:
        assert again.end_of(job).type == "Done", "the id that was made serves as well"
    client.tell("Received", job=job)
    client.ask("AskStatus")
    with Foreign(client.found, client_id=made) as again:
        again.welcome()
        again.ask("AskStatus")
        assert not again.of(job, "Done"), "it is confirmed"


def test_it_frees_memory_and_counts_clients(client: Foreign) -> None:
    client.end_of(client.submit())
    (worker,) = client.ask("AskStatus")["workers"]
    assert (worker["state"], worker["job"]) == ("resting", "")
    (worker,) = client.ask("Free")["workers"]
    assert (worker["state"], worker["pid"]) == ("off", 0)
    before = client.ask("AskStatus")["clients"]
    with Foreign(client.found) as other:
        other.welcome()
        assert client.ask("AskStatus")["clients"] == before + 1
    assert until(lambda: bool(client.ask("AskStatus")["clients"] <= before), 10)


def test_it_comes_back_after_the_backend_was_killed() -> None:
    """Jobs are finished by the next backend; what was missed is told at Hello, until it is confirmed."""
    with running(step_seconds=0.05) as backend, Foreign(connection(), client_id="a" * 32) as client:
        welcome = client.welcome()
        made, half, waiting = (client.submit(f"clip {number}") for number in range(3))
        client.end_of(made)
        client.expect("Progress", fits=lambda heard: heard["job"] == half)
        backend.process.send_signal(signal.SIGKILL)
        with pytest.raises(Lost):
            client.expect("Welcome")
        backend.process.wait()
    with running():
        found = connection(but=welcome["session"])
        with Foreign(found, client_id="a" * 32) as client:
            client.welcome()
            told = client.expect("Jobs")
            assert told["request_id"] == "", "it was not asked for"
            assert {view["job"] for view in told["jobs"]} == {made, half, waiting}
            for job in (made, half, waiting):
                done = client.end_of(job)
                assert (done.type, done["request_id"]) == ("Done", "")
                assert len(client.fetch(job, 2)) == 2
                client.tell("Received", job=job)
            client.ask("AskStatus")
        with Foreign(found, client_id="a" * 32) as client:
            client.welcome()
            client.ask("AskStatus")
            assert not [heard for heard in client.heard if heard.type in ("Jobs", "Done")], "all is confirmed"


def test_it_shuts_the_backend_down() -> None:
    with running() as backend, Foreign(connection()) as client, Foreign(connection()) as other:
        client.welcome()
        other.welcome()
        assert client.ask("Shutdown").type == "Goodbye"
        assert other.expect("Goodbye")["request_id"] == ""
        assert backend.process.wait(60) == 0
        with pytest.raises(Lost):
            client.expect("Alive")


def test_another_key_is_a_stranger_to_the_jobs() -> None:
    pair = list_key()
    with running() as backend, Foreign(connection()) as owner:
        owner.welcome()
        with Foreign(connection(), keys=(pair.public, pair.secret)) as guest:
            guest.welcome()
            job = owner.submit()
            owner.end_of(job)
            for kind in ("Cancel", "Watch", "Fetch", "Forget", "Received"):
                assert guest.ask(kind, job=job)["code"] == "unknown_job"
            assert guest.ask("Shutdown")["code"] == "not_allowed"
            assert guest.ask("Generate", **clip(job))["code"] == "duplicate_job"
        assert backend.process.poll() is None


def test_the_backend_is_lost_without_its_heart(client: Foreign) -> None:
    """`Alive` comes every two seconds; that is how a client knows."""
    client.expect("Alive")
    before = time.monotonic()
    client.expect("Alive")
    assert time.monotonic() - before < 10
