"""Makes a clip for each row of a table, in an edit, without a window.

    blender -b edit.blend --python examples/batch.py -- prompts.csv
    python examples/batch.py edit.blend prompts.csv                    with the bpy module

The table is that of `generate --from` (docs/COMMANDS.md); `frame_start` and `channel` are columns, too. The clips lie
one behind the other from the playhead on, and the edit is saved. Ctrl-C cancels what is not finished.

Exit codes: 0 all clips are there; 4 some are not, and their strips say why; 1 nothing was begun; 130 interrupted.
"""

import importlib
import sys
from pathlib import Path

import bpy

EXTENSION = "bl_ext.user_default.video_elevator"
"""Where Install from Disk puts it."""


def main() -> int:
    words = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    if not words or (len(words) < 2 and not bpy.data.filepath):
        print(__doc__)
        return 1
    *edit, table = map(Path, words)
    if edit:
        bpy.ops.wm.open_mainfile(filepath=str(edit[0].absolute()))
    addon_utils = importlib.import_module("addon_utils")  # there is none before bpy was imported
    if not addon_utils.check(EXTENSION)[1] and addon_utils.enable(EXTENSION) is None:
        print("The extension Elevator is not installed in this Blender.", file=sys.stderr)
        return 1
    api = importlib.import_module(f"{EXTENSION}.api")
    try:
        clips = api.batch(table.absolute())
    except api.ElevatorError as error:
        print(f"{error.sentence} {error.next_step} {error.command}".rstrip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        bpy.ops.wm.save_mainfile()
        print("Interrupted. What was not finished is cancelled.", file=sys.stderr)
        return 130
    bpy.ops.wm.save_mainfile()
    failed = [clip for clip in clips if clip.error]
    print(f"{len(clips) - len(failed)} of {len(clips)} clips are in {bpy.data.filepath}.")
    return 4 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
