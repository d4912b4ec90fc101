"""What is taken out of a report, wherever it stands; and that the rest can still be read."""

from __future__ import annotations

import json
import string
import sys
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from backend.cli.redacting import Redactor
from backend.cli.telltale import GONE
from backend.logs import visible

LETTERS = string.ascii_letters + string.digits
LOWER = string.ascii_lowercase + string.digits
REDACTOR = Redactor(
    names=["mmuster", "studio-seven"],
    homes=[Path("/home/mmuster")],
    folders={"«clone»": Path("/home/mmuster/elevator"), "«state»": Path("/home/mmuster/.local/state/video_elevator")},
    files={"Geheimfilm": "style", "Otti lie": "model"},
    shipped=["backend.json", "queue.db", "plain", "neon", "model.safetensors", "balanced", "title"],
    modules=["diffusers", "transformers", "numpy"],
)


def word(alphabet: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(alphabet, min_size=least, max_size=most)


RANDOM = word(LETTERS, 16, 60)
LABEL = st.from_regex(r"[a-z][a-z0-9]{1,8}(-[a-z0-9]{1,5})?", fullmatch=True)
TOKENS = (
    st.builds("hf_{}".format, RANDOM)
    | st.builds("sk-{}".format, RANDOM)
    | st.builds("sk-proj-{}".format, RANDOM)
    | st.builds("ghp_{}".format, RANDOM)
    | st.builds("github_pat_{}".format, RANDOM)
    | st.builds("glpat-{}".format, RANDOM)
    | st.builds("xoxb-{}".format, RANDOM)
    | st.builds("AKIA{}".format, word(string.ascii_uppercase + string.digits, 16, 16))
    | st.builds("eyJ{}.eyJ{}.{}".format, RANDOM, RANDOM, RANDOM)
)
"""What tells itself."""
VALUES = word(LETTERS + "_-./+", 4, 30).map(lambda text: f"Zq{text}")
"""What is a secret by its name alone."""
NAMES = st.sampled_from(
    [
        "token",
        "HF_TOKEN",
        "access_token",
        "api_key",
        "apikey",
        "API-KEY",
        "X-Api-Key",
        "secret",
        "client_secret",
        "password",
        "PASSWORD",
        "passphrase",
        "private_key",
        "auth",
        "credential",
        "AWS_SECRET_ACCESS_KEY",
        "db_pwd",
    ]
)
SAID = st.sampled_from(
    ["{n}={v}", "{n}: {v}", "{n} = '{v}'", '"{n}": "{v}"', "?a=1&{n}={v}&b=2", "('{n}'='{v}')", "--{n}={v}", "{n}:{v}"]
)
ADDRESSES = (
    st.ip_addresses(v=4).filter(lambda one: not (one.is_loopback or one.is_unspecified)).map(str)
    | st.ip_addresses(v=6).filter(lambda one: not (one.is_loopback or one.is_unspecified)).map(str)
    | st.ip_addresses(v=6).map(lambda one: IPv6Address(int(one) | 1 << 120).exploded.upper())
    | st.builds(lambda number, zone: f"{IPv6Address((0xFE80 << 112) + number)}%{zone}", st.integers(1, 2**60), LABEL)
    | st.builds(
        lambda data, sign: sign.join(f"{byte:02x}" for byte in data),
        st.binary(min_size=6, max_size=6),
        st.sampled_from(":-"),
    )
)
HOSTS = st.builds(
    lambda labels, end: ".".join([*labels, end]),
    st.lists(LABEL, min_size=1, max_size=3),
    st.sampled_from(["de", "com", "example", "local", "lan", "internal", "net", "studio", "co.uk", "fritz.box.lan"]),
)
PLACES = st.sampled_from(
    [
        "{}",
        "connect to {} failed",
        "({})",
        "'{}'",
        '"{}"',
        "addr={}",
        "at {}: refused",
        "from {}, and more",
        "It is {}.",
        "host:{} ",
        "[{}]:5577",
        "<{}>",
        "peer {}; next",
        "{}\n{}",
        "to={} ok",
        "“{}”",
    ]
)


def clean(text: str, secret: str, redactor: Redactor = REDACTOR) -> None:
    """Asserts that nothing is left of it, in the text itself and as a log and JSON show it."""
    for form in (text, visible(text), json.dumps(text), repr(text)):
        shown = redactor.text(form)
        assert secret.lower() not in shown.lower(), shown
    assert secret.lower() not in json.dumps(redactor.value({"x": [text]}), ensure_ascii=False).lower()


@given(TOKENS, PLACES)
def test_tokens_go_wherever_they_stand(token: str, place: str) -> None:
    clean(place.replace("{}", token), token[8:])


@given(NAMES, VALUES, SAID)
def test_what_is_called_a_secret_goes_whatever_it_looks_like(name: str, value: str, said: str) -> None:
    clean(f"DEBUG lib: {said.format(n=name, v=value)}", value)


@given(NAMES, VALUES)
def test_values_by_their_names(name: str, value: str) -> None:
    assert value not in json.dumps(REDACTOR.value({"outer": [{name: value}]}))


@given(
    VALUES, st.sampled_from(["Authorization: Bearer {}", "authorization: Basic {}", "bearer {}", "Cookie: a={}; b=2"])
)
def test_headers_go(value: str, said: str) -> None:
    clean(f"> {said.format(value)}", value)


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_a_phrase_with_spaces_goes_whole(words: list[str]) -> None:
    text = f"password: {' '.join(words)}"
    for each in words:
        clean(text, each)


@given(ADDRESSES, PLACES)
@example("fe80::1ff:fe23%eth0", "at {}: refused")
@example("::ffff:192.168.7.9", "addr={}")
def test_addresses_go_wherever_they_stand(address: str, place: str) -> None:
    clean(place.replace("{}", address), address)


@given(
    st.ip_addresses(v=4), st.integers(1, 65535), st.sampled_from(["{}:{}", "tcp://{}:{}", "http://{}:{}/x", "{}/24 {}"])
)
def test_addresses_with_ports_and_nets_go(address: IPv4Address, port: int, said: str) -> None:
    assume(not (address.is_loopback or address.is_unspecified))
    clean(said.format(address, port), str(address))


@given(HOSTS, PLACES)
def test_names_of_machines_go_wherever_they_stand(host: str, place: str) -> None:
    assume(host.partition(".")[0] not in ("self", "cls", "np", "nn"))  # what programs begin names with
    if host.endswith("studio"):  # with so rare an end, what begins like a module of Python's may be one
        assume(host.partition(".")[0] not in sys.stdlib_module_names)
    clean(place.replace("{}", host), host)


@given(LABEL, HOSTS, VALUES, st.sampled_from(["https", "http", "ftp", "ssh", "postgres", "tcp", "ws"]))
def test_of_addresses_of_the_web_nothing_is_left(user: str, host: str, secret: str, scheme: str) -> None:
    text = f"GET {scheme}://zz{user}:{secret}@{host}:8080/{secret}?q={secret}#{secret} failed"
    for part in (secret, host, f"zz{user}"):
        clean(text, part)
    clean(f"mail to zz{user}@{host} or {user}@gpu-nine", f"zz{user}@")


@given(LABEL, st.sampled_from(["{}", "_{}", "{}_01", "{}.toml", "x-{}"]))
def test_names_of_files_of_the_user_go_by_any_look(name: str, said: str) -> None:
    assume(len(name) >= 3)
    redactor = Redactor(files={f"q{name}": "style"})
    clean(f'style "{said.format(f"q{name}")}": fine, q{name} too', f"q{name}", redactor)


@given(
    st.from_regex(r"Zq[A-Za-z0-9 _.()-]{0,20}[a-z]", fullmatch=True),
    st.sampled_from([".safetensors", ".ckpt", ".pt", ".png", ".toml", ".mp4", ".blend", ".json"]),
    st.sampled_from(
        [
            'File "/mnt/films/{}"',
            "[Errno 2] No such file: '/mnt/{}'",
            "loading 'C:\\Films\\{}'",
            "“{}” is no PNG",
            "~/x/{}",
            "/home/peter/x/{}",
            "models/{}",
            "\\\\nas\\films\\{}",
        ]
    ),
)
def test_names_of_models_and_pictures_go(name: str, end: str, said: str) -> None:
    assume("(" not in name or "home" not in said)
    text = said.format(name + end)
    shown = REDACTOR.text(text)
    assert name not in shown, shown
    assert end in shown, "what kind of file it was can be read"


@pytest.mark.parametrize(
    ("text", "gone"),
    [
        ("/home/peter/Geheim/x y.png and more", ["peter", "Geheim", "x y"]),
        ("/home/peter/Geheim/lib/python3.11/site-packages/torch/x.py", ["peter", "Geheim"]),
        ("/Users/Maria Curie/Films/a.py: error", ["Maria", "Curie", "Films"]),
        ("C:\\Users\\Peter Pan\\z", ["Peter", "Pan"]),
        ('open "/mnt/Film 7/clip" failed', ["Film 7"]),
        ("cannot stat /srv/secret-project/clips/a", ["secret-project"]),
        ("/run/media/mmuster/USBDISK/x", ["mmuster", "USBDISK"]),
        ("A client has come: Blender of Anna 5.0.", ["Anna"]),
        ("A client has gone: x\\n2026-01-01 forged.", ["forged"]),
        ("mmuster@studio-seven:~$ ls", ["mmuster", "studio-seven"]),
        ("mailto:anna@studio-seven.example", ["anna"]),
        ("The following part of your input was truncated because of CLIP: ['a naked fox']", ["naked"]),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nAbC\nDeF\n-----END OPENSSH PRIVATE KEY-----", ["AbC", "DeF"]),
        ("to gpu-nine:5577 and render7:22222", ["gpu-nine", "render7"]),
        (
            'The style file «settings»/styles/x.toml is skipped: base "Waldemar" has no preset "Otto", only Ida, Eva.',
            ["Waldemar", "Otto", "Ida", "Eva"],
        ),
        (
            "The style file y is skipped: styles/y.toml has a mistake: Invalid enum value 'Waldemar' - at `$.x`.",
            ["Waldemar"],
        ),
    ],
)
def test_examples(text: str, gone: list[str]) -> None:
    for each in gone:
        clean(text, each)


HARMLESS = """\
2026-01-02 03:04:05,678 42 INFO backend.server.server: Ready at tcp://127.0.0.1:4711 with 5 styles.
2026-01-02 03:04:05,678 42 INFO backend.server.server: Other machines reach it at tcp://0.0.0.0:5577.
2026-01-02 03:04:05,678 42 INFO backend.server.scheduler: Job 0123456789abcdef0123456789abcdef was accepted.
2026-01-02 03:04:05,678 42 ERROR backend.server.hold: The queue has stopped: The disk is full. Free some space there.
2026-01-02 03:04:05,678 42 WARNING backend.server.handshake_log: A connection was refused: it broke off.
2026-01-02 03:04:05,678 42 INFO backend.server.keys: The key 0a1b2c3d may come in.
2026-01-02 03:04:05,678 42 INFO backend.server.slot: Worker 4711 ended by itself with code -9.
  | Traceback (most recent call last):
  |   File "«clone»/backend/worker/process.py", line 132, in _end_of
  |     return self._make(task)
  |   File "«clone»/.venv/lib/python3.11/site-packages/torch/nn/modules/module.py", line 1773, in _wrapped_call_impl
  |     return self._call_impl(*args, **kwargs)
  |     x = torch.nn.functional.conv2d(input, weight, bias, self.stride, self.padding)
  |     raise zmq.error.ZMQError(errno.EADDRINUSE)
  |   File "/usr/lib/python3.11/threading.py", line 1045, in _bootstrap_inner
  |   File "/opt/x/site-packages/torch/nn/modules/module.py", line 12, in forward
  | torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 7.79 GiB total capacity)
  | RuntimeError: "addmm_impl_cpu_" not implemented for 'Half'
  | KeyError: 'missing'
  | OSError: [Errno 28] No space left on device
diffusers 0.42.1, transformers 5.23.0, torch 2.13.0+cu128, numpy==2.4.1, nvidia-cublas-cu12==12.8.4.1
pyzmq 27.3.0, libzmq 4.3.5, SQLite 3.40.1, Python 3.11.7 (main, Dec 8 2023, 14:22:46) [GCC 12.2.0]
Linux-6.1.0-18-amd64-x86_64-with-glibc2.36
style "plain": all its files are what they should be; worker_output_cuda_0.log; queue.db is whole; frame_0001.png
8 GB of memory, 4 processor cores; 512 × 512, 16 frames; 63/64; 3.5 s; 12:34:56; cuda:0; cuda:1; [::1]:5577; 1.2e-05
read model.safetensors, 77 tokens; tokenizer: 49408 words; Missing key(s) in state_dict: "conv_in.weight"
python -m backend resume; docs/STYLES.md; requirements.lock; python3 install.py setup; e.g. a fox, i.e. one
300.1.2.3 and 1.2.3.400 are no addresses; 1.2.3.4.5 is a version
the log says more: «state»/worker.log; its file is «settings»/backend.json; version 0.1.0
"""


@pytest.mark.parametrize("line", HARMLESS.splitlines())
def test_what_helps_stays(line: str) -> None:
    assert REDACTOR.text(line) == line


def test_folders_that_may_be_told_have_names() -> None:
    text = (
        "/home/mmuster/elevator/backend/x.py, /home/mmuster/.local/state/video_elevator/backend.log, /home/mmuster/y/z"
    )
    assert REDACTOR.text(text) == "«clone»/backend/x.py, «state»/backend.log, «home»/…"


def test_of_a_path_of_python_stays_what_is_the_same_everywhere() -> None:
    for path in ("/home/peter/env/lib/python3.11/torch/x.py", "/mnt/disk/env/lib/python3.11/torch/x.py"):
        assert REDACTOR.text(f'File "{path}", line 3').endswith('/…/lib/python3.11/torch/x.py", line 3')


def test_the_shortest_names_and_prompts_that_are_looked_for() -> None:
    redactor = Redactor(prompts=["fox", " ox "], files={"abc": "style", "ab": "style", "123": "style"})
    assert redactor.text("a fox, an ox; abc, ab and 123") == f"a {GONE}, an ox; «style 3», ab and 123"
    hidden = redactor.text("the word 'fo' and “FOX” and 'x'")
    assert hidden == f"the word 'fo' and “{GONE}” and 'x'"


@given(st.text(max_size=300) | st.text("/\\\"'.:@=%[]()-_ aZ0\n“”«»", max_size=80))
def test_any_text_is_taken_and_twice_is_once(text: str) -> None:
    once = REDACTOR.text(text)
    assert REDACTOR.text(once).count("«") >= once.count("«") - 1
