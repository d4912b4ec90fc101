"""Captions of scenes, and the words they are made of."""

from __future__ import annotations

import re

import numpy as np

from .styles import STYLES
from .world import BACKGROUNDS, LATER_MOTIONS, MOTIONS, SUBJECTS, Scene

_LATER_WORDS = """
turtle penguin chick duck bear lion whale snail bus cake snowman rose cactus watermelon
strawberry orange moon crab butterfly boat clock dice basketball umbrella ship truck tractor
pear lemon grapes burger donut egg cookie tulip bell trophy crown alien monkey koala elephant
bee banana rocket
neon poster outline palette style drawing painting picture photo of slowly fast big small
large little high low near far left right top bottom middle center corner video clip and with
best quality detailed sharp clean blurry bad low noise text watermark still standing
"""
"""Tokens in reserve: subjects of the next edition and words that people write in prompts."""


_SINCE_THE_FIRST = {"neon"}
"""Words that were in reserve and mean something now; they keep their tokens."""


def full_caption(scene: Scene) -> str:
    """The plainest complete caption: "a pumpkin moving right, blue background"."""
    return _join(scene.subject.name, scene.motion.phrases[0], scene.background.phrases[0])


def random_caption(scene: Scene, rng: np.random.Generator, whole: bool = False) -> str:
    """A caption in other words, now and then turned round or, unless `whole`, shortened."""
    motion = scene.motion.phrases[rng.integers(len(scene.motion.phrases))]
    background = scene.background.phrases[rng.integers(len(scene.background.phrases))]
    roll = rng.uniform(0.06, 1.0) if whole else rng.random()
    if roll < 0.03:
        background = ""
    elif roll < 0.06:
        motion = ""
    elif roll < 0.12:
        return f"{background}, {_join(scene.subject.name, motion, '')}"
    return _join(scene.subject.name, motion, background)


def _join(subject: str, motion: str, background: str) -> str:
    article = "an" if subject[0] in "aeiou" else "a"
    words = f"{article} {subject} {motion}".strip()
    if not background:
        return words
    comma = "" if background.startswith(("on ", "in ", "at ")) else ","
    return f"{words}{comma} {background}"


def words_of(text: str) -> list[str]:
    """The words of a prompt as the tokenizer splits them, in lower case."""
    return re.findall(r"[a-z]+", text.lower())


def known_words() -> list[str]:
    """Every word that occurs in this edition's captions, sorted."""
    texts = ["a an", *(s.name for s in SUBJECTS), *(name.replace("_", " ") for name in STYLES)]
    texts += [phrase for m in MOTIONS for phrase in m.phrases]
    texts += [phrase for b in BACKGROUNDS for phrase in b.phrases]
    return sorted({word for text in texts for word in words_of(text)})


def token_words() -> list[str]:
    """Every word that is one token, in token order: this edition's, then later ones.

    Only ever append: the order decides the token ids of trained models.
    """
    later = [phrase for m in LATER_MOTIONS for phrase in m.phrases]
    first = [word for word in known_words() if word not in _SINCE_THE_FIRST]
    words = [*first, *(word for text in [*later, _LATER_WORDS] for word in words_of(text))]
    return list(dict.fromkeys(words))
