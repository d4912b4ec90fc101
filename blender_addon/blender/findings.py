"""What `doctor` and `report` have brought, as panel and preferences show it."""

from __future__ import annotations

from typing import Any

from ..clip.words import Phrase
from ..machine.timer import the_pump
from . import layouts

WORKS = {"doctor": "The set-up is being checked.", "report": "The report is being written."}


def draw_findings(layout: Any, context: Any) -> None:
    """The button that checks the set-up, and what is wrong with it."""
    commands = the_pump().commands
    row = layout.row()
    row.enabled = not commands.running
    row.operator("elevator.check_setup", icon="CHECKMARK")
    if commands.running:
        layouts.text(layout, context, WORKS[commands.running], icon="TIME")
    if (problem := commands.problem) is not None:
        layouts.problem(layout, context, problem.sentence, problem.next_step, problem.command)
    if commands.report is not None:
        said = Phrase("The report is {file}.", file=commands.report.name)
        layouts.text(layout, context, said, icon="INFO")
        layout.operator("elevator.open_folder", icon="FILE_FOLDER").folder = str(commands.report.parent)
    if commands.findings is None:
        return
    wrong = [finding for finding in commands.findings if finding.remedy]
    if not wrong:
        layouts.text(layout, context, "Nothing is wrong with the set-up.", icon="CHECKMARK")
    for finding in wrong:
        box = layout.box()
        sentence = finding.what[:1].upper() + finding.what[1:] + "."
        layouts.text(box, context, sentence, icon="ERROR" if finding.needed else "INFO")
        layouts.text(box, context, finding.remedy, icon="CONSOLE")
        box.operator("elevator.copy_command", icon="COPYDOWN").command = finding.remedy
