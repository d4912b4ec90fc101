"""The small world: what exists in it, how it moves, and how a frame of it is painted.

A scene is subject x background x motion. Widening the world means longer tables.

Motions have FIXED PHASES: each starts and ends at the same place in every clip, with
a jitter of two or three pixels. So the mean of all clips of one caption is itself a
moving blob, which is what a model predicts from pure noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from .pictures import SubjectSource

FRAME_PX = 64
CLIP_FRAMES = 16
_SUPERSAMPLING = 2

Frame = NDArray[np.uint8]
"""(64, 64, 3) RGB."""


@dataclass(frozen=True)
class Subject:
    """Something solid, readable at about 28 pixels; `avoid`: backgrounds of its own colour."""

    name: str
    symbol: str
    avoid: tuple[str, ...] = ()


@dataclass(frozen=True)
class Background:
    """Two RGB colours (top and bottom) and, for places, a painter of details."""

    name: str
    phrases: tuple[str, ...]
    top: tuple[int, int, int]
    bottom: tuple[int, int, int]


@dataclass(frozen=True)
class Pose:
    """Where a subject is: centre and longer side as fractions of the frame, angle in degrees."""

    x: float = 0.5
    y: float = 0.5
    size: float = 0.44
    angle: float = 0.0


@dataclass(frozen=True)
class Motion:
    """A path through time: `pose` maps progress 0..1 of a clip to a pose."""

    name: str
    phrases: tuple[str, ...]
    pose: Callable[[float], Pose]
    effect: tuple[float, float, float, float]
    """What the text encoder's helper head must tell: (dx, dy, growth, spin), each -1, 0 or 1."""


@dataclass(frozen=True)
class Scene:
    """One thing in one place doing one thing, with the small accidents of this instance."""

    subject: Subject
    background: Background
    motion: Motion
    shift_x: float = 0.0
    shift_y: float = 0.0
    size_factor: float = 1.0
    light: float = 1.0
    extra: dict[str, float] = field(default_factory=dict, compare=False)


SUBJECTS: tuple[Subject, ...] = (
    Subject("pumpkin", "\U0001f383", ("orange", "desert")),
    Subject("fish", "\U0001f420", ("yellow",)),
    Subject("car", "\U0001f697", ("red",)),
    Subject("cat", "\U0001f431", ("yellow", "orange", "desert")),
    Subject("tree", "\U0001f333", ("green", "grass")),
    Subject("house", "\U0001f3e0", ("white",)),
    Subject("apple", "\U0001f34e", ("red",)),
    Subject("mushroom", "\U0001f344", ("red",)),
    Subject("frog", "\U0001f438", ("green", "grass")),
    Subject("pig", "\U0001f437", ("pink",)),
    Subject("panda", "\U0001f43c", ("white", "black")),
    Subject("octopus", "\U0001f419", ("pink", "red")),
    Subject("ladybug", "\U0001f41e", ("red",)),
    Subject("balloon", "\U0001f388", ("red",)),
    Subject("star", "\u2b50", ("yellow", "desert")),
    Subject("ball", "\u26bd", ("white",)),
    Subject("gift", "\U0001f381", ("yellow", "orange", "desert")),
    Subject("robot", "\U0001f916", ("gray",)),
    Subject("ghost", "\U0001f47b", ("white",)),
    Subject("dog", "\U0001f436", ("white",)),
    Subject("fox", "\U0001f98a", ("orange", "desert")),
    Subject("train", "\U0001f682", ("gray",)),
    Subject("sunflower", "\U0001f33b", ("yellow", "desert")),
    Subject("heart", "\u2764", ("red",)),
)

_ON = ("{} background", "on a {} background", "{} background", "in front of a {} background")


def _colour(name: str, top: tuple[int, int, int], bottom: tuple[int, int, int]) -> Background:
    return Background(name, tuple(phrase.format(name) for phrase in _ON), top, bottom)


BACKGROUNDS: tuple[Background, ...] = (
    _colour("red", (226, 58, 52), (196, 36, 38)),
    _colour("orange", (250, 152, 50), (232, 122, 24)),
    _colour("yellow", (252, 222, 84), (240, 198, 48)),
    _colour("green", (84, 186, 84), (54, 152, 60)),
    _colour("blue", (70, 130, 226), (44, 96, 196)),
    _colour("purple", (150, 84, 196), (118, 56, 166)),
    _colour("pink", (250, 164, 196), (238, 130, 172)),
    _colour("white", (252, 252, 252), (230, 230, 234)),
    _colour("gray", (150, 150, 154), (118, 118, 124)),
    _colour("black", (34, 34, 38), (12, 12, 14)),
    Background("night", ("at night", "night sky", "in the night"), (14, 18, 58), (44, 40, 104)),
    Background("grass", ("on grass", "on the grass", "grass"), (150, 208, 246), (196, 230, 250)),
    Background("sea", ("at sea", "on the sea", "sea"), (176, 220, 246), (214, 238, 250)),
    Background("desert", ("in the desert", "desert"), (246, 226, 176), (250, 236, 204)),
)


def _line(start: Pose, end: Pose) -> Callable[[float], Pose]:
    def pose(u: float) -> Pose:
        def mix(a: float, b: float) -> float:
            return a + (b - a) * u

        return Pose(
            mix(start.x, end.x), mix(start.y, end.y),
            mix(start.size, end.size), mix(start.angle, end.angle),
        )  # fmt: skip

    return pose


def _bounce(u: float) -> Pose:
    return Pose(y=0.7 - 0.4 * abs(math.sin(2 * math.pi * u)))


def _swing(u: float) -> Pose:
    return Pose(x=0.5 + 0.24 * math.sin(2 * math.pi * u))


_NEAR, _FAR = 0.26, 0.74

MOTIONS: tuple[Motion, ...] = (
    Motion("still", ("",), lambda u: Pose(), (0, 0, 0, 0)),
    Motion("left", ("moving left", "moving to the left", "going left", "sliding left"),
           _line(Pose(x=_FAR), Pose(x=_NEAR)), (-1, 0, 0, 0)),
    Motion("right", ("moving right", "moving to the right", "going right", "sliding right"),
           _line(Pose(x=_NEAR), Pose(x=_FAR)), (1, 0, 0, 0)),
    Motion("up", ("moving up", "rising", "going up", "flying up"),
           _line(Pose(y=_FAR), Pose(y=_NEAR)), (0, -1, 0, 0)),
    Motion("down", ("moving down", "falling", "going down", "sinking"),
           _line(Pose(y=_NEAR), Pose(y=_FAR)), (0, 1, 0, 0)),
    Motion("grow", ("growing", "getting bigger"),
           _line(Pose(size=0.24), Pose(size=0.66)), (0, 0, 1, 0)),
    Motion("shrink", ("shrinking", "getting smaller"),
           _line(Pose(size=0.66), Pose(size=0.24)), (0, 0, -1, 0)),
)  # fmt: skip
"""The motions of this edition."""

LATER_MOTIONS: tuple[Motion, ...] = (
    Motion("bounce", ("bouncing", "jumping"), _bounce, (0, -1, 0, 1)),
    Motion("spin", ("spinning", "turning"), _line(Pose(), Pose(angle=360.0)), (0, 0, 0, 1)),
    Motion("swing", ("swinging", "swaying"), _swing, (1, 0, 0, 1)),
)
"""Motions for the next edition: their words have tokens, the models do not know them yet."""


_BACKWARDS = {"left": "right", "right": "left", "up": "down", "down": "up", "grow": "shrink", "shrink": "grow"}


def scene_of(subject: str, background: str, motion: str) -> Scene:
    """The scene of these names, without accidents of place, size and light. Raises StopIteration for an unknown one."""
    return Scene(
        next(each for each in SUBJECTS if each.name == subject),
        next(each for each in BACKGROUNDS if each.name == background),
        next(each for each in MOTIONS if each.name == motion),
    )


def played_backwards(scene: Scene) -> Scene:
    """The scene that the clip shows when its frames run backwards; paths are even, so nothing else changes."""
    name = _BACKWARDS.get(scene.motion.name, scene.motion.name)
    motion = next(motion for motion in MOTIONS if motion.name == name)
    return replace(scene, motion=motion)


def allowed_backgrounds(subject: Subject) -> list[Background]:
    """The backgrounds on which a subject stands out."""
    return [background for background in BACKGROUNDS if background.name not in subject.avoid]


def held_out_backgrounds(subject: Subject) -> list[Background]:
    """Two of the allowed backgrounds, on which training never shows this subject, whatever its motion.

    So what the models paint there is put together from its parts, not remembered.
    """
    allowed = allowed_backgrounds(subject)
    first = 5 * SUBJECTS.index(subject)
    return [allowed[first % len(allowed)], allowed[(first + len(allowed) // 2) % len(allowed)]]


def trained_backgrounds(subject: Subject) -> list[Background]:
    """The allowed backgrounds without the held-out ones."""
    held_out = held_out_backgrounds(subject)
    return [background for background in allowed_backgrounds(subject) if background not in held_out]


def random_scene(
    rng: np.random.Generator,
    motions: tuple[Motion, ...] = MOTIONS,
    backgrounds: Callable[[Subject], list[Background]] = trained_backgrounds,
) -> Scene:
    """A scene drawn uniformly over subjects, their `backgrounds`, and `motions`."""
    subject = SUBJECTS[rng.integers(len(SUBJECTS))]
    allowed = backgrounds(subject)
    pixel = 1 / FRAME_PX
    return Scene(
        subject,
        allowed[rng.integers(len(allowed))],
        motions[rng.integers(len(motions))],
        shift_x=float(rng.uniform(-2.5, 2.5) * pixel),
        shift_y=float(rng.uniform(-2.5, 2.5) * pixel),
        size_factor=float(rng.uniform(0.92, 1.08)),
        light=float(rng.uniform(0.96, 1.04)),
    )


def pose_at(scene: Scene, u: float) -> Pose:
    """The pose at progress `u` in 0..1, with this scene's own jitter."""
    pose = scene.motion.pose(u)
    return Pose(pose.x + scene.shift_x, pose.y + scene.shift_y, pose.size * scene.size_factor, pose.angle)


def _paint_details(name: str, canvas: NDArray[np.uint8]) -> None:
    """Paint the fixed details of a place into `canvas` (s, s, 3), in place."""
    side = canvas.shape[0]
    if name == "night":
        for x, y, r in ((9, 8, 1), (24, 15, 1), (40, 6, 1), (17, 30, 1), (57, 27, 1), (34, 38, 1),
                        (6, 47, 1), (48, 50, 1), (25, 57, 1)):  # fmt: skip
            where = (round(x / 64 * side), round(y / 64 * side))
            cv2.circle(canvas, where, max(1, r * side // 64), (250, 246, 206), -1, cv2.LINE_AA)
        cv2.circle(canvas, (side * 53 // 64, side * 10 // 64), side * 5 // 64, (250, 240, 190), -1,
                   cv2.LINE_AA)  # fmt: skip
    elif name == "grass":
        canvas[side * 38 // 64 :] = (98, 178, 66)
        canvas[side * 54 // 64 :] = (76, 154, 52)
    elif name == "sea":
        canvas[side * 34 // 64 :] = (38, 132, 190)
        canvas[side * 48 // 64 :] = (24, 104, 166)
    elif name == "desert":
        across = np.arange(side) / side
        dune = (0.58 + 0.06 * np.sin(across * 2 * math.pi + 0.6)) * side
        canvas[np.arange(side)[:, None] > dune[None, :]] = (222, 166, 92)


_BACKDROPS: dict[str, NDArray[np.uint8]] = {}


def _backdrop(background: Background) -> NDArray[np.uint8]:
    """The background alone, (128, 128, 3); painted once per process."""
    if background.name not in _BACKDROPS:
        side = FRAME_PX * _SUPERSAMPLING
        down = np.linspace(0, 1, side)[:, None, None]
        top, bottom = np.array(background.top), np.array(background.bottom)
        column = np.broadcast_to(top * (1 - down) + bottom * down, (side, side, 3))
        canvas = np.ascontiguousarray(column.round().astype(np.uint8))
        _paint_details(background.name, canvas)
        _BACKDROPS[background.name] = canvas
    return _BACKDROPS[background.name]


def render(scene: Scene, u: float, source: SubjectSource) -> Frame:
    """The frame of a scene at progress `u` in 0..1."""
    side = FRAME_PX * _SUPERSAMPLING
    pose = pose_at(scene, u)
    picture = source.picture(scene.subject.name, scene.subject.symbol)
    scale = pose.size * side / max(picture.shape[:2])
    if scale < 0.6:  # warping samples four neighbours only: shrink by area first
        small = max(0.35, scale)
        picture = cv2.resize(picture, None, fx=small, fy=small, interpolation=cv2.INTER_AREA)
        scale = pose.size * side / max(picture.shape[:2])
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), -pose.angle, scale)
    matrix[0, 2] += pose.x * side - 0.5 - (width - 1) / 2
    matrix[1, 2] += pose.y * side - 0.5 - (height - 1) / 2
    # Colours are premultiplied, so that transparent borders do not darken the edges.
    alpha = picture[..., 3:].astype(np.float32) / 255
    layer = np.concatenate([picture[..., :3] * alpha, alpha], 2)
    layer = cv2.warpAffine(layer, matrix, (side, side), flags=cv2.INTER_LINEAR)
    canvas = _backdrop(scene.background) * (1 - layer[..., 3:]) + layer[..., :3]
    small_canvas = cv2.resize(canvas, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(np.clip(small_canvas * scene.light, 0, 255).round(), np.uint8)


def render_clip(scene: Scene, source: SubjectSource, frames: int = CLIP_FRAMES) -> NDArray[np.uint8]:
    """A clip of a scene, (frames, 64, 64, 3)."""
    steps = np.linspace(0, 1, frames) if frames > 1 else np.zeros(1)
    return np.stack([render(scene, float(u), source) for u in steps])
