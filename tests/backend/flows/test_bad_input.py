"""What users get wrong ends in one sentence and a next step, and the backend goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
import zmq

from shared_protocol import wire
from shared_protocol.client import new_job_id
from shared_protocol.messages import Accepted, Alive, Done, Failed, Hello, Refused
from tests.backend.harness import ROOT, Running, greet, pid_of, run, running, until


@pytest.mark.parametrize(
    ("fields", "code", "says"),
    [
        ({"prompt": ""}, "empty_prompt", "a pumpkin"),
        ({"prompt": " \n\t"}, "empty_prompt", "empty"),
        ({"style": "nouveau"}, "unknown_style", "plain, "),
        ({"width": 63}, "size_out_of_range", "63 × 64"),
        ({"height": 8}, "size_out_of_range", "64 × 8"),
        ({"width": 8192}, "size_out_of_range", "between"),
        ({"frames": 1000}, "frames_out_of_range", "1000 frames"),
        ({"frames": 5000}, "bad_request", 'used: "frames" must be between 1 and 1024.'),
        ({"seed": -1}, "bad_request", "seed"),
        ({"prompt": "x" * 3000}, "bad_request", "prompt"),
    ],
)
def test_a_request_that_cannot_be_done_says_why(shared: Running, fields: dict[str, Any], code: str, says: str) -> None:
    with shared.client() as client:
        greet(client)
        job = client.submit(**fields)
        failed = client.end_of(job)
        assert isinstance(failed, Failed)
        assert failed.code == code
        assert says in f"{failed.message} {failed.next_step}"
        for sentence in (failed.message, failed.next_step):
            assert sentence.endswith(".")
            assert "\n" not in sentence
        assert not [message for message, _ in client.of(job) if isinstance(message, Accepted)]
        assert isinstance(client.end_of(client.submit()), Done)


def test_unknown_words_are_named_and_stop_nothing(shared: Running) -> None:
    with shared.client() as client:
        job = client.submit("an unknown:axolotl and an unknown:okapi")
        assert isinstance(client.end_of(job), Done)
        (accepted,) = [message for message, _ in client.of(job) if isinstance(message, Accepted)]
        (warning,) = accepted.warnings
        assert "axolotl" in warning
        assert "okapi" in warning


def test_syntax_that_is_not_understood_is_named_and_stops_nothing(shared: Running) -> None:
    with shared.client() as client:
        job = client.submit("a (pumpkin:1.2) BREAK unknown:axolotl", negative_prompt="[dog|cat] BREAK")
        assert isinstance(client.end_of(job), Done)
        (accepted,) = [message for message, _ in client.of(job) if isinstance(message, Accepted)]
        left_out, as_it_stands, unknown = accepted.warnings
        assert left_out.startswith("BREAK is left out")
        assert as_it_stands.startswith("[dog|cat] is read as it stands")
        assert "axolotl" in unknown
        assert all(warning.endswith(".") for warning in accepted.warnings)


def test_missing_models_are_named(home: Path) -> None:
    styles = home / "config" / "styles"
    styles.mkdir(parents=True)
    text = 'title = "T"\nbase = "embedded"\npreset = "published"\nexample_prompt = "x"\n[[loras]]\npath = "gone"\n'
    (styles / "mine.toml").write_text(text, encoding="utf-8")
    with running(fake=False) as backend, backend.client() as client:
        failed = client.end_of(client.submit(style="mine"))
        assert isinstance(failed, Failed)
        assert failed.code == "model_missing"
        assert str(styles / "gone") in failed.message
        assert pid_of(client.until_settled()) == 0, "nothing was started for it"


def test_models_that_do_not_fit_are_named_before_anything_is_started(home: Path) -> None:
    for name in ("styles", "bases"):
        (home / "config" / name).mkdir(parents=True)
    weights = ROOT / "elevator" / "embedded" / "weights"
    base = f'title = "B"\nt2i = "{weights / "zeroscope"}"\nt2v = "{weights / "t2i"}"\npresets = "zeroscope"\n'
    (home / "config" / "bases" / "mine.toml").write_text(base, encoding="utf-8")
    text = 'title = "T"\nbase = "mine"\npreset = "published"\nexample_prompt = "x"\n'
    (home / "config" / "styles" / "mine.toml").write_text(text, encoding="utf-8")
    with running(fake=False) as backend, backend.client() as client:
        failed = client.end_of(client.submit(style="mine", width=256, height=256))
        assert isinstance(failed, Failed)
        assert failed.code == "model_unfit"
        assert "t2i and t2v are swapped: " in failed.message
        assert failed.next_step == "Swap the two in the base's file."
        assert pid_of(client.until_settled()) == 0, "nothing was started for it"
        maps = Path(f"/proc/{backend.process.pid}/maps")
        assert not maps.exists() or "libtorch" not in maps.read_text(encoding="utf-8"), "the server imports no torch"


def test_a_broken_style_is_skipped_and_said(home: Path) -> None:
    styles = home / "config" / "styles"
    styles.mkdir(parents=True)
    (styles / "broken.toml").write_text("title = ", encoding="utf-8")
    with running() as backend, backend.client() as client:
        welcome = greet(client)
        assert "plain" in [style.name for style in welcome.styles]
        assert "broken" not in [style.name for style in welcome.styles]
        assert any("broken.toml" in note for note in welcome.notes)
        assert client.status().notes == welcome.notes
        assert isinstance(client.end_of(client.submit()), Done)
        shown = run("status")
    assert shown.returncode == 0
    assert "broken.toml" in shown.stderr


class Raw:
    """A client with the right key and no manners."""

    def __init__(self, backend: Running) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.sndtimeo = 20_000
        self.socket.curve_serverkey = backend.connection.server_key.encode()
        self.socket.curve_publickey = backend.connection.client_public.encode()
        self.socket.curve_secretkey = backend.connection.client_secret.encode()
        self.socket.connect(backend.connection.endpoint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()
        self.context.term()

    def ask(self, *frames: bytes) -> wire.Incoming:
        self.socket.send_multipart(frames)
        assert self.socket.poll(20_000), "no answer"
        return wire.decode_event(self.socket.recv_multipart())


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ((b"elevator/2", b"{}"), "version"),
        ((wire.TAG, msgspec.json.encode({"type": "Hello", "client": "later", "major": 2})), "version"),
        ((wire.TAG, b"{}"), "malformed"),
        ((wire.TAG,), "malformed"),
        ((b"\x80\x04pickle",), "malformed"),
        ((wire.TAG, b'{"type": "AskStatus"}'), "malformed"),
        ((wire.TAG, msgspec.json.encode({"type": "Generate", "job": new_job_id()})), "malformed"),
        ((wire.TAG, b'{"type": "Welcome"}'), "malformed"),
    ],
)
def test_what_is_no_conversation_is_refused_and_hurts_nobody(
    shared: Running, frames: tuple[bytes, ...], code: str
) -> None:
    with shared.client() as honest, Raw(shared) as raw:
        greet(honest)
        refused = raw.ask(*frames).message
        assert isinstance(refused, Refused)
        assert refused.code == code
        assert refused.message.endswith(".")
        assert isinstance(honest.end_of(honest.submit()), Done)


def test_a_message_beyond_all_limits_ends_only_its_senders_connection(shared: Running) -> None:
    with shared.client() as honest, Raw(shared) as raw:
        raw.ask(*(bytes(frame) for frame in wire.encode(Hello(client="raw"))))
        raw.socket.send_multipart([wire.TAG, b" " * (2 * wire.MAX_HEADER_BYTES)])
        assert isinstance(honest.end_of(honest.submit()), Done)
        assert until(lambda: honest.status().clients == 1)
        while raw.socket.poll(0):
            answer = wire.decode_event(raw.socket.recv_multipart()).message
            assert isinstance(answer, Alive), "it was stored and read before it was refused"
