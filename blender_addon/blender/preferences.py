"""The add-on's preferences."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, FloatProperty, StringProperty

from ..clip import backend_words, folder_template
from ..clip.folder_template import TemplateError
from ..clip.job import Problem
from ..clip.words import Phrase, sentences
from ..machine.backend_process import Serving
from ..machine.installation import installation
from ..machine.timer import ask_for_styles, the_pump
from . import clips, layouts, previews
from .findings import draw_findings

ADDON = __package__.rpartition(".")[0]
"""The extension's own package, under which Blender keeps its preferences."""


def _changed(preferences: Any, _context: Any) -> None:
    _apply(preferences)


def _profile_names(_preferences: Any, _context: Any, typed: str) -> list[str]:
    return [name for name in installation.profiles if typed in name]


def _style_names(_preferences: Any, _context: Any, typed: str) -> list[str]:
    return [style.name for style in the_pump().session.backend.styles if typed in style.name]


class Preferences(bpy.types.AddonPreferences):
    """How the backend is had, and where clips go."""

    bl_idname = ADDON

    profile: StringProperty(
        name="Other Machine",
        description="Profile of a backend on another machine; empty: the backend of this computer",
        search=_profile_names,
        update=_changed,
    )
    start_with_blender: BoolProperty(
        name="Start with Blender", description="Have the backend ready when Blender is", update=_changed
    )
    stop_with_blender: BoolProperty(
        name="Stop with Blender",
        description="End the backend with this Blender, if it was started here and nobody else uses it. Unfinished"
        " clips go on at its next start",
        update=_changed,
    )
    model_memory: FloatProperty(
        name="Memory for Models",
        description="GB that models kept between clips may take on a device; 0: half of what it has. Holds from the"
        " backend's next start",
        min=0.0,
        soft_max=128.0,
        precision=1,
        update=_changed,
    )
    live_preview: BoolProperty(
        name="Live Preview",
        description="Show clips in the panel Clip while they are made, coarsely",
        default=True,
        update=_changed,
    )
    default_style: StringProperty(
        name="Default Style",
        description="Name of the style that new scenes begin with; empty: the backend's first",
        search=_style_names,
        update=_changed,
    )
    folder_template: StringProperty(
        name="Folders of Clips",
        description="Where a clip's frames go: // is the folder of the .blend. The last part may hold {prompt}, {job},"
        " {style} and {seed}",
        default=folder_template.DEFAULT,
        update=_changed,
    )
    clips_folder: StringProperty(
        name="Clips of Unsaved Files",
        description="Where frames go while the .blend is not saved; empty: a folder of the add-on's own",
        subtype="DIR_PATH",
    )

    def draw(self, context: Any) -> None:
        layout, session = self.layout, the_pump().session
        layout.use_property_split = True
        column = layout.column(heading="Backend")
        column.prop(self, "profile")
        column.prop(self, "start_with_blender")
        column.prop(self, "stop_with_blender")
        column.prop(self, "model_memory")
        found = installation.found
        if isinstance(found, Problem):
            layouts.problem(layout, context, found.sentence, found.next_step, found.command)
        else:
            said = Phrase("Backend {version} in {folder}", version=found.version, folder=found.root)
            layouts.text(layout, context, said, icon="CHECKMARK")
        layouts.text(layout, context, backend_words.state(session.link, session.backend.device))
        column = layout.column(heading="Clips")
        column.prop(self, "live_preview")
        column.prop(self, "default_style")
        column.prop(self, "folder_template")
        wrong = template_problem(self.folder_template)
        if wrong:
            until = Phrase("Until then clips go to {folder}.", folder=folder_template.DEFAULT)
            layouts.text(layout, context, sentences(wrong, until), icon="ERROR")
        column.prop(self, "clips_folder")
        row = layout.row()
        row.operator("elevator.open_guide", icon="HELP")
        row.operator("elevator.write_report", icon="TEXT")
        draw_findings(layout, context)


def template_problem(text: str) -> str:
    """What is wrong with a template, or nothing."""
    try:
        folder_template.parse(text)
    except TemplateError as error:
        return str(error)
    return ""


def clips_folder(context: Any) -> str:
    """The folder that the artist chose for clips of unsaved projects, or nothing."""
    preferences = of(context)
    return preferences.clips_folder if preferences is not None else ""


def of(context: Any) -> Any:
    """The preferences; None where the add-on runs without being enabled."""
    addon = context.preferences.addons.get(ADDON)
    return addon.preferences if addon is not None else None


def _apply(preferences: Any) -> None:
    """Have everything as the preferences say."""
    pump = the_pump()
    pump.use(Serving(preferences.profile.strip(), preferences.model_memory))
    pump.stops_backend = preferences.stop_with_blender
    pump.session.prefer(preferences.default_style.strip())
    if asked := pump.session.want_previews(preferences.live_preview and previews.can_be_shown()):
        pump.do(asked)
    text = preferences.folder_template
    clips.Folders.template = folder_template.parse(folder_template.DEFAULT if template_problem(text) else text)


def register() -> None:
    bpy.utils.register_class(Preferences)
    preferences = of(bpy.context)
    if preferences is not None:
        _apply(preferences)
        if preferences.start_with_blender:
            ask_for_styles()


def unregister() -> None:
    bpy.utils.unregister_class(Preferences)
