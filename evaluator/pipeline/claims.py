"""One attempt per run and token on this host: a message delivered twice is dropped the second time.

A claim is an empty file ``RUN.TOKEN``. The site decides which token counts; this only keeps one host
from doing the same work twice, and from going back to an older attempt.
"""

from pathlib import Path

from evaluator.pipeline.disk import disk_errors, sync_folder


class Claims:
    """The folder of claims. ``run`` is a UUID in its usual form, ``token`` a positive number."""

    def __init__(self, folder: Path) -> None:
        with disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder

    def is_stale(self, run: str, token: int) -> bool:
        """True when this attempt, or a later one at the same run, was claimed already."""
        return any(int(path.suffix[1:]) >= token for path in self._folder.glob(f"{run}.*"))

    def claim(self, run: str, token: int) -> bool:
        """Claim an attempt, on disk. False when somebody else did in the meantime."""
        path = self._folder / f"{run}.{token}"
        with disk_errors(path):
            try:
                path.touch(exist_ok=False, mode=0o600)
            except FileExistsError:
                return False
            sync_folder(self._folder)
        return True
