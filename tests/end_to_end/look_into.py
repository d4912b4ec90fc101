"""Runs in bpy: opens a .blend and prints what its sequencer holds, as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bpy

bpy.ops.wm.open_mainfile(filepath=sys.argv[1])
scene = next(scene for scene in bpy.data.scenes if scene.sequence_editor)
strips = [
    {
        "type": strip.type,
        "span": [strip.frame_final_start, strip.frame_final_end],
        "channel": strip.channel,
        "directory": strip.directory,
        "colors": strip.colorspace_settings.name,
        "files": [element.filename for element in strip.elements],
        "found": all(Path(bpy.path.abspath(strip.directory), element.filename).is_file() for element in strip.elements),
        "settings": {key: value for key, value in strip.items() if key.startswith("elevator_")},
    }
    for strip in scene.sequence_editor.strips_all
]
paths = bpy.utils.blend_paths(absolute=False)
print("LOOK", json.dumps({"strips": strips, "paths": paths, "film": scene.render.filepath, "fps": scene.render.fps}))
