"""A program's process: runs the program, then does what is asked of it, one request at a time.

A request names an operation and its operands; a reply is a value, or the name of what was raised.
The requests hold a test's arguments and never what it expects.
"""

import os
import sys
import types
from collections.abc import Callable
from typing import Any

from evaluator.sandbox.inside import frames, plain

FILE = "<program>"
_NAME = "program"


class _Objects:
    """Objects that stay here, by their numbers."""

    def __init__(self) -> None:
        self._held: list[object] = []

    def keep(self, value: object) -> int:
        self._held.append(value)
        return len(self._held) - 1

    def resolve(self, handle: plain.Handle) -> object:
        return self._held[handle.number]


class _Program:
    def __init__(self, source: str) -> None:
        module = types.ModuleType(_NAME)
        sys.modules[_NAME] = module  # dataclasses look their module up
        self.names = module.__dict__
        code = compile(source, FILE, "exec", dont_inherit=True)
        exec(code, self.names)  # noqa: S102 - what a sandbox is for

    def name(self, name: str) -> object:
        if name not in self.names:
            raise NameError(name)
        return self.names[name]

    def last_function(self) -> object:
        for value in reversed(self.names.values()):
            if isinstance(value, types.FunctionType) and value.__code__.co_filename == FILE:
                return value
        raise NameError("function")


def serve(channel: int) -> None:
    """Read a program from the channel, run it, and answer requests until the channel ends."""
    source = frames.receive(channel).decode("utf-8", "surrogatepass")
    objects = _Objects()
    try:
        program = _Program(source)
    except BaseException as failure:  # noqa: BLE001 - a program may raise anything
        frames.send(channel, _raised(failure))
        return
    frames.send(channel, plain.dumps(("value", None)))
    operations = _operations(program)
    while True:
        try:
            asked = frames.receive(channel)
        except frames.FrameError:
            return
        request: Any = plain.loads(asked, objects.resolve)
        operation, operands, options = request
        try:
            value = operations[operation](*operands, **options)
            reply = plain.dumps(("value", value), objects.keep)
        except plain.NotPlainError as failure:
            reply = plain.dumps(("unfit", str(failure)[:100]))
        except BaseException as failure:  # noqa: BLE001 - a program may raise anything
            reply = _raised(failure)
        frames.send(channel, reply)


def _operations(program: _Program) -> dict[str, Callable[..., object]]:
    def call(function: Callable[..., object], *operands: object, **options: object) -> object:
        return function(*operands, **options)

    def call_name(name: str, *operands: object) -> object:
        function: Any = program.name(name) if name else program.last_function()
        return function(*operands)

    return {
        "name": program.name,
        "call_name": call_name,
        "call": call,
        "get": getattr,
        "set": setattr,
        "item": lambda holder, key: holder[key],
        "len": len,
        "bool": bool,
        "iter": iter,
        "next": lambda iterator: list(_first(iterator)),
        "contains": lambda holder, value: value in holder,
    }


def _first(iterator: Any) -> list[object]:
    """Return the next value in a list, which is empty at the end."""
    try:
        return [next(iterator)]
    except StopIteration:
        return []


def _raised(failure: BaseException) -> bytes:
    name = next(
        (kind.__name__ for kind in type(failure).__mro__ if kind.__module__ == "builtins"),
        "Exception",
    )
    try:
        return plain.dumps(("raised", name, str(failure)[:1000]))
    except BaseException:  # noqa: BLE001 - a program's own __str__ may raise anything
        return plain.dumps(("raised", name, ""))


def end() -> None:
    """End this process at once: nothing that the program registered runs."""
    os._exit(0)
