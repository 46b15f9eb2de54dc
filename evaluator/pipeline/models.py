"""Finding the model of a run, and deciding whether it may run without being shut in."""

from pathlib import Path

from evaluator import jail
from evaluator.errors import Code, error


def find_checkpoint(root: Path, name: str) -> Path:
    """The folder of the checkpoint ``name``, strictly inside ``root``, links resolved.

    Raises ``checkpoint_unknown`` for every other name: see :func:`folder_inside`.
    """
    folder = folder_inside(root, name)
    if folder is None:
        raise error(Code.CHECKPOINT_UNKNOWN)
    return folder


def folder_inside(root: Path, name: str) -> Path | None:
    """The folder ``name`` directly inside ``root``, or None: for a name with ``..`` or a slash in it, a link
    that leads elsewhere, a file, nothing."""
    try:
        inside = root.resolve()
        folder = (inside / name).resolve()
    except (OSError, RuntimeError):  # the latter is how pathlib names a circle of links
        return None
    return folder if folder.parent == inside and folder.is_dir() else None


def is_jailed(digest: str, *, trusted: frozenset[str], jail_available: bool | None = None) -> bool:
    """Whether the checkpoint with this digest runs in the jail: always, where there is one.

    Without bubblewrap only a trusted digest runs, and openly so. Raises ``jail_missing`` where nothing is
    trusted on this host, ``checkpoint_untrusted`` where something else is.
    """
    available = jail.available() if jail_available is None else jail_available
    if not available and digest not in trusted:
        raise error(Code.CHECKPOINT_UNTRUSTED if trusted else Code.JAIL_MISSING)
    return available
