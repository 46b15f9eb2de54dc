"""Announcements: an evaluator's signed statement of what it is, what it holds and that it is alive.

No field holds a path or a text; an evaluator that cannot take runs gives an enumerated reason.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

from evaluator.contract.base import Hex32, Moment, Name, RunId, Wire

JOB_VERSION = 3
"""Version of ``JobSpec`` that this release writes and reads."""


class OutOfService(StrEnum):
    """Reasons why an evaluator takes no runs for now."""

    DISK_FULL = "disk_full"
    OUT_UNWRITABLE = "out_unwritable"
    STOPPING = "stopping"


class HeldSet(Wire, frozen=True, kw_only=True):
    """Set that an evaluator can read, and open where it is sealed.

    ``digest`` is the root of a sealed set, the digest of a public one's items.
    """

    name: Name
    sealed: bool
    digest: Hex32


class Announcement(Wire, tag_field="kind", tag="announcement", frozen=True, kw_only=True):
    """This evaluator is alive, and another announcement follows within ``seconds``.

    ``moment`` orders announcements by the evaluator's clock. ``reads`` are the versions of
    ``JobSpec`` that it understands. ``run`` is the run that it works on now. It belongs to no run
    itself, so its report names ``NO_RUN``.
    """

    moment: Moment
    seconds: Annotated[float, Meta(gt=0, le=3600)]
    pool: Name
    sets: Annotated[tuple[HeldSet, ...], Meta(max_length=1000)] = ()
    reads: Annotated[tuple[Annotated[int, Meta(ge=1, le=1000)], ...], Meta(max_length=32)]
    software: Annotated[str, Meta(pattern=r"\A[0-9][0-9A-Za-z.+-]{0,39}\Z")]
    out_of_service: OutOfService | None = None
    run: RunId | None = None
