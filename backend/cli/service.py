"""`service`: a backend that the system starts, and starts again, so that nobody has to look after it."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from shared_protocol.machine import places
from shared_protocol.machine.launcher import launcher

from ..failures import EXIT_DONE, EXIT_NO_BACKEND
from ..root import ROOT
from ..server.keys import check_key_files
from .failures import CommandFailure
from .service_managers import manager_here
from .serving import add_backend_options, add_serve_options
from .units import Service, Unwritable, checked

if TYPE_CHECKING:
    from elevator.arguments import ArgumentParser

ALWAYS = ("-m", "backend", "serve", "--stay", "--wait")
"""A service stays; and where another backend runs when it begins, such as Blender's, its turn comes when that ends."""
FOLDERS = ("ELEVATOR_HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME")
"""Variables that say where the product's folders are: a service does not get a terminal's."""


def add_service(command: ArgumentParser) -> None:
    """Its actions and their options."""
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    install = actions.add_parser("install", help="start one now and at every login, with these options of serve")
    add_backend_options(install)
    add_serve_options(install)
    install.set_defaults(run=partial(install_service, install))
    actions.add_parser("remove", help="end it, and start it no more").set_defaults(run=remove_service)
    actions.add_parser("status", help="say whether it is installed and runs").set_defaults(run=service_status)


def install_service(parser: ArgumentParser, options: argparse.Namespace) -> int:
    """Write the service's file and start it, or put it in the place of an older one. Raises BackendError.

    `parser`: which has read the options.
    """
    options.authorize = [Path(os.path.abspath(path)) for path in options.authorize]
    check_key_files(options.authorize)
    manager = manager_here()
    try:
        service = checked(service_of(parser.words_of(options)))
    except Unwritable as error:
        raise CommandFailure("service_unwritable", file=manager.file.name, detail=error) from error
    sentences = list(manager.install(service))
    print(f"The service is installed and started; its file is {manager.file}.")
    for sentence in sentences:
        print(sentence)
    print(f'See it with "{manager.look}" and "{launcher()} status"; its log is {places.log_file()}.')
    print(f'"{launcher()} stop" ends it until the next login, "{launcher()} service remove" for good.')
    return EXIT_DONE


def service_of(words: list[str]) -> Service:
    """How this Python serves, with these options, from this user's folders."""
    program = Path(sys.executable)
    if sys.platform == "win32" and (quiet := program.with_name("pythonw.exe")).exists():
        program = quiet  # without a window
    folders = {name: os.path.abspath(text) for name in FOLDERS if (text := os.environ.get(name))}
    return Service(str(program), (*ALWAYS, *words), str(ROOT), folders)


def remove_service(options: argparse.Namespace) -> int:
    """End the service and delete its file. Raises BackendError."""
    manager = manager_here()
    if not manager.file.exists():
        print("There is no service: nothing was to be removed.")
        return EXIT_DONE
    manager.remove()
    print("The service has ended and is removed. Unfinished jobs wait for the next backend.")
    return EXIT_DONE


def service_status(options: argparse.Namespace) -> int:
    """Say whether there is a service and it runs. Returns 0 if it does, else 3. Raises BackendError."""
    manager = manager_here()
    if not manager.file.exists():
        print(f'There is no service. "{launcher()} service install" makes one.')
        return EXIT_NO_BACKEND
    state = manager.state()
    print(f"The service is installed and {f'runs ({state})' if state else 'does not run'}; its file is {manager.file}.")
    print(f'See it with "{manager.look}" and "{launcher()} status"; its log is {places.log_file()}.')
    return EXIT_DONE if state else EXIT_NO_BACKEND
