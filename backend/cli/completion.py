"""`completion`: a script with which a shell completes commands, options and what these choose from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from shared_protocol.machine.launcher import BACKEND

from ..failures import EXIT_DONE

if TYPE_CHECKING:
    from elevator.arguments import Commands

BASH = """\
_video_elevator() {
    local word words="" command="" before="" current="${COMP_WORDS[COMP_CWORD]}"
    for word in "${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
        [ -z "$command" ] && [ "${word#-}" = "$word" ] && command="$word"
        before="$word"
    done
    case "$command $before" in
@CHOICES@
    *)
        case "$command" in
        "") words="@COMMANDS@" ;;
@OPTIONS@
        esac
        ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _video_elevator video-elevator
"""
POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName video-elevator, video-elevator.cmd -ScriptBlock {
    param($current, $line, $place)
    $words = @{
@TABLE@
    }
    $before = @($line.CommandElements | Select-Object -Skip 1 |
        Where-Object { $_.Extent.EndOffset -lt $place } | ForEach-Object { "$_" })
    $command = @($before | Where-Object { $_ -notlike '-*' })[0]
    $last = "$command $($before[-1])"
    $found = if ($words.ContainsKey($last)) { $words[$last] } else { $words["$command"] }
    $found | Where-Object { $_ -like "$current*" } |
        ForEach-Object { [System.Management.Automation.CompletionResult]::new($_) }
}
"""


@dataclass(frozen=True)
class Command:
    """What a command takes."""

    about: str
    options: Mapping[str, argparse.Action]
    actions: tuple[str, ...]
    """Words that follow it, as `install` follows `service`."""


def add_completion(command: argparse.ArgumentParser, commands: Commands) -> None:
    """Its options. commands: what is completed."""
    command.add_argument("shell", choices=tuple(SHELLS), help="whose script")
    command.set_defaults(run=partial(print_completion, commands))


def print_completion(commands: Commands, options: argparse.Namespace) -> int:
    """Print the script for a shell."""
    about = {action.dest: action.help or "" for action in commands._choices_actions}
    sys.stdout.write(
        SHELLS[options.shell]({name: _taken(about.get(name, ""), commands, name) for name in commands.choices})
    )
    return EXIT_DONE


def _taken(about: str, commands: Commands, name: str) -> Command:
    actions = commands.choices[name]._actions
    nested = [word for each in actions if isinstance(each, argparse._SubParsersAction) for word in each.choices]
    chosen = [str(word) for each in actions if not each.option_strings and not nested for word in each.choices or ()]
    options = {text: each for each in actions for text in each.option_strings if text.startswith("--")}
    return Command(about, options, (*nested, *chosen))


def bash(commands: Mapping[str, Command]) -> str:
    """A script for bash."""
    choices = [
        f'    "{name} {option}") words="{" ".join(map(str, action.choices))}" ;;'
        for name, command in commands.items()
        for option, action in command.options.items()
        if action.choices
    ]
    options = [
        f'        {name}) words="{" ".join((*command.actions, *command.options))}" ;;'
        for name, command in commands.items()
    ]
    return (
        BASH.replace("@CHOICES@", "\n".join(choices))
        .replace("@OPTIONS@", "\n".join(options))
        .replace("@COMMANDS@", " ".join(commands))
    )


def zsh(commands: Mapping[str, Command]) -> str:
    """A script for zsh, which understands bash's."""
    load = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
    return load + bash(commands)


def fish(commands: Mapping[str, Command]) -> str:
    """A script for fish."""
    return "\n".join(_fish_lines(commands)) + "\n"


def _fish_lines(commands: Mapping[str, Command]) -> Iterator[str]:
    for name, command in commands.items():
        yield f"complete -c {BACKEND} -n __fish_use_subcommand -f -a {name} -d {_quoted(command.about)}"
        condition = f"-n '__fish_seen_subcommand_from {name}'"
        if command.actions:
            yield f"complete -c {BACKEND} {condition} -f -a '{' '.join(command.actions)}'"
        for option, action in command.options.items():
            choices = f" -x -a '{' '.join(map(str, action.choices))}'" if action.choices else ""
            takes = choices or ("" if action.nargs == 0 else " -r")
            yield f"complete -c {BACKEND} {condition} -l {option[2:]}{takes} -d {_quoted(action.help or '')}"


def powershell(commands: Mapping[str, Command]) -> str:
    """A script for PowerShell."""
    table = {"": list(commands)}
    for name, command in commands.items():
        table[name] = [*command.actions, *command.options]
        for option, action in command.options.items():
            if action.choices:
                table[f"{name} {option}"] = [str(word) for word in action.choices]
    rows = [f"        {_quoted(key)} = {', '.join(map(_quoted, words))}" for key, words in table.items() if words]
    return POWERSHELL.replace("@TABLE@", "\n".join(rows))


def _quoted(text: str) -> str:
    """In single quotes, of which there is none in the text afterwards: a help text needs none."""
    return "'" + text.replace("'", "’").replace("\\", "/").replace("%%", "%") + "'"


SHELLS: Mapping[str, Callable[[Mapping[str, Command]], str]] = {
    "bash": bash,
    "zsh": zsh,
    "fish": fish,
    "powershell": powershell,
}
