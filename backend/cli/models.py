"""`models`: see, get, find, check and take along model files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from . import model_bundles, model_finding, model_getting, model_keeping
from .actions import add_action
from .model_adding import add_add

if TYPE_CHECKING:
    from elevator.arguments import ArgumentParser


def add_models(command: ArgumentParser) -> None:
    """Its actions and their options."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")

    action = add_action(actions, "list", "say what there is to get, and what is here", model_getting.run_list)
    action.add_argument("--all", action="store_true", help="single models, too, not only sets")

    action = add_action(
        actions, "get", "download sets or models; goes on where an earlier try has ended", model_getting.run_get
    )
    action.add_argument("names", nargs="+", metavar="NAME", help="of a set or a model, as list says it")
    _add_download(action)

    action = add_action(actions, "scan", "say which models lie in folders, also of other tools", model_finding.run_scan)
    action.add_argument(
        "folders", nargs="*", type=Path, metavar="FOLDER", help="or file (default: the folder of models)"
    )

    add_add(actions)

    action = add_action(
        actions, "verify", "read what was got, and compare it with its hashes", model_keeping.run_verify
    )
    action.add_argument("names", nargs="*", metavar="NAME", help="sets or models alone")
    _add_quiet(action)

    action = add_action(actions, "repair", "download again what is damaged or missing", model_keeping.run_repair)
    action.add_argument("names", nargs="*", metavar="NAME", help="sets or models alone")
    _add_download(action)

    action = add_action(actions, "remove", "delete files that were got", model_keeping.run_remove)
    action.add_argument("names", nargs="+", metavar="NAME", help="of a set or a model")
    action.add_argument("--yes", action="store_true", help="do not ask")

    action = add_action(
        actions, "export", "write models, bases and styles for another machine", model_bundles.run_export
    )
    action.add_argument("file", type=Path, metavar="FILE.zip", help="or a folder; neither may be there")
    action.add_argument("names", nargs="*", metavar="NAME", help="sets or models alone (default: all that were got)")
    _add_quiet(action)

    action = add_action(actions, "import", "take in what another machine has exported", model_bundles.run_import)
    action.add_argument("file", type=Path, metavar="FILE.zip", help="or a folder")
    _add_quiet(action)


def _add_download(action: ArgumentParser) -> None:
    action.add_argument("--offline", action="store_true", help="download nothing, as if HF_HUB_OFFLINE were set")
    _add_quiet(action)


def _add_quiet(action: ArgumentParser) -> None:
    action.add_argument("--quiet", action="store_true", help="show no progress")
