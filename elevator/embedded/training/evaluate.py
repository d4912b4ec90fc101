"""`python -m elevator.embedded.training.evaluate`: how good the embedded models are, on fixed prompts and seeds.

Samples the clips (those already in the folder are kept), lets the judge and the tracker read them, and writes
`evaluation.json`, `clips.json` (what was read in each clip), `evaluation.md` and contact sheets. Needs the emoji
font, for the true renders.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...arguments import ArgumentParser
from ...pictures.metrics import measure
from ..small_world.judge import LOOKS, Judge, Verdict, frechet_distance, load_judge, read, sharpness
from ..small_world.pictures import EmojiFont, SubjectSource, fetch_font
from ..small_world.styles import STYLES, WEIGHTS, filter_clip, washed_out
from ..small_world.tracks import motion_of
from ..small_world.world import CLIP_FRAMES, allowed_backgrounds, random_scene, render_clip
from .clips import PUBLISHED, ClipKind, clip_file, make_clips, read_clip
from .judge import true_renders
from .preview import save_sheet
from .prompts import EvaluationPrompt, read_prompts
from .scores import Figures, table
from .store import Folders

T2VS = ("zeroscope", "animatediff")
T2I = ClipKind("t2i", frames=1, refine=False)
UNREFINED = ClipKind("unrefined", refine=False)
ALONE = {t2v: ClipKind(f"{t2v}_alone", t2v, alone=True) for t2v in T2VS}
ELEVATED = {t2v: ClipKind(f"{t2v}_elevated", t2v) for t2v in T2VS}
PRESETS = ("balanced", "fast", "draft")
"""Beside the published one."""
SHORTER = {f"{t2v}_{preset}": ClipKind(f"{t2v}_{preset}", t2v, preset=preset) for t2v in T2VS for preset in PRESETS}
SHORTER |= {f"{t2v}_turbo": ClipKind(f"{t2v}_turbo", t2v, preset="turbo", distilled=True) for t2v in T2VS}
STYLED = {style: ClipKind(f"zeroscope_{style}", lora=style, lora_weight=WEIGHTS[style]) for style in STYLES}


class Evaluation:
    """The figures of one folder of clips."""

    def __init__(self, out: Path, prompts: list[EvaluationPrompt], judge: Judge, source: SubjectSource) -> None:
        self.out, self.prompts, self.judge, self.source = out, prompts, judge, source

    def clips(self, kind: ClipKind) -> dict[int, NDArray[np.uint8]]:
        """Index of the prompt → clip (f, 64, 64, 3), for all that have been sampled."""
        files = {index: clip_file(self.out, kind, index) for index in range(len(self.prompts))}
        return {index: read_clip(file) for index, file in files.items() if file.exists()}

    def measure(self, kind: ClipKind, style: str | None = None) -> dict[str, Any]:
        """Shares of frames with the right subject and background and of clips with the right motion, and distances.

        `fid`: distance of the features to those of true renders of the same scenes in the same style.
        """
        clips = self.clips(kind)
        filters = {"washed_out": washed_out, **STYLES}
        look = filters.get("washed_out" if kind.alone else style or "")
        rows = []
        for index, clip in clips.items():
            prompt, verdict = self.prompts[index], read(self.judge, clip)
            moved = motion_of(clip, prompt.scene.background, look) if len(clip) > 1 else None
            rows.append(_row(index, prompt, verdict, moved))
        true = self.renders(list(clips), None if style is None else STYLES[style], frames=kind.frames)
        made = np.concatenate(list(clips.values()))
        figures = {
            "clips": len(clips),
            "fid": frechet_distance(read(self.judge, made).features, read(self.judge, true).features),
            **_movement(list(clips.values())),
            "sharpness": sharpness(made),
            "sharpness_of_renders": sharpness(true),
        }
        for group, chosen in {"": rows, "held_out_": [row for row in rows if row["held_out"]]}.items():
            for name in ("subject", "background", "motion"):
                values = [row[name] for row in chosen if row[name] is not None]
                if values:
                    figures[f"{group}{name}"] = float(np.mean(values))
        return {**figures, "rows": rows}

    def renders(self, indexes: list[int], style: Any = None, frames: int = CLIP_FRAMES) -> NDArray[np.uint8]:
        """True frames (n, 64, 64, 3) of the prompts' scenes."""
        clips = []
        for index in indexes:
            clip = render_clip(self.prompts[index].scene, self.source)
            clips.append(clip if frames == CLIP_FRAMES else clip[:: CLIP_FRAMES // frames][:frames])
        made = np.concatenate(clips)
        return made if style is None else filter_clip(made, style)

    def style(self, name: str, unstyled: ClipKind) -> dict[str, Any]:
        """A style's figures, with the distance to true styled renders relative to that of unstyled clips."""
        figures = self.measure(STYLED[name], name)
        indexes = list(self.clips(STYLED[name]))
        plain = np.concatenate([clip for index, clip in self.clips(unstyled).items() if index in indexes])
        true = read(self.judge, self.renders(indexes, STYLES[name])).features
        figures["relative_fid"] = figures["fid"] / frechet_distance(read(self.judge, plain).features, true)
        return figures


def _movement(clips: list[NDArray[np.uint8]]) -> dict[str, float]:
    """Means of the measures of motion that need no truth; none for single frames."""
    measured = [measure(clip) for clip in clips if len(clip) > 2]
    names = ("frame_difference", "warp_error", "flow", "second_difference", "high_frequency_share")
    return {name: float(np.mean([getattr(each, name) for each in measured])) for name in names if measured}


def _row(index: int, prompt: EvaluationPrompt, verdict: Verdict, moved: str | None) -> dict[str, Any]:
    return {
        "prompt": index,
        "held_out": prompt.held_out,
        "subject": float(np.mean([name == prompt.subject for name in verdict.subjects])),
        "background": float(np.mean([name == prompt.background for name in verdict.backgrounds])),
        "read": max(set(verdict.subjects), key=verdict.subjects.count),
        "motion": None if moved is None else float(moved == prompt.motion),
        "moved": moved,
    }


def check_judges(judge: Judge, source: SubjectSource, count: int = 2000, seed: int = 424_242) -> dict[str, float]:
    """How the classifier and the tracker read true renders that no training saw."""
    renders = true_renders(source, count, seed, crisp=1.0)
    verdict = read(judge, renders.frames)
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, backgrounds=allowed_backgrounds) for _ in range(count // 5)]
    looks = {"": None, "_washed_out": washed_out}
    figures = {
        "judge_subject": _share(verdict.subjects, [scene.subject.name for scene in renders.scenes]),
        "judge_background": _share(verdict.backgrounds, [scene.background.name for scene in renders.scenes]),
    }
    for name, look in looks.items():
        moved = [_tracked(scene, source, look) for scene in scenes]
        figures[f"tracker{name}"] = _share(moved, [scene.motion.name for scene in scenes])
    for style in list(LOOKS)[1:]:
        figures[f"judge_subject_{style}"] = _style_share(judge, source, style, seed)
    return figures


def _tracked(scene: Any, source: SubjectSource, look: Any) -> str:
    clip = render_clip(scene, source)
    return motion_of(clip if look is None else filter_clip(clip, look), scene.background, look)


def _style_share(judge: Judge, source: SubjectSource, style: str, seed: int) -> float:
    renders = true_renders(source, 400, seed, crisp=1.0)
    look = LOOKS[style]
    assert look is not None
    return _share(read(judge, filter_clip(renders.frames, look)).subjects, [s.subject.name for s in renders.scenes])


def _share(read_as: list[str], right: list[str]) -> float:
    return float(np.mean([a == b for a, b in zip(read_as, right, strict=True)]))


def evaluate(out: Path, weights: Path, source: SubjectSource) -> Figures:
    """Read all clips in `out` and return every figure."""
    judge = load_judge(weights / "judge")
    checks = check_judges(judge, source)
    evaluation = Evaluation(out, read_prompts(), judge, source)
    kinds = [T2I, UNREFINED, *ALONE.values(), *ELEVATED.values()]
    figures: dict[str, Any] = {kind.name: evaluation.measure(kind) for kind in kinds if evaluation.clips(kind)}
    for name, kind in SHORTER.items():
        if evaluation.clips(kind):
            figures[name] = evaluation.measure(kind)
    for name in STYLES:
        if evaluation.clips(STYLED[name]):
            figures[f"style_{name}"] = evaluation.style(name, ELEVATED["zeroscope"])
    return Figures(checks, figures)


def _sheets(out: Path, prompts: list[EvaluationPrompt]) -> None:
    """One sheet a kind: every twelfth prompt, every second frame. Seeds and choice are fixed, nobody picks."""
    for kind in (UNREFINED, *ALONE.values(), *ELEVATED.values(), *STYLED.values()):
        files = [clip_file(out, kind, index) for index in range(0, len(prompts), 12)]
        rows = [read_clip(file)[::2] for file in files if file.exists()]
        if rows:
            save_sheet(rows, out / f"{kind.name}.png")
    plain = ELEVATED["zeroscope"]
    shorter = [SHORTER[f"zeroscope_{preset}"] for preset in PRESETS]
    for name, kinds in (("styles", [plain, *STYLED.values()]), ("presets", [plain, *shorter])):
        side_by_side = [_side_by_side(out, kinds, index) for index in range(0, len(prompts), 12)]
        if rows := [row for row in side_by_side if row is not None]:
            save_sheet(rows, out / f"{name}.png")
    images = [clip_file(out, T2I, index) for index in range(len(prompts))]
    frames = [read_clip(file)[0] for file in images if file.exists()]
    if len(frames) >= 16:
        save_sheet([np.stack(frames[i : i + 16]) for i in range(0, len(frames) - 15, 16)], out / "t2i.png")


def _side_by_side(out: Path, kinds: list[ClipKind], index: int) -> NDArray[np.uint8] | None:
    """Every fourth frame of a prompt's clip in each kind; None if one is missing."""
    files = [clip_file(out, kind, index) for kind in kinds]
    return np.concatenate([read_clip(file)[::4] for file in files]) if all(f.exists() for f in files) else None


def main() -> None:
    parser = ArgumentParser(prog="python -m elevator.embedded.training.evaluate", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo/evaluation"), help="folder of clips and results")
    parser.add_argument("--weights", type=Path, default=Folders().weights)
    parser.add_argument("--every", type=int, default=1, help="take every n-th prompt only")
    parser.add_argument("--kinds", nargs="*", help="names of kinds of clips to sample; all without it")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--font", type=Path, help="colour emoji font file")
    args = parser.parse_args()
    prompts = read_prompts()
    indexes = list(range(0, len(prompts), args.every))
    kinds = [(kind, indexes) for kind in (T2I, UNREFINED, *ALONE.values(), *ELEVATED.values())]
    kinds += [(kind, indexes[::3]) for kind in (*SHORTER.values(), *STYLED.values())]
    if args.kinds is not None:
        kinds = [(kind, chosen) for kind, chosen in kinds if kind.name in args.kinds]
    make_clips(args.weights, args.out, kinds, prompts, args.processes)
    _sheets(args.out, prompts)
    figures = evaluate(args.out, args.weights, EmojiFont(args.font or fetch_font()))
    text = table(figures)
    rows = {name: kind["rows"] for name, kind in figures.kinds.items()}
    summed = {name: {key: kind[key] for key in kind if key != "rows"} for name, kind in figures.kinds.items()}
    content = {"plan": asdict(PUBLISHED), "judges": figures.judges, "kinds": summed}
    (args.out / "evaluation.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    (args.out / "clips.json").write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    (args.out / "evaluation.md").write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
