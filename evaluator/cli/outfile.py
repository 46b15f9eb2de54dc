"""Output file of a command: replaced whole, or left as it was."""

import contextlib
import os
from pathlib import Path

from evaluator.errors import Code, error


def replace_file(path: Path, content: bytes) -> None:
    """Write a draft, force it to disk and rename it. Raises ``out_unwritable``."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise error(Code.OUT_UNWRITABLE, str(path)) from None
