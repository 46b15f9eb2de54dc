"""Posting to an address that a visitor gave: checked, signed, within seconds, to no redirect.

The name is resolved once, every address is checked by ``evaluator.addresses``, and the connection
goes to that very address. ``http.client`` follows no redirect and reads no proxy variable.
Signatures are those of Standard Webhooks: HMAC-SHA256 over ``ID.TIMESTAMP.BODY``.
"""

import asyncio
import base64
import hashlib
import hmac
import http.client
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress

from evaluator import addresses
from evaluator.addresses import Target

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 5.0
"""Time for all of a request and the head of its answer; its body is not read."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - not a password: it names what the rest is


def signature(
    secret: bytes,
    *,
    identity: str,
    timestamp: int,
    body: bytes,
) -> str:
    """Return the value of the header ``webhook-signature``."""
    signed = f"{identity}.{timestamp}.".encode() + body
    digest = hmac.new(secret, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def written_secret(secret: bytes) -> str:
    """Return a secret as its holder is shown it."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    allow_private: bool,
) -> int:
    """Send a body and return the status of the answer.

    Raises the ENDPOINT_* codes of ``evaluator.addresses``, and ``OSError`` or ``HTTPException``
    where there is no answer in time.
    """
    target = addresses.check(url, allow_private=allow_private)
    resolved = asyncio.run(addresses.resolve(target, allow_private=allow_private))
    address = resolved[0]
    connection = _Connection(target, address)
    path = target.path or "/"
    deadline = threading.Timer(ANSWER_SECONDS, connection.cut)
    deadline.start()
    try:
        connection.request("POST", path, body=body, headers=dict(headers))
        return connection.getresponse().status
    finally:
        deadline.cancel()
        connection.close()


class _Connection(http.client.HTTPConnection):
    """Connection to one address of a target, with TLS for its name."""

    def __init__(self, target: Target, address: str) -> None:
        super().__init__(target.host, target.port, timeout=CONNECT_SECONDS)
        self._target = target
        self._address = address

    def connect(self) -> None:
        """Connect to the address that was checked."""
        plain = socket.create_connection((self._address, self._target.port), CONNECT_SECONDS)
        self.sock = plain
        if self._target.scheme == "https":
            context = ssl.create_default_context()
            self.sock = context.wrap_socket(plain, server_hostname=self._target.host)
        self.sock.settimeout(ANSWER_SECONDS)

    def cut(self) -> None:
        """End the connection, whatever it waits for."""
        if self.sock is not None:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
