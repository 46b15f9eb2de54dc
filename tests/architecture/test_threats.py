"""The checks that docs/threats.md names exist, so that no defence is said to be checked by nothing."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATH = re.compile(r"`((?:tests|verify|evaluator|deploy)/[A-Za-z0-9_./]+)`")


def test_each_file_that_the_threats_name_is_there() -> None:
    named = set(PATH.findall((ROOT / "docs" / "threats.md").read_text(encoding="utf-8")))
    missing = sorted(path for path in named if not (ROOT / path).exists())
    assert len(named) > 30 and not missing, f"docs/threats.md names files that are gone: {missing}"
