"""How getting, finding and keeping model files fails."""

from __future__ import annotations

from typing import Literal, TypeAlias

from ..failures import EXIT_CANNOT_WRITE, EXIT_TO_CHANGE, BackendError, Wording

ModelCode: TypeAlias = Literal[
    "catalogue_unread",
    "model_unknown",
    "offline",
    "endpoint_unusable",
    "hub_unreachable",
    "hub_busy",
    "hub_denied",
    "hub_lacks",
    "hub_refused",
    "transfer_broken",
    "file_damaged",
    "file_changed",
    "no_room",
    "models_unwritable",
    "models_busy",
    "name_taken",
    "not_got",
    "files_faulty",
    "no_folder",
    "bundle_unusable",
    "bundle_unwritable",
]
_GOES_ON = "the same command goes on where it stopped"

MODELS: dict[ModelCode, Wording] = {
    "catalogue_unread": Wording(
        "The catalogue {file} cannot be used: {detail}.",
        "Mend it or take it away; docs/MODELS.md says how it looks.",
        EXIT_TO_CHANGE,
    ),
    "model_unknown": Wording(
        'There is no set and no model "{name}".',
        'See what there is with "{launcher} models list --all".',
        EXIT_TO_CHANGE,
    ),
    "offline": Wording(
        "Nothing is downloaded, because {why}.",
        "Change that, or copy the files from another machine with models export and models import.",
        EXIT_TO_CHANGE,
    ),
    "endpoint_unusable": Wording(
        'The variable HF_ENDPOINT holds no address of a hub: "{endpoint}".',
        "Write it like https://huggingface.co, or take the variable away.",
        EXIT_TO_CHANGE,
    ),
    "hub_unreachable": Wording(
        "{host} cannot be reached: {detail}.",
        f"Look at the network and its proxy (HTTPS_PROXY), or name a mirror in HF_ENDPOINT; {_GOES_ON}.",
        EXIT_TO_CHANGE,
    ),
    "hub_busy": Wording(
        "{host} answers that it has too much to do (status {status}), also after {tries} tries.",
        f"Try again {{when}}; {_GOES_ON}.",
        EXIT_TO_CHANGE,
        {"when": "later"},
    ),
    "hub_denied": Wording(
        "{host} does not give {file} of {repo} to everybody (status {status}).",
        "Agree to its terms on its page there, and put a token of yours into the variable HF_TOKEN.",
        EXIT_TO_CHANGE,
    ),
    "hub_lacks": Wording(
        "{host} has no {file} in {repo} (status {status}): it was moved, or this mirror lacks it.",
        "Try without HF_ENDPOINT, or name its new place in a catalogue.toml of your own (docs/MODELS.md).",
        EXIT_TO_CHANGE,
    ),
    "hub_refused": Wording(
        "{host} does not give {file} of {repo}: {detail}.",
        f"Try again later, or name a mirror in HF_ENDPOINT; {_GOES_ON}.",
        EXIT_TO_CHANGE,
    ),
    "transfer_broken": Wording(
        "The download of {file} broke off {tries} times one after the other, the last time because {detail}.",
        f"Try again when the network is better; {_GOES_ON}.",
        EXIT_TO_CHANGE,
    ),
    "file_damaged": Wording(
        "What {host} sends as {file} is damaged: its hash is not the published one, also at a second try.",
        "Try again later, or with another mirror in HF_ENDPOINT; nothing of it was kept.",
        EXIT_TO_CHANGE,
    ),
    "file_changed": Wording(
        "{host} has another {file} than the catalogue knows: its {what} is not the published one.",
        "Do not use it unless you know why; a catalogue.toml of your own can name the new one (docs/MODELS.md).",
        EXIT_TO_CHANGE,
    ),
    "no_room": Wording(
        "There is too little room in {folder}: {needed} are needed and {free} are free.",
        "Free some space there, or link the folder to a larger disk.",
        EXIT_CANNOT_WRITE,
    ),
    "models_unwritable": Wording(
        "{path} cannot be written: {detail}.",
        "Give its owner the right to write there, and try again.",
        EXIT_CANNOT_WRITE,
    ),
    "models_busy": Wording(
        "Another command (process {pid}) changes the model files.",
        "Wait for its end, and give the command again.",
        EXIT_TO_CHANGE,
    ),
    "name_taken": Wording(
        "{path} is there already, and is another file.",
        "Give it another name or take it away, and try again.",
        EXIT_TO_CHANGE,
    ),
    "not_got": Wording(
        'Nothing of "{name}" was got here.',
        'See what there is with "{launcher} models list --all".',
        EXIT_TO_CHANGE,
    ),
    "files_faulty": Wording(
        "{count} of {files} files are not as they came.",
        'Get them again with "{launcher} models repair".',
        EXIT_TO_CHANGE,
    ),
    "no_folder": Wording(
        "There is no folder {folder}.",
        "Name one that is there.",
        EXIT_TO_CHANGE,
    ),
    "bundle_unusable": Wording(
        "{file} cannot be imported: {detail}.",
        "Export it anew on the other machine; nothing more was taken from it.",
        EXIT_TO_CHANGE,
    ),
    "bundle_unwritable": Wording(
        "{file} cannot be written: {detail}.",
        "Choose another place.",
        EXIT_CANNOT_WRITE,
    ),
}


class ModelFailure(BackendError):
    """Something about model files fails. `details` fill the sentence."""

    def __init__(self, code: ModelCode, **details: object) -> None:
        super().__init__(*MODELS[code].filled(details))
        self.code: ModelCode = code
