"""The process of unit tests: runs them against a program that lives in another jail.

A name that the tests do not define is one of the program's: calling it sends the arguments there
and makes plain data of the answer (``plain``). What the tests expect stays here.
"""

import builtins
import importlib
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

from evaluator.sandbox.inside import frames, plain

PASSED, FAILED, RAISED, UNFIT, ENDED = "passed", "failed", "raised", "unfit", "ended"


class ProgramError(Exception):
    """The program raised something that is not one of Python's own exceptions."""


class NotComparableError(BaseException):
    """An object of the program's was compared, or what it sent is no value.

    Like EndedError it is none of the exceptions that a test may expect of a program.
    """


class EndedError(BaseException):
    """The program's process is gone. Tests that catch every Exception do not catch this."""


class Channel:
    """Requests to the program's process."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.raised: BaseException | None = None
        """Exception that the program raised last, as it is raised here."""

    def request(self, operation: str, *operands: object, **options: object) -> Any:
        """Return the value of one operation. Raises what the program raised."""
        frames_out = plain.dumps((operation, operands, options), _number)
        try:
            frames.send(self._descriptor, frames_out)
        except OSError:
            raise EndedError from None
        return self.answer()

    def answer(self) -> Any:
        """Return the value of the next reply. Raises what the program raised."""
        try:
            reply: Any = plain.loads(frames.receive(self._descriptor), self._remote)
        except OSError:
            raise EndedError from None
        except plain.NotPlainError:
            raise NotComparableError from None
        match reply:
            case ("value", value):
                return value
            case ("raised", str(name), str(text)):
                self.raised = _exception(name, text)
                raise self.raised
        raise NotComparableError

    def _remote(self, handle: plain.Handle) -> object:
        return Remote(self, handle.number)


class Remote:
    """Object that stays in the program's process. It can be used there, and compared nowhere."""

    __slots__ = ("_channel", "_number")
    _channel: Channel
    _number: int

    def __init__(self, channel: Channel, number: int) -> None:
        object.__setattr__(self, "_channel", channel)
        object.__setattr__(self, "_number", number)

    def __call__(self, *operands: object, **options: object) -> Any:
        """Call the object in its process."""
        return self._channel.request("call", self, *operands, **options)

    def __getattr__(self, name: str) -> Any:
        return self._channel.request("get", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._channel.request("set", self, name, value)

    def __getitem__(self, key: object) -> Any:
        return self._channel.request("item", self, key)

    def __len__(self) -> int:
        return int(self._channel.request("len", self))

    def __bool__(self) -> bool:
        return self._channel.request("bool", self) is True

    def __contains__(self, value: object) -> bool:
        return self._channel.request("contains", self, value) is True

    def __iter__(self) -> Iterator[Any]:
        iterator = self._channel.request("iter", self)
        while True:
            match self._channel.request("next", iterator):
                case [value]:
                    yield value
                case []:
                    return
                case _:
                    raise NotComparableError

    def __eq__(self, other: object) -> NoReturn:
        raise NotComparableError

    __ne__ = __eq__
    __hash__ = None  # type: ignore[assignment]


class _Names(dict[str, Any]):
    """Names of the tests: their own, Python's, modules of its library, then the program's."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(__name__="tests")
        self._channel = channel

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name):
            raise KeyError(name)
        if name in sys.stdlib_module_names:
            self[name] = importlib.import_module(name)
        else:
            self[name] = self._channel.request("name", name)
        return self[name]


def serve(verdicts: int, program: int) -> None:
    """Read tests from ``verdicts``, run them against ``program``, and write the verdict."""
    job = json.loads(frames.receive(verdicts))
    channel = Channel(program)
    verdict, name = _verdict(channel, lambda: _run(channel, job))
    report = {"nonce": job["nonce"], "verdict": verdict, "error": name}
    frames.send(verdicts, json.dumps(report).encode("ascii"))


def _run(channel: Channel, job: dict[str, str]) -> None:
    channel.answer()  # the program has run
    names = _Names(channel)
    exec(compile(job["prelude"], "<prelude>", "exec", dont_inherit=True), names)  # noqa: S102
    if job["entry"]:
        names[job["entry"]] = channel.request("name", job["entry"])
    exec(compile(job["tests"], "<tests>", "exec", dont_inherit=True), names)  # noqa: S102


def _verdict(channel: Channel, run: Callable[[], None]) -> tuple[str, str]:
    try:
        run()
    except EndedError:
        return ENDED, ""
    except (NotComparableError, plain.NotPlainError):
        return UNFIT, ""
    except BaseException as failure:  # noqa: BLE001 - a test may raise anything
        name = type(failure).__name__
        return (RAISED if failure is channel.raised else FAILED), name
    return PASSED, ""


def _number(value: object) -> int:
    if type(value) is not Remote:
        raise plain.NotPlainError(type(value).__name__)
    return value._number


def _exception(name: str, text: str) -> Exception:
    """Return an exception of Python's own by its name.

    StopIteration is none of them: ``all(map(...))`` would take it for the end of the cases.
    """
    kind = getattr(builtins, name, None)
    if not isinstance(kind, type) or not issubclass(kind, Exception):
        return ProgramError(f"{name}: {text}")
    if issubclass(kind, StopIteration | StopAsyncIteration):
        return ProgramError(f"{name}: {text}")
    try:
        return kind(text)
    except TypeError:  # it wants other arguments
        return ProgramError(f"{name}: {text}")
