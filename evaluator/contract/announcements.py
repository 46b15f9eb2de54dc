"""Announcements: an evaluator's signed statement of what it is, what it holds and that it is alive.

No field holds a path or a text; an evaluator that cannot take runs gives an enumerated reason.
"""

from enum import StrEnum
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from evaluator.contract.base import Hex32, Moment, Name, RunId, Wire
from evaluator.errors import Code

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


Library = Literal["vllm", "transformers"]
"""Package that loads models."""
MOST_GPU_KINDS = 16
Memory = Annotated[int, Meta(ge=1, le=1 << 50)]
"""Bytes of memory."""


class HostGpu(Wire, frozen=True, kw_only=True):
    """GPUs of one kind: their driver's name for it, the memory of each, and their number."""

    name: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9 ()@.,_/+-]{0,80}\Z")]
    memory: Memory
    bfloat16: bool
    count: Annotated[int, Meta(ge=1, le=1024)]


class EngineFailure(Wire, frozen=True, kw_only=True):
    """Engine that is installed, does not pass the evaluator's self-test, and gets no runs.

    ``code`` is ``engine_wrong`` where its answers differ from those on record, else how it failed.
    """

    name: Library
    code: Code


class HostFacts(Wire, frozen=True, kw_only=True):
    """Host of an evaluator: GPUs, memory in all, and the packages that load models.

    ``executes`` is true where it can execute programs that models wrote. ``failing`` are the
    engines that did not pass the self-test, and ``engines`` lists none of them; it is unset where
    all passed, and by older releases, whose signatures are over a report without it.
    """

    gpus: Annotated[tuple[HostGpu, ...], Meta(max_length=MOST_GPU_KINDS)] = ()
    memory: Memory
    engines: Annotated[tuple[Library, ...], Meta(max_length=2)] = ()
    executes: bool = False
    failing: Annotated[tuple[EngineFailure, ...], Meta(max_length=2)] | UnsetType = UNSET

    def failures(self) -> tuple[EngineFailure, ...]:
        """Return the failing engines."""
        if isinstance(self.failing, UnsetType):
            return ()
        return self.failing

    def is_failing(self, name: Library) -> bool:
        """Return True for an engine that did not pass the self-test."""
        return any(one.name == name for one in self.failures())


MOST_GPUS = 64
MOST_MODELS = 200
ModelId = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
"""Digest of a fetched model, as ``HubModel.id`` and ``UploadModel.id``."""
Free = Annotated[int, Meta(ge=0, le=1 << 60)]
"""Bytes that are free."""


class EngineVersion(Wire, frozen=True, kw_only=True):
    """Installed release of an engine."""

    name: Library
    version: Annotated[str, Meta(pattern=r"\A[0-9][0-9A-Za-z.+-]{0,39}\Z")]


class HostState(Wire, frozen=True, kw_only=True):
    """State of an evaluator's host, which changes while it runs: for maintainers to read.

    Of those that can do a run, the one that has its weights among ``models`` is preferred; no run
    waits for it. ``gpus_free`` has the free memory of each GPU, in the driver's order;
    ``disk_free`` is that of the evaluator's folder, ``store_free`` that of its models' store.
    ``models`` are the fetched models, those that were used last first, at most ``MOST_MODELS``.
    """

    memory_free: Free
    disk_free: Free
    store_free: Free
    gpus_free: Annotated[tuple[Free, ...], Meta(max_length=MOST_GPUS)] = ()
    models: Annotated[tuple[ModelId, ...], Meta(max_length=MOST_MODELS)] = ()
    engines: Annotated[tuple[EngineVersion, ...], Meta(max_length=2)] = ()


MOST_ENDPOINT_RUNS = 64


class EndpointPolicy(Wire, frozen=True, kw_only=True):
    """Endpoints that an evaluator shows sealed items.

    ``listed`` are the digests of those on its list (``policy.EndpointId.digest``), ``season`` the
    number of the open season of self-declared ones, None while none is open.
    """

    listed: Annotated[tuple[Hex32, ...], Meta(max_length=1000)] = ()
    season: Annotated[int, Meta(ge=0, le=1_000_000)] | None = None


_JobVersion = Annotated[int, Meta(ge=1, le=1000)]


class Announcement(Wire, tag_field="kind", tag="announcement", frozen=True, kw_only=True):
    """This evaluator is alive, and another announcement follows within ``seconds``.

    ``moment`` orders announcements by the evaluator's clock. ``reads`` are the versions of
    ``JobSpec`` that it understands. ``run`` is the run that it works on now. It belongs to no run
    itself, so its report names ``NO_RUN``. ``probes``: it answers ``ProbeOrder``.
    ``endpoint_runs`` is how many runs of endpoints it carries apart from that of weights; with 0,
    and where it is unset, an endpoint takes the place of weights. The last five are unset where an
    evaluator of an older release announces itself: its signature is over a report without them.
    """

    moment: Moment
    seconds: Annotated[float, Meta(gt=0, le=3600)]
    pool: Name
    sets: Annotated[tuple[HeldSet, ...], Meta(max_length=1000)] = ()
    reads: Annotated[tuple[_JobVersion, ...], Meta(max_length=32)]
    software: Annotated[str, Meta(pattern=r"\A[0-9][0-9A-Za-z.+-]{0,39}\Z")]
    out_of_service: OutOfService | None = None
    run: RunId | None = None
    host: HostFacts | UnsetType = UNSET
    endpoints: EndpointPolicy | UnsetType = UNSET
    probes: bool | UnsetType = UNSET
    state: HostState | UnsetType = UNSET
    endpoint_runs: Annotated[int, Meta(ge=0, le=MOST_ENDPOINT_RUNS)] | UnsetType = UNSET
