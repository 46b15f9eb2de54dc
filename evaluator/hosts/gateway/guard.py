"""Deny list at every connection of a process whose libraries connect by themselves.

The interpreter calls an audit hook before each connection, with the very address, so that no name
that resolves differently a second time gets past. A hook cannot be removed.
"""

import ipaddress
import sys
from collections.abc import Callable, Collection
from typing import Any

from evaluator import addresses


def install(
    *,
    allow_private: bool,
    refused: Callable[[], None],
    only: Callable[[], Collection[str]] = tuple,
) -> None:
    """From now on allow connections to permitted addresses only.

    Where ``only`` returns any, to those alone. ``refused`` is called for each other address.
    """

    def check(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "socket.connect":
            return
        address = arguments[1]
        allowed = only()
        permitted = _permitted(address, allow_private=allow_private)
        if not permitted or (allowed and address[0] not in allowed):
            refused()
            raise PermissionError("the address may not be called")

    sys.addaudithook(check)


def _permitted(address: Any, *, allow_private: bool) -> bool:
    """Return true if a socket's address may be called; a path of the file system may not."""
    try:
        called = ipaddress.ip_address(address[0])
        return addresses.permitted(called, allow_private=allow_private)
    except (ValueError, TypeError, IndexError):
        return False
