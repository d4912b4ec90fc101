"""Generate: a strip that waits, and the request for its clip."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import bpy
import msgspec
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from shared_protocol.client import new_job_id
from shared_protocol.messages import Generate, Style

from ...clip.choices import read_loras, read_settings, write_loras, write_settings
from ...clip.job import Job, Problem
from ...clip.placing import Where
from ...clip.ticket import Take, Ticket
from ...clip.wish import Wish, WishError, next_seed, random_seed, settle
from ...machine import waiting
from ...machine.frame_folder import FrameFileError
from ...machine.terminal import ProgressLines
from ...machine.timer import the_pump
from .. import clips, sources, strips
from ..clips import ClipError, Place
from ..preferences import clips_folder
from ..properties import FITS, PLACES, RATES, wish_of
from ..translations import told_problem
from .shared import HIDDEN


class GenerateClip(bpy.types.Operator):
    """Put a strip at the playhead that waits for a clip, and generate the clip"""

    bl_idname = "elevator.generate"
    bl_label = "Generate"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    prompt: StringProperty(name="Prompt", description="What the clip shows, in words", options=HIDDEN)
    negative_prompt: StringProperty(name="Without", description="What the clip must not show", options=HIDDEN)
    style: StringProperty(name="Style", description="Name of a style; empty: the backend's first", options=HIDDEN)
    preset: StringProperty(name="Quality", description="Name of a preset; empty: the style's own", options=HIDDEN)
    loras: StringProperty(
        name="LoRAs", description='Names with weights, a JSON object such as {"neon": 0.8}', options=HIDDEN
    )
    settings: StringProperty(
        name="Settings", description='Of the plan, a JSON object such as {"steps": 20}', options=HIDDEN
    )
    footage: StringProperty(
        name="Footage", description="Name of an image or movie strip that the clip starts from", options=HIDDEN
    )
    strength: FloatProperty(
        name="Strength", description="0 keeps the footage, 1 ignores it", default=1.0, min=0.0, max=1.0, options=HIDDEN
    )
    anchor: StringProperty(name="Anchor", description="Name of a strip whose picture is frame 0", options=HIDDEN)
    anchor_file: StringProperty(name="Anchor File", description="A picture that is frame 0", options=HIDDEN)
    frames: IntProperty(name="Frames", description="The clip's own frames; 0: as the style does best", options=HIDDEN)
    width: IntProperty(name="Width", description="Pixels; 0: as the style does best", options=HIDDEN)
    height: IntProperty(name="Height", description="Pixels; 0: as the style does best", options=HIDDEN)
    seed: IntProperty(name="Seed", description="-1: a new one", default=-1, min=-1, options=HIDDEN)
    rate: EnumProperty(name="Frame Rate", description="How long the clip is in the edit", items=RATES, options=HIDDEN)
    fit: EnumProperty(name="Fit", description="How the clip fills the picture", items=FITS, options=HIDDEN)
    place: EnumProperty(name="Channel", description="Where the strip goes", items=PLACES, options=HIDDEN)
    channel: IntProperty(name="Channel", description="Channel, or the first to try; 0: as Place says", options=HIDDEN)
    frame_start: IntProperty(name="Start", description="First frame; left out: the playhead", options=HIDDEN)
    takes: IntProperty(name="Takes", description="Clips, with seeds in a row", default=1, min=1, max=8, options=HIDDEN)
    wait: BoolProperty(
        name="Wait",
        description="Return when the clip is in the edit. Without a window alone: a window never waits",
        default=True,
        options=HIDDEN,
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a scene to put the strip in."""
        if strips.sequencer_scene(context) is None:
            cls.poll_message_set("Choose a scene in the sequencer's header first.")
            return False
        return True

    def draw(self, _context: Any) -> None:
        """Nothing in the panel of the last operation: whatever were changed there would make another clip."""

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Take the panel's settings, and leave them with the operator for Repeat Last."""
        if not self.properties.is_property_set("prompt"):
            settings = strips.sequencer_scene(context).elevator
            if settings.use_random_seed:
                settings.seed = random_seed()
            self._take(settings, context)
        return self.execute(context)

    def execute(self, context: Any) -> set[str]:
        """Lay the strip down and ask for the clip. Without a window, wait for it."""
        blocks = self.wait and bpy.app.background
        if blocks and bpy.app.is_job_running("RENDER"):
            # The render's end needs Blender's event loop, which this would hold up for ever.
            return self._refuse(RENDER_RUNS)
        if bpy.app.background and (blocks or not the_pump().session.backend.styles):
            problem = waiting.meet()
            if problem is not None:
                return self._refuse(problem)
        try:
            jobs = self._submit(context)
        except REFUSALS as error:
            return self._refuse(problem_of(error))
        ends = (self._wait(job) for job in jobs) if blocks else ()
        return next((end for end in ends if end != {"FINISHED"}), {"FINISHED"})

    def _take(self, settings: Any, context: Any) -> None:
        """Copy the panel's settings into the operator's properties."""
        wish = wish_of(settings, settings.seed, strips.sequencer_scene(context))
        for name in ("prompt", "negative_prompt", "style", "preset", "frames", "width", "height", "seed"):
            setattr(self, name, getattr(wish, name))
        self.loras, self.settings = write_loras(wish.loras), write_settings(wish.settings)
        start = sources.chosen(settings)
        self.footage, self.strength = start.footage, wish.strength
        self.anchor, self.anchor_file = start.anchor, start.anchor_file
        self.takes = settings.takes
        self.rate, self.fit, self.place = settings.rate, settings.fit, settings.place
        self.channel = settings.channel if settings.place == Where.CHANNEL.name else 0

    def _submit(self, context: Any) -> list[Job]:
        """Raises WishError, ClipError or FrameFileError; then nothing has happened."""
        scene = strips.sequencer_scene(context)
        start = self.frame_start if self.properties.is_property_set("frame_start") else scene.frame_current
        wanted = sources.Input(self.footage, self.anchor, self.anchor_file)
        where = Where.CHANNEL if self.channel else Where[self.place]
        place = Place(start, where, self.channel, self.fit)
        submit(context, scene, self._wish(), place, self.rate, wanted, self.takes)
        each = clips.active(scene)
        assert each is not None
        return [the_pump().session.jobs[job] for job in each.ticket.jobs]

    def _wish(self) -> Wish:
        return Wish(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            style=self.style,
            preset=self.preset,
            frames=self.frames,
            width=self.width,
            height=self.height,
            seed=random_seed() if self.seed < 0 else self.seed,
            loras=read_loras(self.loras),
            settings=read_settings(self.settings),
            strength=round(self.strength, 4) if self.footage else 1.0,
        )

    def _refuse(self, problem: Problem) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.refuse(problem))
        strips.redraw(bpy.context.window_manager, "UI")
        return self._say(problem)

    def _say(self, problem: Problem) -> set[str]:
        """Blender raises it as RuntimeError in a script, which is told the code, too."""
        code = f" [{problem.code}]" if bpy.app.background and problem.code else ""
        self.report({"ERROR"}, told_problem(problem) + code)
        return {"CANCELLED"}

    def _wait(self, job: Job) -> set[str]:
        pump = the_pump()
        lines = ProgressLines(sys.stdout)

        def show() -> None:
            status = pump.session.status(job)
            lines.show(status)
            if pump.on_status is not None:
                pump.on_status(status)

        try:
            waiting.for_ends([job], each=show)
        except KeyboardInterrupt:
            return self._say(INTERRUPTED)
        finally:
            lines.end(job.warnings)
        problem = waiting.why_not(job)
        if problem is None:
            return {"FINISHED"}
        clips.take_away(job.id)
        return self._say(problem)


RENDER_RUNS = Problem("A render is running.", "Generate when it has ended.", code="render_running")
INTERRUPTED = Problem("It was interrupted, and the clip cancelled.", code="interrupted")
REFUSALS = (WishError, ClipError, FrameFileError)
"""What may come of a wish before anything has happened."""


def submit(
    context: Any,
    scene: Any,
    wish: Wish,
    place: Place,
    rate: str,
    wanted: sources.Input = sources.NOTHING,
    takes: int = 1,
) -> Job:
    """Lay down a strip for a wish and ask for its clip, and for its further takes. rate: whose rate the strip keeps,
    as `RATES` has it. wanted: the pictures that it starts from.

    Raises WishError, ClipError or FrameFileError; then nothing has happened.
    """
    pump = the_pump()
    if rate == "FLOW":
        wish = replace(wish, flow_fps=strips.frame_rate(scene))
    request = settle(wish, new_job_id(), pump.session.backend.styles)
    ticket = ticket_for(request, pump.session.backend.styles, clips.rate_of(scene), rate)
    ticket = msgspec.structs.replace(ticket, pictures=sources.pictures(wanted, scene, ticket, place.frame_start))
    ticket = _with_takes(ticket, takes)
    parent = clips.parent_folder(clips_folder(context))
    clips.lay_down(scene, ticket, place, parent)
    for take in (ticket, *(ticket.of(take) for take in ticket.takes)):
        pump.submit(take, parent / take.folder)
    return pump.session.jobs[request.job]


def problem_of(error: Exception) -> Problem:
    """One of REFUSALS in its words."""
    if isinstance(error, WishError):
        return Problem(error.sentence, error.next_step, code=error.code)
    if isinstance(error, sources.SourceError):
        return Problem(str(error), code="strip_not_usable")
    if isinstance(error, ClipError):
        return Problem(str(error), code="no_channel")
    return Problem(str(error), "Save the .blend in a folder that can be written.", code="folder_unwritable")


def ticket_for(request: Generate, styles: Sequence[Style], rate: tuple[int, int], kept: str) -> Ticket:
    """The ticket of a clip in a scene of this rate. kept: whose rate the strip keeps, as `RATES` has it."""
    style = next((style for style in styles if style.name == request.style), None)
    fps = (style.fps_numerator, style.fps_denominator) if style else rate
    return Ticket(
        request=request,
        folder=clips.folder_name(request),
        fps=fps,
        rate=None if kept == "CLIP" else rate,
    )


def _with_takes(ticket: Ticket, count: int) -> Ticket:
    """A ticket with so many takes, each with the seed after the one before."""
    takes, seed = [], ticket.request.seed
    for _ in range(count - 1):
        job, seed = new_job_id(), next_seed(seed)
        takes.append(
            Take(
                job=job,
                seed=seed,
                folder=clips.folder_name(msgspec.structs.replace(ticket.request, job=job, seed=seed)),
            )
        )
    return msgspec.structs.replace(ticket, takes=tuple(takes))


CLASSES = (GenerateClip,)
