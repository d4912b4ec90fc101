"""Puts a study's page into docs/study: tables, plots and contact sheets, pictures as WebP; strips stay behind.

    python scripts/study_docs.py study

The study is what `elevator study` has made. Prints the main rows of its baselines, a table for
README.md, and what choices change that could be defaults, one for docs/SAMPLER.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from elevator.study.page import cell  # noqa: E402
from elevator.study.statistics import Interval  # noqa: E402

DOCS = ROOT / "docs" / "study"
PICTURE = re.compile(r"!\[([^]]*)\]\(([\w.-]+)\.png\)\n?")
PAINTED = re.compile(r"main(_\d+)?|.*_sheet")
"""Names of pictures with frames in them; the others are plots."""
ROWS = ("T2V alone", "T2I per frame", "published", "balanced", "fast", "draft")
COLUMNS = {
    "feature_distance": ("feature distance", 1),
    "subject": ("subject", 2),
    "motion": ("motion", 2),
    "warp_error": ("warp error", 1),
    "high_frequency_share": ("high-frequency share", 2),
    "tflop": ("TFLOP", 2),
}
"""Measure → title and digits."""
CHOICES = {
    "way_back": ("published", ("blend",)),
    "arithmetic": ("published", ("no correction", "inversion in 8", "inversion in 4", "cache 2", "cache 3")),
    "matching": ("by index", ("by SNR",)),
}
"""Table → what its arms are compared with, and the arms that could be defaults."""
T2VS = {"embedded": "ZeroScope", "embedded_animatediff": "AnimateDiff"}


def published(page: str) -> tuple[str, list[str]]:
    """The page as docs/study has it, and the names of its pictures, without their ends."""
    names: list[str] = []

    def link(found: re.Match[str]) -> str:
        if found[2].endswith("_strips"):
            return ""
        names.append(found[2])
        return f"![{found[1]}]({found[2]}.webp)\n"

    return re.sub(r"\n{3,}", "\n\n", PICTURE.sub(link, page)), names


def interval(value: dict[str, float] | None) -> Interval | None:
    """As it was before it became JSON."""
    return None if value is None else Interval(**value)  # type: ignore[arg-type]


def table(study: dict[str, Any]) -> str:
    """The main rows of the baselines with the first T2V, as Markdown."""
    arms = study["tables"]["baselines, embedded"]["arms"]
    lines = ["| | " + " | ".join(title for title, _ in COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for arm in ROWS:
        cells = (cell(interval(arms[arm][measure]), digits) for measure, (_, digits) in COLUMNS.items())
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def choices(study: dict[str, Any]) -> str:
    """What choices that could be defaults change, clip by clip, as Markdown."""
    titles = {**COLUMNS, "sharpness": ("sharpness", 2), "jitter": ("jitter, px", 2)}
    names = ("feature_distance", "sharpness", "motion", "warp_error", "high_frequency_share", "jitter")
    lines = [
        "| | " + " | ".join(titles[name][0] for name in names) + " | arithmetic | prompts |",
        "|---" * (len(names) + 3) + "|",
    ]
    for name, (than, arms) in CHOICES.items():
        for t2v, title in T2VS.items():
            if (found := study["tables"].get(f"{name}, {t2v}")) is None:
                continue
            for arm in arms:
                row, flops = found["differences"][arm], {each: found["arms"][each]["tflop"] for each in (arm, than)}
                cells = [cell(interval(row[measure]), titles[measure][1], signed=True) for measure in names]
                cells.append(f"× {flops[arm]['value'] / flops[than]['value']:.2f}")
                cells.append(str(flops[arm]["prompts"]))
                lines.append(f"| *{arm}* less *{than}*, {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """See the top of this file. Figures are kept with four digits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the study's folder")
    given = parser.parse_args()
    page, names = published((given.study / "README.md").read_text(encoding="utf-8"))
    text = (given.study / "study.json").read_text(encoding="utf-8")
    content = json.loads(text, parse_float=lambda digits: float(f"{float(digits):.4g}"))
    DOCS.mkdir(parents=True, exist_ok=True)
    for old in DOCS.glob("*.webp"):
        old.unlink()
    for name in names:
        with Image.open(given.study / f"{name}.png") as picture:
            way: dict[str, Any] = {"quality": 50} if PAINTED.fullmatch(name) else {"lossless": True}
            picture.convert("RGB").save(DOCS / f"{name}.webp", method=6, **way)
    (DOCS / "README.md").write_text(page, encoding="utf-8")
    (DOCS / "study.json").write_text(
        json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    print(table(content))
    print()
    print(choices(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
