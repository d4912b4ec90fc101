"""What the command line alone says. docs/COMMANDS.md has the exit codes."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ..failures import EXIT_NO_BACKEND, EXIT_TO_CHANGE, EXIT_USAGE, BackendError, Wording

CommandCode: TypeAlias = Literal[
    "key_exists",
    "key_missing",
    "usage",
    "backend_lost",
    "batch_lost",
    "batch_refused",
    "batch_unread",
    "rows_failed",
    "folder_unnamable",
    "no_home",
    "output_unwritten",
    "style_exists",
    "style_unwritten",
    "models_unfit",
    "no_service_manager",
    "service_refused",
    "service_unwritable",
]

COMMAND: dict[CommandCode, Wording] = {
    "key_exists": Wording(
        'There is a key "{name}" already: {file}.',
        "Use it, or choose another name.",
        EXIT_TO_CHANGE,
    ),
    "key_missing": Wording(
        'There is no key "{name}".',
        'Make it with "{launcher} key {name}".',
        EXIT_TO_CHANGE,
    ),
    "usage": Wording(
        "{detail}",
        'See "{launcher} {command} --help".',
        EXIT_USAGE,
    ),
    "backend_lost": Wording(
        "{detail}",
        'The job is safe in its queue and goes on when a backend runs; "{launcher} results {job} --out FOLDER" '
        "then gets the clip.",
        EXIT_NO_BACKEND,
    ),
    "batch_lost": Wording(
        "{detail}",
        "What was submitted is safe in its queue: give the same command again to go on.",
        EXIT_NO_BACKEND,
    ),
    "batch_refused": Wording(
        "{count} of the {rows} rows of {file} cannot be used.",
        "Mend them; nothing was submitted.",
        EXIT_TO_CHANGE,
    ),
    "batch_unread": Wording(
        "The file {file} cannot be used: {detail}.",
        "Mend it; docs/COMMANDS.md says how it looks.",
        EXIT_TO_CHANGE,
    ),
    "rows_failed": Wording(
        "{count} of the {rows} rows have no clip.",
        "The sentences above say why; the same command tries those rows again.",
    ),
    "folder_unnamable": Wording(
        "The folder {folder} cannot be used, because of its name: {detail}.",
        "Give it another name, or name another folder in the variable ELEVATOR_HOME.",
        EXIT_TO_CHANGE,
    ),
    "style_exists": Wording(
        'There is a style or base "{name}" already: {file}.',
        "Choose another name, or give --overwrite.",
        EXIT_TO_CHANGE,
    ),
    "style_unwritten": Wording(
        "This cannot be done: {detail}.",
        "{step}",
        EXIT_TO_CHANGE,
        defaults={"step": "Change that and give the command again."},
    ),
    "models_unfit": Wording(
        "No style can be made of these: {detail}.",
        "{step}",
        EXIT_TO_CHANGE,
    ),
    "no_home": Wording(
        "No folder of this user is known, in which settings and results could lie.",
        "Name one in the variable ELEVATOR_HOME.",
        EXIT_TO_CHANGE,
    ),
    "output_unwritten": Wording(
        "What this command says cannot be written: {detail}.",
        "Let its output go elsewhere.",
        EXIT_TO_CHANGE,
    ),
    "no_service_manager": Wording(
        "Nothing here starts services for this user: {detail}.",
        'In a container, let that start "{launcher} serve --stay" itself; elsewhere log in as this user, or say '
        '"loginctl enable-linger" and log in anew.',
        EXIT_TO_CHANGE,
    ),
    "service_refused": Wording(
        'The system does not follow "{said}": {detail}.',
        'Mend that and give the same command again; "{launcher} service status" says how to look.',
        EXIT_TO_CHANGE,
    ),
    "service_unwritable": Wording(
        "The service's file {file} cannot be written: {detail}.",
        "Give that folder or file another name.",
        EXIT_TO_CHANGE,
    ),
}


class CommandFailure(BackendError):
    """A command cannot be followed. `details` fill the sentence."""

    def __init__(self, code: CommandCode, **details: object) -> None:
        super().__init__(*COMMAND[code].filled(details))
        self.code: CommandCode = code
