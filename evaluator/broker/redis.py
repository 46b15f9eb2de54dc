"""Redis as broker: kombu's transport, with bounded reads and a screen before decoding."""

import hashlib
import json
import logging
import time
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty
from typing import Any

from kombu.transport import redis, virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads
from redis import _parsers
from redis._parsers.socket import SocketBuffer
from redis.exceptions import RedisError, ResponseError

from evaluator.broker.quarantine import HEAD_BYTES, MOST, Oversized, Rejected, reject
from evaluator.broker.screening import MAX_MESSAGE_BYTES, Undecodable, screen

_log = logging.getLogger(__name__)

_COUNTS = "holdfast.quarantine.counts"
_STORED = "holdfast.quarantine"


class _BoundedBuffer(SocketBuffer):
    """Buffer of a socket that stores a bounded part of one value, and reads past the rest."""

    def read(self, length: int, timeout: Any = None) -> bytes:
        """Return the value, or its beginning as an :class:`Oversized`."""
        timing = {} if timeout is None else {"timeout": timeout}
        if length <= MAX_MESSAGE_BYTES:
            return super().read(length, **timing)
        head = b""
        digest = hashlib.sha256()
        left = length
        while left:
            chunk = self._some(left, timing)
            if len(head) < HEAD_BYTES:
                head = (head + chunk)[:HEAD_BYTES]
            digest.update(chunk)
            left -= len(chunk)
        left = 2  # the end of the line
        while left:
            left -= len(self._some(left, timing))
        oversized = Oversized(head)
        oversized.size = length
        oversized.digest = digest.hexdigest()
        return oversized

    def _some(self, most: int, timing: dict[str, Any]) -> bytes:
        chunk: bytes = self._buffer.read(most)
        if not chunk:
            self._buffer.seek(0)
            self._buffer.truncate()
            self._read_from_socket(**timing)
            chunk = self._buffer.read(most)
        return chunk


class _BoundedParser(_parsers._RESP3Parser):
    """Parser over that buffer. It reads both versions of Redis' protocol."""

    def on_connect(self, connection: Any) -> None:
        """Start reading from the connection's socket."""
        super().on_connect(connection)  # type: ignore[no-untyped-call]
        self._buffer = _BoundedBuffer(
            connection._sock, self.socket_read_size, connection.socket_timeout
        )


class QoS(redis.QoS):  # type: ignore[misc]
    """Acknowledgements. A record of an unacknowledged message that cannot be read is removed.

    A message whose acknowledgement is lost with its connection no longer counts as being worked on
    here. Else a worker that works on one at a time would wait for it for ever, and not look at its
    connection again.
    """

    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message. Raises the connection's error."""
        try:
            super().ack(delivery_tag)
        except self.channel.connection_errors:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Drop a message, or requeue it. Raises the connection's error."""
        try:
            super().reject(delivery_tag, requeue=requeue)
        except self.channel.connection_errors:
            virtual.QoS.ack(self, delivery_tag)
            raise

    def restore_by_tag(
        self,
        tag: Any,
        client: Any = None,
        leftmost: bool = False,
    ) -> None:
        """Put a message back on its queue."""
        try:
            super().restore_by_tag(tag, client=client, leftmost=leftmost)
        except self.channel.connection_errors:
            raise
        except Exception:  # noqa: BLE001 - whatever a record made by hand leads to
            self.channel.set_aside(reject(b"", queue=self.unacked_key, reason="json"))
            self._remove_from_indices(tag).execute()


class Channel(redis.Channel):  # type: ignore[misc]
    """Channel of the Redis transport with a bound, a screen and a quarantine."""

    QoS = QoS

    def _connparams(self, asynchronous: bool = False) -> dict[str, Any]:
        parameters: dict[str, Any] = super()._connparams(asynchronous=asynchronous)
        return parameters | {"parser_class": _BoundedParser}

    def _create_client(self, asynchronous: bool = False) -> Any:
        client = super()._create_client(asynchronous=asynchronous)
        client.set_response_callback("BRPOP", self._popped)
        return client

    def _popped(self, response: Any, **_: Any) -> tuple[bytes, bytes] | None:
        """Return key and message for kombu; None where the message went into quarantine."""
        if not response:
            return None
        key, raw = response
        queue = bytes_to_str(key).rsplit(self.sep, 1)[0]
        message = self._screened(raw, queue)
        return None if message is None else (key, message)

    def _screened(self, raw: bytes, queue: str) -> bytes | None:
        try:
            if isinstance(raw, Oversized):
                raise Undecodable("size")
            screened: str = dumps(screen(raw))
        except Undecodable as problem:
            self.set_aside(reject(raw, queue=queue, reason=problem.reason))
            return None
        return screened.encode()

    def _brpop_read(self, **options: Any) -> Any:
        """Deliver one message. A key that holds no list is moved out of the way."""
        try:
            return super()._brpop_read(**options)
        except ResponseError as problem:
            self._free_keys(self.active_queues, problem)
            raise Empty from None

    def _size(self, queue: str) -> int:
        """Return the length of a queue. A worker that starts asks it of every queue."""
        try:
            return int(super()._size(queue))
        except ResponseError as problem:
            self._free_keys([queue], problem)
            return 0

    def _get(self, queue: str) -> Any:
        """Return the next message of ``queue`` that can be decoded."""
        with self.conn_or_acquire() as client:
            for priority in self.priority_steps:
                while raw := client.rpop(self._q_for_pri(queue, priority)):
                    message = self._screened(raw, queue)
                    if message is not None:
                        return loads(message.decode())
        raise Empty

    def _free_keys(self, queues: Iterable[str], problem: ResponseError) -> None:
        """Rename the queues' keys that hold no list. Raises ``problem`` where it is another one."""
        if "WRONGTYPE" not in str(problem):  # a pipeline writes a prefix
            raise problem
        with self.conn_or_acquire() as client:
            for queue in set(queues):
                for priority in self.priority_steps:
                    key = self._q_for_pri(queue, priority)
                    if client.type(key) not in (b"list", b"none", "list", "none"):
                        client.rename(key, f"{_STORED}.{time.time_ns()}")
                        self.set_aside(reject(b"", queue=queue, reason="not a list"))

    def set_aside(self, rejected: Rejected) -> None:
        """Store the beginning of a message in a list of bounded length, and count it."""
        stored = {
            "at": int(time.time()),
            "queue": rejected.queue,
            "reason": rejected.reason,
            "bytes": rejected.size,
            "sha256": rejected.digest,
            "head": rejected.head.hex(),
        }
        with (
            suppress(RedisError, OSError),
            self.conn_or_acquire() as client,
            client.pipeline() as pipe,
        ):
            pipe.lpush(_STORED, json.dumps(stored))
            pipe.ltrim(_STORED, 0, MOST - 1)
            pipe.hincrby(_COUNTS, rejected.queue, 1)
            pipe.execute()

    def quarantined(self) -> dict[str, int]:
        """Return the number of messages in quarantine, by queue."""
        with self.conn_or_acquire() as client:
            counts = client.hgetall(_COUNTS)
        return {bytes_to_str(queue): int(count) for queue, count in counts.items()}


class Transport(redis.Transport):  # type: ignore[misc]
    """Transport through Redis."""

    Channel = Channel
