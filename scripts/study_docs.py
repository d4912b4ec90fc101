"""Puts a study's page into docs/study: tables, plots and contact sheets, pictures as WebP; strips stay behind.

    python scripts/study_docs.py study

The study is what `elevator study` has made. Prints the main rows of its baselines, a table for README.md.
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


def published(page: str) -> tuple[str, list[str]]:
    """The page as docs/study has it, and the names of its pictures, without their ends."""
    names: list[str] = []

    def link(found: re.Match[str]) -> str:
        if found[2].endswith("_strips"):
            return ""
        names.append(found[2])
        return f"![{found[1]}]({found[2]}.webp)\n"

    return re.sub(r"\n{3,}", "\n\n", PICTURE.sub(link, page)), names


def table(study: dict[str, Any], t2v: str = "embedded") -> str:
    """The main rows of the baselines, as Markdown."""
    arms = study["tables"][f"baselines, {t2v}"]["arms"]
    lines = ["| | " + " | ".join(title for title, _ in COLUMNS.values()) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for arm in ROWS:
        values = ((arms[arm][measure], digits) for measure, (_, digits) in COLUMNS.items())
        cells = ("–" if value is None else f"{value['value']:.{digits}f}" for value, digits in values)
        lines.append(f"| {arm} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> int:
    """See the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="the study's folder")
    given = parser.parse_args()
    page, names = published((given.study / "README.md").read_text(encoding="utf-8"))
    content = json.loads((given.study / "study.json").read_bytes())
    DOCS.mkdir(parents=True, exist_ok=True)
    for old in DOCS.glob("*.webp"):
        old.unlink()
    for name in names:
        with Image.open(given.study / f"{name}.png") as picture:
            way: dict[str, Any] = {"quality": 80} if PAINTED.fullmatch(name) else {"lossless": True}
            picture.convert("RGB").save(DOCS / f"{name}.webp", method=6, **way)
    (DOCS / "README.md").write_text(page, encoding="utf-8")
    (DOCS / "study.json").write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(content))
    return 0


if __name__ == "__main__":
    sys.exit(main())
