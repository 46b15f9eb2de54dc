"""``manage.py settings_table``: write the table of the site's settings into docs/operations.md."""

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from leaderboard.environment import KNOWN, Setting

HEAD = "| setting | default | meaning |\n|---|---|---|\n"
_TABLE = re.compile(re.escape(HEAD) + r"(?:\|.*\n)*")


def table(known: Mapping[str, Setting]) -> str:
    """Return the settings as a Markdown table, in the order in which they are read."""
    rows = [
        f"| `{name}` | {setting.default} | {setting.about} |\n" for name, setting in known.items()
    ]
    return HEAD + "".join(rows)


def with_table(manual: str, known: Mapping[str, Setting]) -> str:
    """Return the manual with a new table. Raises ValueError where it has none, or several."""
    if len(_TABLE.findall(manual)) != 1:
        raise ValueError("the manual needs one table of settings")
    return _TABLE.sub(lambda _: table(known), manual)


class Command(BaseCommand):
    """Generates the table of every variable that the site reads."""

    help = "Write the table of the site's settings into docs/operations.md."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own way

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file."""
        path = settings.BASE_DIR / "docs" / "operations.md"
        text = path.read_text(encoding="utf-8")
        path.write_text(with_table(text, KNOWN), encoding="utf-8")
        self.stdout.write(str(path))
