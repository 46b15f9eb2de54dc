"""Faults that are planted in this very process: functions run the code of a changed source, then their own again."""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

Fault = tuple[str, str, str]
"""File, passage, and what stands there in the broken build."""


@contextlib.contextmanager
def planted(*faults: Fault) -> Iterator[None]:
    """Replace passages inside functions. Whoever holds a function already calls the changed one."""
    before: list[tuple[FunctionType, CodeType]] = []
    try:
        for file, changes in _by_file(faults).items():
            module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
            for function, code in _changed(module, file, changes):
                before.append((function, function.__code__))
                function.__code__ = code
        yield
    finally:
        for function, code in reversed(before):
            function.__code__ = code


def _by_file(faults: Sequence[Fault]) -> dict[str, list[tuple[str, str]]]:
    changes: dict[str, list[tuple[str, str]]] = {}
    for file, passage, replacement in faults:
        changes.setdefault(file, []).append((passage, replacement))
    return changes


def _changed(
    module: ModuleType, file: str, changes: Sequence[tuple[str, str]]
) -> list[tuple[FunctionType, CodeType]]:
    source = (ROOT / file).read_text()
    for passage, replacement in changes:
        assert source.count(passage) == 1, f"{file} has changed: mend this fault"
        source = source.replace(passage, replacement)
    new = dict(_codes(compile(source, str(ROOT / file), "exec")))
    found = []
    for name, code in new.items():
        function = _function(module, name)
        if function is None or function.__module__ != module.__name__:
            continue  # none, or one that a test has put there
        if function.__code__.co_code + _consts(function.__code__) != (code.co_code + _consts(code)):
            found.append((function, code))
    assert found, f"no function of {file} has changed"
    return found


def _consts(code: CodeType) -> bytes:
    """Names and constants, but for the code of inner functions, which holds line numbers."""
    plain = [one for one in code.co_consts if not isinstance(one, CodeType)]
    inner = [one.co_code + _consts(one) for one in code.co_consts if isinstance(one, CodeType)]
    return repr((plain, code.co_names, inner)).encode()


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    """Yield the code of each function and method by its qualified name."""
    for one in code.co_consts:
        if isinstance(one, CodeType) and "<" not in one.co_qualname:
            yield one.co_qualname, one
            yield from _codes(one)


def _function(module: ModuleType, name: str) -> FunctionType | None:
    found: Any = module
    for part in name.split("."):
        found = vars(found).get(part) if hasattr(found, "__dict__") else None
        if found is None:
            return None
    found = getattr(found, "fget", found) or found
    found = getattr(found, "__func__", found)
    while hasattr(found, "__wrapped__"):
        found = found.__wrapped__
    return found if isinstance(found, FunctionType) else None
