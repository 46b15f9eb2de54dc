"""Messages that cross the wall between the site and the evaluator, and nothing else.

``JobSpec`` goes in, ``Report`` comes out; both travel as JSON under a task's name. Every type is
frozen and its decoding is strict: a field too many, a missing one or a wrong type is refused with
``bad_message`` and never quoted back. No type here has a field that could hold the text of an
item, a prompt or a completion of a sealed set: ``Transcripts`` are of public sets only.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from evaluator.contract.adapters import AdapterModel
from evaluator.contract.announcements import (
    JOB_VERSION,
    Announcement,
    EndpointPolicy,
    HeldSet,
    HostFacts,
    HostGpu,
    HostState,
    OutOfService,
)
from evaluator.contract.base import (
    Artefact,
    Count,
    Hex32,
    ItemKind,
    Moment,
    Name,
    Outcome,
    RunId,
    Signature,
    Token,
    Wire,
    canonical_json,
)
from evaluator.contract.bits import pack_bits, unpack_bits
from evaluator.contract.endpoints import Endpoint, Provider
from evaluator.contract.hub import HubModel
from evaluator.contract.leases import LeaseAnswer, LeaseRefusal, Slot, Worker, lease_queue
from evaluator.contract.plans import (
    ADAPTIVE_1,
    MOST_REFERENCES,
    UNPLANNED,
    AdaptiveStep,
    Easiness,
    Plan,
    item_order,
    pack_bytes,
    tie_places,
    unpack_bytes,
)
from evaluator.contract.probes import ListedPrices, Probed, ProbedItem, ProbeOrder, PublicSet
from evaluator.contract.rescored import (
    GraderCounts,
    NotRescored,
    Rescored,
    RescoredSet,
    RescoreOrder,
    StoredSet,
)
from evaluator.contract.summary import (
    MIN_CELL_SIZE,
    Budget,
    CountsOpening,
    Hardware,
    OutcomeCounts,
    Reason,
    Reasons,
    Record,
    Returned,
    SetCounts,
    SetUsage,
    ShotRecord,
    VoteBin,
    Votes,
)
from evaluator.contract.systems import (
    Candidates,
    CandidatesPoint,
    Checkpoint,
    Estimate,
    Part,
    Role,
    System,
)
from evaluator.contract.transcripts import MOST_TRANSCRIPTS, Transcript, Transcripts
from evaluator.contract.uploads import UploadModel
from evaluator.contract.weights import MOST_TENSORS, Weights
from evaluator.errors import Code

__all__ = [  # re-exported; everything that is defined below is public as well
    "ADAPTIVE_1",
    "JOB_VERSION",
    "MIN_CELL_SIZE",
    "MOST_REFERENCES",
    "MOST_TENSORS",
    "MOST_TRANSCRIPTS",
    "UNPLANNED",
    "AdapterModel",
    "AdaptiveStep",
    "Announcement",
    "Artefact",
    "Budget",
    "Candidates",
    "CandidatesPoint",
    "Checkpoint",
    "Count",
    "CountsOpening",
    "Easiness",
    "Endpoint",
    "EndpointPolicy",
    "Estimate",
    "GraderCounts",
    "Hardware",
    "HeldSet",
    "Hex32",
    "HostFacts",
    "HostGpu",
    "HostState",
    "HubModel",
    "ItemKind",
    "LeaseAnswer",
    "LeaseRefusal",
    "ListedPrices",
    "Moment",
    "Name",
    "NotRescored",
    "OutOfService",
    "Outcome",
    "OutcomeCounts",
    "Part",
    "Plan",
    "ProbeOrder",
    "Probed",
    "ProbedItem",
    "Provider",
    "PublicSet",
    "Reason",
    "Reasons",
    "Record",
    "RescoreOrder",
    "Rescored",
    "RescoredSet",
    "Returned",
    "Role",
    "RunId",
    "SetCounts",
    "SetUsage",
    "ShotRecord",
    "Signature",
    "Slot",
    "StoredSet",
    "System",
    "Token",
    "Transcript",
    "Transcripts",
    "UploadModel",
    "VoteBin",
    "Votes",
    "Weights",
    "Wire",
    "Worker",
    "canonical_json",
    "item_order",
    "lease_queue",
    "pack_bits",
    "pack_bytes",
    "tie_places",
    "unpack_bits",
    "unpack_bytes",
]

EVALUATE_TASK = "holdfast.evaluate"
RECORD_TASK = "holdfast.record"
SHIP_TASK = "holdfast.ship"
RESCORE_TASK = "holdfast.rescore"
PROBE_TASK = "holdfast.probe"
"""As LEASE_TASK: a thread of each evaluator reads the orders, also while a run is under way."""
LEASE_TASK = "holdfast.lease"
"""No worker runs this task: the process that is answered reads its queue itself."""
RECORD_QUEUE = "record"
NO_RUN = "00000000-0000-0000-0000-000000000000"
"""Run named by a report that belongs to none, such as one of log lines that the site requested."""

Bitmap = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z", max_length=2_000_000)]
Recipient = Annotated[str, Meta(pattern=r"\A[a-z0-9\[][a-z0-9.:\[\]-]{0,299}\Z")]
"""Party that was shown an item: ``jail`` for weights we run, else an endpoint's host (and port)."""
Tier = Literal["T0", "T1", "T2", "T3"]
"""Class of recipients that may be shown the same blocks (see ``evaluator.policy``).

T0 weights we run, T1 contracted hosts, T2 self-declared endpoints, T3 public sets only.
"""
MOST_SAMPLES = 200
"""Most samples of an item whose mean is a score: a count of them is stored in one byte."""
BlockId = Annotated[int, Meta(ge=0, le=9_999)]
"""A block of a sealed set (see ``evaluator.ledger.manifests``)."""
Note = Annotated[str, Meta(max_length=4000)]
"""A signed tree head in the form of a C2SP signed note (see ``evaluator.ledger.notes``)."""


# --- in: the evaluation that is asked for


class SetAsk(Wire, frozen=True, kw_only=True):
    """One set to be asked.

    ``n`` is the size of the whole set. ``blocks`` are the blocks of a sealed set that the run is
    scored on, ascending; empty for every item. ``done`` marks the items graded already, ``without``
    those that no longer count and are not asked (both as :func:`pack_bits`).
    """

    name: Name
    sealed: bool
    digest: Hex32
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    blocks: Annotated[tuple[BlockId, ...], Meta(max_length=10_000)] = ()
    done: Bitmap = ""
    without: Bitmap = ""


class Limits(Wire, frozen=True, kw_only=True):
    """Bounds of one attempt: seconds, number of requests in flight, and what may be spent."""

    seconds: Annotated[float, Meta(gt=0, le=604_800)]
    concurrency: Annotated[int, Meta(ge=1, le=512)] = 32
    budget: Budget | None = None


class JobSpec(Wire, frozen=True, kw_only=True):
    """One attempt at one run. The evaluator treats it as hostile input.

    ``token`` is the fencing token of the attempt. The site waits ``lease_seconds`` for a report
    before it gives the run to another attempt. ``grant`` is the hash of the site's record of the
    items that this attempt may show, and of their recipient. ``tier`` is the site's own judgement
    of the system: it may be stricter than the evaluator's list, never wider. ``adaptive`` is there
    where the items of the sealed set follow a plan. ``transcripts`` is the number of items of each
    set that are sent back with their texts: more than 0 only where every set is public.
    """

    version: Literal[3] = 3
    run: RunId
    token: Token
    lease_seconds: Annotated[float, Meta(gt=0, le=3600)]
    system: Checkpoint | HubModel | UploadModel | AdapterModel | Endpoint | System
    protocol: Name
    sets: Annotated[tuple[SetAsk, ...], Meta(min_length=1, max_length=8)]
    grant: Hex32
    limits: Limits
    tier: Tier = "T0"
    adaptive: AdaptiveStep | None = None
    transcripts: Annotated[int, Meta(ge=0, le=MOST_TRANSCRIPTS)] = 0

    def __post_init__(self) -> None:
        if self.transcripts and any(asked.sealed for asked in self.sets):
            raise ValueError("no transcripts of a job with a sealed set")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON data, without what came later and is empty, as before these fields."""
        data = super().to_dict()
        if self.adaptive is None:
            del data["adaptive"]
        if not self.transcripts:
            del data["transcripts"]
        return data


class Ship(Wire, frozen=True, kw_only=True):
    """Request of the site for all log lines after ``after`` (-1: from the first) and the head."""

    version: Literal[1] = 1
    after: Annotated[int, Meta(ge=-1, le=10_000_000)]


# --- out: results


class Line(Wire, frozen=True, kw_only=True):
    """Fields of every line of an evaluator's log.

    ``previous`` is the hash of the line before, which chains the log; ``signature`` covers every
    other field (see ``evaluator.ledger.entries``).
    """

    version: Literal[2] = 2
    evaluator: Name
    index: Count
    previous: Hex32
    moment: Moment
    set: Name
    root: Hex32
    signature: Signature


class Exposure(Line, tag_field="kind", tag="exposure", frozen=True, kw_only=True):
    """Items that are about to be decrypted for a recipient; ``items`` is a bitmap over indices.

    ``plan`` is the digest of the plan that they follow, empty where there is none.
    """

    run: RunId
    token: Token
    recipient: Recipient
    tier: Tier
    items: Bitmap
    count: Count
    plan: Artefact = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON data, without ``plan`` if empty, as before the field existed."""
        data = super().to_dict()
        if not self.plan:
            del data["plan"]
        return data


class Closing(Line, tag_field="kind", tag="closing", frozen=True, kw_only=True):
    """An attempt has graded its last item of a set.

    ``outcomes`` is the Merkle root over the ``count`` answers of the run that this evaluator
    stores, of which ``not_counted`` do not count. ``tally`` commits to the counts of the others,
    which are published once the run's cohort is closed (see ``evaluator.ledger.closings``).
    ``weights`` is the digest of the tensors that were asked (:meth:`Weights.digest`), empty for
    an endpoint.
    """

    run: RunId
    token: Token
    artefact: Artefact = ""
    weights: Artefact = ""
    outcomes: Hex32
    count: Count
    not_counted: Count
    tally: Hex32

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON data, without ``weights`` if empty, as before the field existed."""
        data = super().to_dict()
        if not self.weights:
            del data["weights"]
        return data


class Enrolment(Line, tag_field="kind", tag="enrolment", frozen=True, kw_only=True):
    """The set's key is about to be wrapped for another host."""

    host: Name
    host_pub: Hex32


class Opening(Line, tag_field="kind", tag="opening", frozen=True, kw_only=True):
    """The whole set is about to be opened for its release, under the statement of this digest."""

    statement: Hex32


class Drill(Line, tag_field="kind", tag="drill", frozen=True, kw_only=True):
    """All ``count`` items are about to be decrypted in memory and compared with their leaves.

    No recipient: a maintainer checks that a copy and its keys can still be opened.
    """

    count: Count


LogLine = Exposure | Closing | Enrolment | Opening | Drill


class SetLikelihood(Wire, frozen=True, kw_only=True):
    """Mean over ``n`` items of the log-likelihood per character of a set's texts.

    ``mean`` and its standard ``error`` (None for one item) are in ten-thousandths of a nat;
    ``definition`` names the text of an item that is read. Whole numbers only: weights could be made
    to spell an item in the digits of a finer mean.
    """

    name: Name
    definition: Name
    n: Annotated[int, Meta(ge=1, le=10_000_000)]
    mean: Annotated[int, Meta(ge=-1_000_000, le=0)]
    error: Annotated[int, Meta(ge=0, le=1_000_000)] | None

    @property
    def per_character(self) -> float:
        """Mean in nats."""
        return self.mean / 10_000

    @property
    def standard_error(self) -> float | None:
        """Standard error of the mean in nats."""
        return None if self.error is None else self.error / 10_000


class Started(Wire, tag_field="kind", tag="started", frozen=True, kw_only=True):
    """The attempt has begun. Repeats the grant; names the protocol and the grader."""

    grant: Hex32
    protocol_digest: Hex32
    grader: Name


class Identified(Wire, tag_field="kind", tag="identified", frozen=True, kw_only=True):
    """The attempt has read its checkpoint, and no item has been revealed for it.

    - ``artefact`` is the digest of the files, ``weights`` that of the tensors
      (:meth:`Weights.digest`);
    - ``layers`` is the number of layers that the tensors' names count: a model that repeats layers
      of another has the same distinct tensors and more layers.

    The attempt waits for the site's answer: weights that have a run already get no second one.
    """

    artefact: Hex32
    weights: Hex32
    layers: Count


class Progress(Wire, tag_field="kind", tag="progress", frozen=True, kw_only=True):
    """The attempt is alive. ``done`` of ``total`` items have an outcome; ``loading`` comes first.

    The attempt is ``waiting`` while an endpoint gives no answer at all. The items of a system have
    no outcome before its generator has written all candidates: ``written`` is the number so far, of
    all attempts, and is absent for any other run.
    """

    phase: Literal["loading", "asking", "waiting"]
    done: Count
    total: Count
    written: Count | UnsetType = UNSET


class Declined(Wire, tag_field="kind", tag="declined", frozen=True, kw_only=True):
    """The evaluator cannot do the attempt and has not begun it. It costs the run no attempt."""

    code: Code


class Exposed(Wire, tag_field="kind", tag="exposed", frozen=True, kw_only=True):
    """Lines of the evaluator's log, the counts of its closings, and its newest signed head.

    Recorded under any token.
    """

    entries: Annotated[tuple[LogLine, ...], Meta(max_length=1000)] = ()
    tallies: Annotated[tuple[CountsOpening, ...], Meta(max_length=1000)] = ()
    head: Note = ""


class Graded(Wire, tag_field="kind", tag="graded", omit_defaults=True, frozen=True, kw_only=True):
    """Outcomes of some items of one set, as (index, outcome) pairs.

    Where a protocol scores the mean over several samples, ``samples_right`` has the number of right
    ones of each item, in the same order; else it is empty and left out.
    """

    set: Name
    outcomes: Annotated[tuple[tuple[Count, Outcome], ...], Meta(min_length=1, max_length=10_000)]
    samples_right: Annotated[
        tuple[Annotated[int, Meta(ge=0, le=MOST_SAMPLES)], ...], Meta(max_length=10_000)
    ] = ()


class Finished(Wire, tag_field="kind", tag="finished", frozen=True, kw_only=True):
    """The attempt is over and every assigned item of every set has an outcome.

    - ``artefact``, ``weights``: digest of the checkpoint and its tensors; none for an endpoint.
    - ``votes``: of sets with several answers to each item, if this evaluator has all of them.
    - ``graders``: counts of the answers by each published grader.
    - ``record``: of this attempt.
    - ``likelihoods``: of weights that run here, for every set or none; then ``likelihood_failed``
      is the reason.
    - ``reasons``: of an endpoint that gave no answer, for sets whose every answer is stored here.
    - ``usage``: of public sets whose tokens are counted; left out where none are.
    - ``parts``, ``candidates``: of a system; its ``weights`` are the tensors of all parts. Left out
      of the message for any other, as before the fields existed.
    """

    artefact: Artefact = ""
    weights: Weights | None = None
    sets: Annotated[tuple[SetCounts, ...], Meta(min_length=1, max_length=8)]
    votes: Annotated[tuple[Votes, ...], Meta(max_length=8)] = ()
    graders: Annotated[tuple[GraderCounts, ...], Meta(max_length=256)] = ()
    record: Record | None = None
    likelihoods: Annotated[tuple[SetLikelihood, ...], Meta(max_length=8)] = ()
    likelihood_failed: Code | None = None
    reasons: Annotated[tuple[Reasons, ...], Meta(max_length=8)] = ()
    seconds: Annotated[float, Meta(ge=0)]
    parts: Annotated[tuple[Part, ...], Meta(max_length=4)] | UnsetType = UNSET
    candidates: Annotated[tuple[Candidates, ...], Meta(max_length=8)] | UnsetType = UNSET
    usage: Annotated[tuple[SetUsage, ...], Meta(max_length=8)] | UnsetType = UNSET


class Failed(Wire, tag_field="kind", tag="failed", frozen=True, kw_only=True):
    """The attempt is over without a score. The code implies the party at fault."""

    code: Code


Body = (
    Announcement
    | Declined
    | Started
    | Identified
    | Progress
    | Exposed
    | Graded
    | Transcripts
    | Finished
    | Failed
    | Rescored
    | NotRescored
    | Probed
)


ANSWERED = (Started, Identified, Progress)
"""Bodies that ask for the lease or its renewal."""


class Report(Wire, frozen=True, kw_only=True):
    """One report of one attempt.

    ``worker`` is random per attempt, which separates two workers that received the same message;
    ``sequence`` counts from 1 within (run, token, worker). With a ``slot``, those of
    :data:`ANSWERED` are answered by a :class:`LeaseAnswer`.
    """

    version: Literal[2] = 2
    evaluator: Name
    run: RunId
    token: Token
    worker: Worker
    sequence: Annotated[int, Meta(ge=1, le=2_147_483_647)]
    slot: Slot | None = None
    body: Body


class Envelope(Wire, frozen=True, kw_only=True):
    """A report with the Ed25519 signature of its evaluator over ``canonical_json(report)``."""

    report: Report
    signature: Signature


# --- small functions shared by both sides


def fits(value: object, kind: Any) -> bool:
    """Return True if a value is of one of the types above."""
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def evaluate_queue(pool: str) -> str:
    """Return the name of the queue that the workers of a pool listen to."""
    return f"evaluate.{pool}"


def journal_queue(evaluator: str) -> str:
    """Return the name of the queue for requests about one evaluator's log and stored answers."""
    return f"journal.{evaluator}"


def endpoint_queue(evaluator: str) -> str:
    """Return the name of the queue of one evaluator's endpoint runs."""
    return f"endpoints.{evaluator}"
