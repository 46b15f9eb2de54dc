"""``docs/operations.md`` as a script: its ``console`` blocks in order, and what people and programs do in between."""

import os
import re
import shlex
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from demo.programs import ROOT, Installation

MANUAL = ROOT / "docs" / "operations.md"
_PARTS = re.compile(r"^```(\w+)\n(.*?)^```$|^<!-- (.*?) -->$", re.MULTILINE | re.DOTALL)
PRELUDE = """
python() {{
    if [ "$1" = manage.py ]; then shift; env -i "${{SITE_ENV[@]}}" "$PYTHON" "$ROOT/manage.py" "$@"
    else env -i "${{ENGINE_ENV[@]}}" "$PYTHON" "$@"; fi
}}
python3() {{ local file="$1"; shift; env -i PATH="$PATH" "$PYTHON" -I "$ROOT/verify/$file" "$@"; }}
SITE_ENV=({site}) ENGINE_ENV=({engine})
"""


@dataclass(frozen=True)
class Part:
    """A block of commands, a block in another language, or a ``mark`` where somebody else acts."""

    language: str
    lines: tuple[str, ...]
    mark: str


def parts() -> Iterator[Part]:
    """The manual's parts in their order."""
    for found in _PARTS.finditer(MANUAL.read_text(encoding="utf-8")):
        yield Part(found[1] or "", tuple((found[2] or "").splitlines()), found[3] or "")


class Shell:
    """One bash in the installation's folder, for all commands of the manual: a variable set once stays set.

    ``python manage.py`` gets the site's environment, ``python -m evaluator`` none of it, ``python3`` nothing at all.
    """

    def __init__(self, place: Installation) -> None:
        variables = {
            "PYTHON": sys.executable,
            "ROOT": str(ROOT),
            "SITE": place.address,
            "PATH": os.environ["PATH"],
        }
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=variables,
            cwd=place.folder,
            text=True,
        )
        self.run(
            PRELUDE.format(
                site=_array(place.site_environment()), engine=_array(place.engine_environment())
            )
        )

    def run(self, command: str) -> str:
        """Run a command and return what it said. Raises AssertionError with that where it did not end with 0."""
        assert self._bash.stdin is not None and self._bash.stdout is not None
        end = uuid.uuid4().hex
        self._bash.stdin.write(f"{command}\ncode=$?; echo; echo {end} $code\n")
        self._bash.stdin.flush()
        said = []
        for line in self._bash.stdout:
            if line.startswith(end):
                assert line.split()[1] == "0", f"{command}\n{''.join(said)}"
                return "".join(said)
            said.append(line)
        raise AssertionError(f"the shell ended in {command}\n{''.join(said)}")

    def close(self) -> None:
        self._bash.communicate()


def commands(part: Part) -> list[str]:
    """The commands of a console block. A line without a prompt would be forgotten, so there must be none."""
    assert all(line.startswith("$ ") for line in part.lines), part.lines
    return [line.removeprefix("$ ") for line in part.lines]


def _array(environment: dict[str, str]) -> str:
    """As elements of a bash array."""
    return " ".join(shlex.quote(f"{name}={value}") for name, value in environment.items())
