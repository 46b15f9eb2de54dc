"""vLLM as a model server: ``python -m evaluator.hosts.vllm --model DIR --fd N [--lifeline] -- serve
…``.

Runs ``vllm serve`` as its own command line would, but listens on an inherited Unix socket, so that
the jail needs no folder that both sides can write, and ends with its parent.
"""

import argparse
import os
import socket
import subprocess
import sys
from importlib import import_module

from evaluator.hosts import chats, serving

_PLACES = ("vllm.entrypoints.launchers.launcher", "vllm.entrypoints.openai.api_server")
"""Modules in which vLLM's versions make the socket that ``--uds`` names, newest first."""
_MAKER = "create_server_unix_socket"


def listen_on(descriptor: int) -> None:
    """Have vLLM use this listening socket instead of its own. Raises SystemExit if it cannot."""
    os.set_inheritable(descriptor, False)
    replaced = False
    for place in _PLACES:
        try:
            module = import_module(place)
        except ImportError:
            continue
        if hasattr(module, _MAKER):
            setattr(module, _MAKER, lambda _path: socket.socket(fileno=descriptor))
            replaced = True
    if not replaced:
        raise SystemExit("this version of vLLM cannot be given a socket")


def check(folder: str) -> str:
    """Check the checkpoint in a child, as our own host does. Returns its special tokens as JSON.

    A child, since vLLM forks and must find no library in use. Raises SystemExit where the
    checkpoint is refused; the child has written the verdict.
    """
    done = subprocess.run(
        [sys.executable, "-m", "evaluator.hosts.preflight", folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise SystemExit(2)
    return done.stdout.strip()


def main() -> None:
    """Start vLLM in this process, once the checkpoint has been checked."""
    parser = argparse.ArgumentParser(prog="evaluator.hosts.vllm")
    parser.add_argument("--model", required=True, help="folder whose chat template is rendered")
    serving.add_arguments(parser)
    parser.add_argument("command", nargs="+", help="of vllm, behind --")
    arguments = parser.parse_args()
    serving.follow_parent(arguments)
    os.environ[chats.FOLDER] = arguments.model
    os.environ[chats.SPECIALS] = check(arguments.model)
    if arguments.fd is not None:
        listen_on(arguments.fd)
    sys.argv = ["vllm", *arguments.command]
    import_module("vllm.entrypoints.cli.main").main()


if __name__ == "__main__":
    main()
