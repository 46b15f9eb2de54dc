"""How every model server is told where to listen, and when to end: the same for weights and for endpoints."""

import argparse
import os
import socket
import threading
from pathlib import Path

from aiohttp import web

from evaluator.jail import die_with_parent

BACKLOG = 1024
"""Connections that may wait. A Unix socket refuses those beyond at once, and a run opens hundreds together."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to listen, a path or an inherited listening socket, and whose death to follow."""
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--socket", type=Path, help="path of the Unix socket to make")
    place.add_argument("--fd", type=int, help="descriptor of a listening Unix socket")
    parser.add_argument("--parent", type=int, help="end when this process does")

    parser.add_argument("--lifeline", action="store_true", help="end when standard input does")


def follow_parent(arguments: argparse.Namespace) -> None:
    """Before anything slow: a parent that dies while a model loads takes this process along.

    The lifeline is for the jail, whose own wish to die with its parent comes too late for a parent that
    dies in the milliseconds before it is uttered; an end of file waits.
    """
    if arguments.parent is not None:
        die_with_parent(arguments.parent)
    if arguments.lifeline:
        threading.Thread(target=_hold, daemon=True).start()


def _hold() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)


def serve(app: web.Application, arguments: argparse.Namespace) -> None:
    """Serve until killed. Nothing is logged of a request."""
    listening = None if arguments.fd is None else socket.socket(fileno=arguments.fd)
    web.run_app(
        app,
        sock=listening,
        path=None if arguments.socket is None else str(arguments.socket),
        access_log=None,
        print=None,
        keepalive_timeout=3600,
        backlog=BACKLOG,
        handle_signals=False,
    )
