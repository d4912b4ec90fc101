"""A Blender with a window on a screen of its own: its mouse, its keys and its pictures."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from shared_protocol import VERSION
from tests.ui.systems import System

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT = 1600, 1200
STARTS_WITHIN = 180.0
LONG = 120.0
Box = tuple[int, int, int, int]
"""Left, top, width and height, in pixels of the screen."""


class Studio:
    """A system, and a home and a profile in it, which several Blenders may use one after another or at once.

    Raises AssertionError where the extension cannot be installed.
    """

    def __init__(self, system: System, folder: Path, pictures: Path, extension: Path) -> None:
        self.system, self.folder, self.pictures = system, folder, pictures
        self.home, self.profile, self.projects = folder / "home", folder / "profile", folder / "projects"
        for each in (self.home / "config", self.profile, self.projects, folder / "shaders", pictures):
            each.mkdir(parents=True, exist_ok=True)
        arguments = ["--fake", "--grace", "10"]
        told = {"python": sys.executable, "root": str(ROOT), "version": VERSION, "arguments": arguments}
        (self.home / "config" / "backend.json").write_text(json.dumps(told))
        self.version = self.run(["blender", "--version"]).splitlines()[0]
        shutil.copy(extension, folder)
        self.run(["blender", "--command", "extension", "validate", folder / extension.name])
        install = ["blender", "--command", "extension", "install-file", "-r", "user_default", "--enable"]
        self.run([*install, folder / extension.name])

    def environment(self, display: int | None = None) -> dict[str, str | Path]:
        screen = {} if display is None else {"DISPLAY": f":{display}"}
        return {
            "HOME": self.folder,
            "ELEVATOR_HOME": self.home,
            "ELEVATOR_FAKE_STEP_SECONDS": "0.1",
            "BLENDER_USER_RESOURCES": self.profile,
            "LIBGL_ALWAYS_SOFTWARE": "1",
            "GALLIUM_DRIVER": "llvmpipe",
            "LP_NUM_THREADS": "1",
            "MESA_SHADER_CACHE_DIR": self.folder / "shaders",
            **screen,
        }

    def command(self, words: list[str | Path], display: int | None = None) -> list[str]:
        binds = {self.folder, self.pictures, ROOT, *_pythons()}
        return self.system.command(words, self.environment(display), sorted(binds))

    def run(self, words: list[str | Path], display: int | None = None) -> str:
        done = subprocess.run(
            self.command(words, display),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LONG,
            check=False,
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    @property
    def backend(self) -> psutil.Process | None:
        """The server that runs, if one does."""
        try:
            told = json.loads((self.home / "state" / "connection.json").read_text())
            return psutil.Process(told["pid"])
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def close(self) -> None:
        """End whatever of it still runs."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.pid != os.getpid() and process.environ().get("ELEVATOR_HOME") == str(self.home):
                    process.kill()


class Window:
    """One Blender. `say` and `ask` run Python in it; the mouse and the keys go to its screen."""

    def __init__(self, studio: Studio, name: str) -> None:
        self.studio, self.name = studio, name
        self.folder = studio.folder / name
        for each in ("asked", "said"):
            (self.folder / each).mkdir(parents=True, exist_ok=True)
        self._numbers = count(time.time_ns())
        read, write = os.pipe()
        screen: list[str | Path] = ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{WIDTH}x{HEIGHT}x24"]
        self._screen = self._start([*screen, "-nolisten", "tcp"], pass_fds=[write])
        os.close(write)
        with os.fdopen(read) as said:
            self.display = int(said.readline())
        self._places: dict[str, tuple[int, int]] = {}
        self.start()

    def start(self, *arguments: str | Path) -> None:
        """Start Blender, on the screen that is there."""
        (self.folder / "up").unlink(missing_ok=True)
        size: list[str | Path] = ["--window-geometry", "0", "0", str(WIDTH), str(HEIGHT)]
        script = self.folder / "remote.py"
        shutil.copy(Path(__file__).with_name("remote.py"), script)
        self.process = self._start(["blender", *size, *arguments, "-P", script, "--", self.folder])
        self.until(lambda: (self.folder / "up").exists(), STARTS_WITHIN)

    def _start(self, words: list[str | Path], **options: Any) -> subprocess.Popen[bytes]:
        display = getattr(self, "display", None)
        with (self.folder / f"{words[0]}.log").open("ab") as log:
            return subprocess.Popen(
                self.studio.command(words, display),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **options,
            )

    # Python ---------------------------------------------------------------------------------------------------

    def say(self, source: str) -> str:
        """Run Python in Blender's main thread; what it printed. Raises AssertionError with its traceback."""
        name = str(next(self._numbers))
        file, answer = self.folder / "asked" / f"{name}.tmp", self.folder / "said" / name
        file.write_text(source, encoding="utf-8")
        file.rename(file.with_suffix(".py"))
        self.until(answer.exists)
        said = answer.read_text(encoding="utf-8")
        assert not said.startswith("!"), said
        return said

    def ask(self, expression: str) -> Any:
        """What an expression is, as a literal."""
        return ast.literal_eval(self.say(f"print(repr({expression}))"))

    def until(self, holds: Callable[[], Any], seconds: float = LONG) -> Any:
        """Wait. Returns what holds."""
        deadline = time.monotonic() + seconds
        while not (found := holds()):
            running = getattr(self, "process", None)
            assert running is None or running.poll() is None, f"Blender has ended: {self.log[-2000:]}"
            assert time.monotonic() < deadline, f"this did not come: {self.log[-2000:]}"
            time.sleep(0.1)
        return found

    @property
    def log(self) -> str:
        """What Blender wrote into its terminal."""
        file = self.folder / "blender.log"
        return file.read_text(errors="replace") if file.exists() else ""

    @property
    def strips(self) -> list[dict[str, Any]]:
        """Every strip, as remote.told says it."""
        found: list[dict[str, Any]] = self.ask("told()")
        return found

    @property
    def clips(self) -> list[dict[str, Any]]:
        """The strips that are clips."""
        return [strip for strip in self.strips if strip["job"]]

    def strip_named(self, name: str) -> dict[str, Any]:
        (found,) = [each for each in self.strips if each["name"] == name]
        return found

    # Mouse, keys, pictures --------------------------------------------------------------------------------------

    def do(self, *words: object) -> None:
        """One call of xdotool."""
        self.studio.run(["xdotool", *map(str, words)], self.display)

    def point(self, x: int, y: int) -> None:
        self.do("mousemove", x - 3, y - 1, "sleep", 0.1, "mousemove", x, y, "sleep", 0.2)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.do("key", key, "sleep", 0.4)

    def over_timeline(self) -> None:
        """The mouse over the strips, where keys mean them."""
        left, top, width, height = self.ask("boxes()")["WINDOW"]
        self.point(left + width // 3, top + height // 2)

    def click(self, wanted: str, row: int = 0) -> None:
        """Click the button of an operator, or the field of a property, found in the sidebar by its name.
        row: of several, which."""
        x, y = self.find(wanted, row)
        self.point(x, y)
        self.do("sleep", 0.2, "click", 1, "sleep", 0.4)

    def find(self, wanted: str, row: int = 0) -> tuple[int, int]:
        """Where it is, if need be further down. Ctrl-C over a button copies its operator, with Shift and Alt over a
        field its data path."""
        hits = self._hits(wanted, row)
        if len(hits) <= row:
            self.do(*("click", 5) * 12)  # the wheel: the whole sidebar does not always fit into the window
            hits = self._hits(wanted, row)
        assert len(hits) > row, f"{wanted} is not in the sidebar"
        left, *places = hits[row]
        return left, places[len(places) // 2]

    def _hits(self, wanted: str, row: int) -> list[list[int]]:
        """Where it shows: for each of several how far from the left, and all places from above."""
        keys = "ctrl+c" if "(" in wanted else "ctrl+shift+alt+c"
        x, top, width, height = self.ask("boxes()")["UI"]
        hits: list[list[int]] = []
        # Where words begin, where a list's rows have their buttons (with and without a scroll bar), and where a bar has
        # those beside it.
        for place in range(top + 6, top + height - 4, 8):
            for left in (x + width // 4, x + width * 70 // 100, x + width * 77 // 100, x + width - 48):
                self.say("bpy.context.window_manager.clipboard = '-'")
                moves = ("mousemove", left - 2, place, "sleep", 0.03, "mousemove", left, place, "sleep", 0.06)
                self.do(*moves, "key", keys, "sleep", 0.06)
                if wanted in self.ask("bpy.context.window_manager.clipboard"):
                    if hits and hits[-1][0] == left and place - hits[-1][-1] <= 8:
                        hits[-1].append(place)
                    else:
                        hits.append([left, place])
                    break
            else:
                if len(hits) > row:
                    break
        return hits

    def picture(self, name: str, box: Box | None = None) -> Path:
        """Take a picture of the screen, or of a part of it."""
        part = [] if box is None else ["-crop", f"{box[2]}x{box[3]}+{box[0]}+{box[1]}", "+repage"]
        file = self.studio.pictures / f"{name}.png"
        self.studio.run(["import", "-window", "root", *part, file], self.display)
        return file

    # Projects -----------------------------------------------------------------------------------------------------

    def open(self, name: str, fps: int = 24) -> Path:
        """A saved edit: a plate on channel 2, a sound's place below it, a title above."""
        file = self.studio.projects / name / f"{name}.blend"
        file.parent.mkdir(parents=True, exist_ok=True)
        base = self.studio.folder / f"base{fps}.blend"
        if not base.exists():
            self.new()
            self.say(EDIT.format(fps=fps, base=str(base)))
        shutil.copy(base, file)
        self.say(f"bpy.ops.wm.open_mainfile(filepath={str(file)!r})")
        self.show_tab()
        self.say("with bpy.context.temp_override(**timeline()): bpy.ops.sequencer.view_all()")
        return file

    def new(self) -> None:
        """An unsaved edit with nothing in it."""
        self.say("bpy.ops.wm.read_homefile(app_template='')\nshow_editing()")
        time.sleep(1)  # Blender changes the workspace when it comes to it
        self.say("show_editing()")
        self.show_tab()

    def show_tab(self) -> None:
        """The panels. A sidebar must have been drawn before it can be told which tab to show."""
        for _ in range(3):
            self.say("show_tab('Elevator')")
            time.sleep(0.5)

    def close(self) -> None:
        """End Blender and its screen at once."""
        for process in (self.process, self._screen):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def kill(self) -> None:
        """`kill -9`, as a crash does it."""
        pid = int((self.folder / "up").read_text())
        os.kill(pid, signal.SIGKILL)
        self.process.wait()


EDIT = """
scene().render.fps = {fps}
scene().render.fps_base = 1.0
scene().view_settings.view_transform = "Standard"
scene().frame_set(1)
editor = scene().sequence_editor or scene().sequence_editor_create()
new = editor.strips if hasattr(editor, "strips") else editor.sequences
def add(name, kind, channel, first, length):
    known = new.bl_rna.functions["new_effect"].parameters
    time = {{"length": length}} if "length" in known else {{"frame_end": first + length}}
    return new.new_effect(name=name, type=kind, channel=channel, frame_start=first, **time)
add("plate", "COLOR", 2, 1, 240).color = (0.1, 0.2, 0.5)
add("below", "COLOR", 3, 100, 100).color = (0.5, 0.2, 0.1)
add("title", "TEXT", 4, 36, 48).text = "TITLE"
for strip in strips():
    strip.select = False
bpy.ops.wm.save_as_mainfile(filepath={base!r}, copy=True)
"""


def _pythons() -> Iterator[Path]:
    """The folders that the backend's interpreter needs: its environment and the Python that this is made from."""
    yield Path(sys.prefix).resolve()
    yield Path(sys.base_prefix).resolve()


@contextmanager
def windows(studio: Studio, *names: str) -> Iterator[list[Window]]:
    """Blenders side by side, each on a screen of its own."""
    with contextlib.ExitStack() as stack:
        opened = []
        for name in names:
            opened.append(Window(studio, name))
            stack.callback(opened[-1].close)
        yield opened
