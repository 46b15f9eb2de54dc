"""Listening socket and lifetime of every model server, of weights and of endpoints alike."""

import argparse
import os
import socket
import threading
from pathlib import Path

from aiohttp import web

from evaluator.jail import die_with_parent

BACKLOG = 4096
"""Connections that wait to be accepted. A full queue refuses the next one at once."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options for the socket, a path or an inherited one, and for the parent process."""
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--socket", type=Path, help="path of the Unix socket to make")
    place.add_argument("--fd", type=int, help="descriptor of a listening Unix socket")
    parser.add_argument("--parent", type=int, help="end when this process does")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input does")


def follow_parent(arguments: argparse.Namespace) -> None:
    """End with the parent. Call it before anything slow, such as loading a model.

    The lifeline is for the jail, whose own option to die with its parent comes too late for a
    parent that dies within milliseconds; an end of file waits.
    """

    def hold() -> None:
        while os.read(0, 4096):
            pass
        os._exit(1)

    if arguments.parent is not None:
        die_with_parent(arguments.parent)
    if arguments.lifeline:
        threading.Thread(target=hold, daemon=True).start()


def serve(app: web.Application, arguments: argparse.Namespace) -> None:
    """Serve until killed. Nothing is logged of a request."""
    listening = None
    if arguments.fd is not None:
        listening = socket.socket(fileno=arguments.fd)
    path = None
    if arguments.socket is not None:
        path = str(arguments.socket)
    web.run_app(
        app,
        sock=listening,
        path=path,
        access_log=None,
        print=None,
        backlog=BACKLOG,
        keepalive_timeout=3600,
        handle_signals=False,
    )
