"""A wall around a process whose libraries make connections of their own: the deny list, at every connection.

The interpreter tells an audit hook of each connection before it is made, with the very address, so that no name that
resolves differently a second time gets past. A hook cannot be taken out again.
"""

import ipaddress
import sys
from collections.abc import Callable, Collection
from typing import Any

from evaluator import addresses


def install(
    *, allow_private: bool, refused: Callable[[], None], only: Callable[[], Collection[str]] = tuple
) -> None:
    """From now on this process connects to permitted addresses only, where ``only`` names any, to those of them.

    ``refused`` is called for each other one.
    """

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.connect":
            return
        if not _permitted(arguments[1], allow_private=allow_private) or _elsewhere(
            arguments[1], only()
        ):
            refused()
            raise PermissionError("the address may not be called")

    sys.addaudithook(watch)


def _elsewhere(address: Any, only: Collection[str]) -> bool:
    return bool(only) and address[0] not in only


def _permitted(address: Any, *, allow_private: bool) -> bool:
    """Whether a socket's address may be connected to; a path of the file system may not."""
    try:
        return addresses.permitted(ipaddress.ip_address(address[0]), allow_private=allow_private)
    except (ValueError, TypeError, IndexError):
        return False
