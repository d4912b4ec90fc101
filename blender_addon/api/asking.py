"""Asking for clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import bpy

from shared_protocol.client import new_job_id
from shared_protocol.messages import Style

from ..blender import clips, strips
from ..blender.clips import Place
from ..blender.operators.generate import REFUSALS, problem_of
from ..blender.operators.generate import submit as submit_wish
from ..blender.properties import FITS, PLACES, RATES
from ..blender.sources import NOTHING, Input
from ..clip import rows
from ..clip.placing import Where
from ..clip.wish import Wish, random_seed, settle
from ..machine import waiting
from ..machine.timer import the_pump
from .clip import Clip, refuse_to_wait, wait_for
from .errors import ElevatorError, stop

Row: TypeAlias = Mapping[str, Any]


def connect(profile: str | None = None) -> None:
    """Reach the backend, or start it, and know its styles. Waits in a Blender without a window; else it comes soon.

    profile: of a backend on another machine; "": the one of this computer; None: as the preferences say, or an earlier
        call. What is being made is finished where it is.

    Raises ElevatorError.
    """
    pump = the_pump()
    if profile is not None:
        pump.use(replace(pump.serving, profile=profile))
    if not bpy.app.background:
        pump.do(pump.session.start())
        return
    refuse_to_wait()
    problem = waiting.meet()
    if problem is not None:
        raise ElevatorError(problem)


def styles() -> tuple[Style, ...]:
    """The backend's styles, as it told them last; none if it was never reached."""
    return the_pump().session.backend.styles


def submit(
    prompt: str,
    *,
    seed: int | None = None,
    frame_start: int | None = None,
    channel: int = 0,
    place: str = "ABOVE_ALL",
    fit: str = "FIT",
    rate: str = "SCENE",
    scene: Any = None,
    footage: str = "",
    anchor: str = "",
    anchor_file: str | PathLike[str] = "",
    **wish: Any,
) -> Clip:
    """Lay a strip down that waits for a clip, and ask for the clip. Returns at once.

    seed: None: a new one. frame_start: None: the playhead. channel: to try first; 0: as `place` says.
    place, fit, rate: as the operator's. scene: None: the one that is edited.
    footage: name of the strip whose pictures it starts from; `strength` of them, 0 keeps them, 1 ignores them.
    anchor: name of the strip whose picture at its start becomes the first frame; anchor_file: a picture that does.
    wish: `negative_prompt`, `style`, `preset`, `frames`, `width`, `height`, `loras`, `settings`, `strength`; left
        out: as the style does it. loras: "ink.safetensors:0.8", or a list of such texts or of pairs.

    Raises ElevatorError; then nothing has happened.
    """
    scene = scene_of(scene)
    wished = _wish(prompt=prompt, seed=random_seed() if seed is None else seed, **wish)
    _know_styles()
    start = scene.frame_current if frame_start is None else frame_start
    pictures = Input(footage, anchor, str(anchor_file))
    return _submit(scene, wished, place_of(start, channel, place, fit), one_of(RATES, "rate", rate), pictures)


def batch(
    table: str | PathLike[str] | Iterable[Row],
    *,
    frame_start: int | None = None,
    scene: Any = None,
    place: str = "ABOVE_ALL",
    fit: str = "FIT",
    rate: str = "SCENE",
    timeout: float | None = None,
    **defaults: Any,
) -> list[Clip]:
    """Submit a clip for each row, one behind the other from `frame_start` on, and wait for all of them.

    table: a .csv or .jsonl file as docs/COMMANDS.md describes it, or mappings with the same names. `frame_start` and
        `channel` are columns, too. defaults: for what rows leave out, as in `submit`.

    All rows are checked before any is submitted. Returns the clips in the order of their rows; one that failed has its
    `error`. With a window it does not wait. Ctrl-C cancels what is not finished and raises KeyboardInterrupt.
    Raises ElevatorError if a row cannot be used, or if `timeout` seconds were not enough; the clips go on then.
    """
    scene = scene_of(scene)
    _know_styles()
    wanted = [_checked(number, record, defaults) for number, record in enumerate(_records(table), 1)]
    rate = one_of(RATES, "rate", rate)
    start, made = scene.frame_current if frame_start is None else frame_start, []
    try:
        for row, wish in wanted:
            start = start if row.frame_start is None else row.frame_start
            clip = _submit(scene, wish, place_of(start, row.channel or 0, place, fit), rate)
            made.append(clip)
            start = strips.span(clip.strip)[1]
    except ElevatorError:
        for clip in made:
            clip.cancel()
            clips.take_away(clip.job)
        raise
    if bpy.app.background:
        wait_for(made, timeout)
    return made


def _know_styles() -> None:
    if bpy.app.background or not styles():
        connect()


def scene_of(scene: Any) -> Any:
    scene = scene or strips.sequencer_scene(bpy.context)
    if scene is None:
        stop("no_scene", "There is no scene to put the strip in.", "Choose a scene in the sequencer's header.")
    return scene


def one_of(items: tuple[tuple[str, str, str], ...], name: str, value: str) -> str:
    names = [item[0] for item in items]
    if value not in names:
        stop("bad_request", f'"{value}" is no {name}.', f"Choose one of these: {', '.join(names)}.")
    return value


def place_of(frame_start: int, channel: int, place: str, fit: str) -> Place:
    where = Where.CHANNEL if channel else Where[one_of(PLACES, "place", place)]
    return Place(frame_start, where, channel, one_of(FITS, "fit", fit))


def _wish(**told: Any) -> Wish:
    """Raises ElevatorError, and TypeError for a word that no clip has."""
    unknown = told.keys() - {field.name for field in fields(Wish)}
    if unknown:
        raise TypeError(f"unknown arguments: {', '.join(sorted(unknown))}")
    try:
        if "loras" in told:
            told["loras"] = rows.loras(told["loras"])
        if "settings" in told:
            told["settings"] = rows.settings(told["settings"])
    except rows.RowError as error:
        stop("bad_request", str(error))
    return Wish(**told)


def _submit(scene: Any, wish: Wish, place: Place, rate: str, pictures: Input = NOTHING) -> Clip:
    try:
        return Clip(submit_wish(bpy.context, scene, wish, place, rate, pictures))
    except REFUSALS as error:
        raise ElevatorError(problem_of(error)) from error


def _records(table: str | PathLike[str] | Iterable[Row]) -> list[dict[str, Any]]:
    if not isinstance(table, str | PathLike):
        return [dict(row) for row in table]
    path = Path(table)
    try:
        return rows.records(path.read_bytes(), path.name)
    except OSError as error:
        stop("batch_refused", f"{path} cannot be read: {error.strerror}.", "Choose another file.")
    except rows.RowError as error:
        stop("batch_refused", f"{path.name}: {error}", "Mend it; nothing was submitted.")


def _checked(number: int, record: Row, defaults: Mapping[str, Any]) -> tuple[rows.Row, Wish]:
    try:
        row = rows.row(record)
        told = {"seed": random_seed(), **defaults, **row.wish}
        wish = _wish(**{"prompt": "", **told})
        settle(wish, new_job_id(), styles())
    except (rows.RowError, ElevatorError, *REFUSALS) as error:
        sentence = error.sentence if isinstance(error, ElevatorError) else str(error)
        stop("batch_refused", f"Row {number}: {sentence}", "Mend it; nothing was submitted.")
    return row, wish
