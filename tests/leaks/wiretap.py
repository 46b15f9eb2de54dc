"""What passes through the broker: every command that any program sends to Redis, and every key it holds."""

import threading
import time
from collections.abc import Mapping

import redis

PROGRAMS: Mapping[str, bytes] = {
    "site": b"holdfast.evaluate",
    "evaluator": b"holdfast.record",
    "recorder": b"holdfast.rebuild",
    "beat": b"holdfast.reap",
}
"""What each program puts into the broker, and no other does: proof that it was overheard."""


class Wiretap(threading.Thread):
    """Listens to MONITOR from the start until :meth:`end`; ``heard`` are the commands, ``held`` samples of all keys."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        # The library's own timeout of five seconds would end the thread in the first quiet moment.
        self.client = redis.Redis.from_url(
            url.replace("redis+socket://", "unix://"), socket_timeout=None
        )
        self.heard: list[bytes] = []
        self.held: list[bytes] = []
        self.failure: BaseException | None = None
        self._ready = threading.Event()
        self._ending = False

    def run(self) -> None:
        try:
            with self.client.monitor() as monitor:
                self._ready.set()
                for command in monitor.listen():
                    self.heard.append(command["command"].encode("utf-8", "surrogateescape"))
        except Exception as failure:  # noqa: BLE001 - whatever ends it is told by check()
            self.failure = None if self._ending else failure

    def begin(self) -> None:
        """Return when nothing can be missed any more. RDB files are written plain, so that they can be read."""
        self.start()
        assert self._ready.wait(10), self.failure
        self.client.config_set("rdbcompression", "no")

    def sample(self) -> None:
        """Keep the contents of every key as they are now."""
        readers = {
            b"string": lambda key: [self.client.get(key)],
            b"list": lambda key: self.client.lrange(key, 0, -1),
            b"set": self.client.smembers,
            b"zset": lambda key: self.client.zrange(key, 0, -1),
            b"hash": lambda key: [
                part for pair in self.client.hgetall(key).items() for part in pair
            ],
        }
        for key in self.client.scan_iter():
            kind = self.client.type(key)
            if kind != b"none":  # else it is gone since it was listed
                self.held += [key, *(part for part in readers[kind](key) if part)]

    def await_hearing(self, text: bytes, *, seconds: float = 10) -> None:
        """Wait until a text has been overheard, which was sent after all that matters."""
        until = time.monotonic() + seconds
        while not any(text in command for command in self.heard):
            self.check()
            assert time.monotonic() < until, f"not overheard: {text!r}"
            time.sleep(0.05)

    def check(self) -> None:
        """A wiretap that is dead, or that missed a program, would find nothing whatever was said."""
        assert self.failure is None, f"the wiretap died: {self.failure!r}"
        assert self.is_alive(), "the wiretap is dead"

    def missed(self) -> list[str]:
        """Programs that were not overheard."""
        everything = b"\n".join(self.heard)
        return [name for name, task in PROGRAMS.items() if task not in everything]

    def end(self) -> None:
        """Stop listening."""
        self._ending = True
        self.client.connection_pool.disconnect()
