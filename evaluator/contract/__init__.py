"""What crosses the wall between the site and the evaluator, and nothing else.

``JobSpec`` goes in, ``Report`` comes out; both travel as JSON under a task's name. Every type is frozen
and its decoding is strict: a field too many, a missing one or a wrong type is refused with
``bad_message`` and never quoted back. No type here has a field that could hold the text of an item, a
prompt or a completion of a sealed set.
"""

import base64
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from evaluator.contract.announcements import JOB_VERSION, Announcement, HeldSet, OutOfService
from evaluator.contract.base import (
    Artefact,
    Count,
    Hex32,
    Moment,
    Name,
    Outcome,
    RunId,
    Signature,
    Token,
    Wire,
    canonical_json,
)
from evaluator.contract.leases import LeaseAnswer, LeaseRefusal, Slot, Worker, lease_queue
from evaluator.contract.rescored import (
    GraderCounts,
    KeptSet,
    NotRescored,
    Rescored,
    RescoredSet,
    RescoreOrder,
)
from evaluator.contract.told import (
    LEAST_CELL,
    Budget,
    Hardware,
    Reason,
    Reasons,
    Record,
    Returned,
    ShotsShown,
    Tally,
    VoteBin,
    Votes,
)
from evaluator.contract.weights import MOST_TENSORS, Weights
from evaluator.errors import Code, error

__all__ = [  # of what stands in the files beside this one; all that is defined below is there for others too
    "JOB_VERSION",
    "LEAST_CELL",
    "MOST_TENSORS",
    "Announcement",
    "Artefact",
    "Budget",
    "Count",
    "GraderCounts",
    "Hardware",
    "HeldSet",
    "Hex32",
    "KeptSet",
    "LeaseAnswer",
    "LeaseRefusal",
    "Moment",
    "Name",
    "NotRescored",
    "OutOfService",
    "Outcome",
    "Reason",
    "Reasons",
    "Record",
    "RescoreOrder",
    "Rescored",
    "RescoredSet",
    "Returned",
    "RunId",
    "ShotsShown",
    "Signature",
    "Slot",
    "Tally",
    "Token",
    "VoteBin",
    "Votes",
    "Weights",
    "Wire",
    "Worker",
    "canonical_json",
    "lease_queue",
]

EVALUATE_TASK = "holdfast.evaluate"
RECORD_TASK = "holdfast.record"
SHIP_TASK = "holdfast.ship"
RESCORE_TASK = "holdfast.rescore"
LEASE_TASK = "holdfast.lease"
"""No worker runs it: the process that is answered reads its queue itself."""
RECORD_QUEUE = "record"
NO_RUN = "00000000-0000-0000-0000-000000000000"
"""The run that a report names which belongs to none, such as one of log lines that the site asked for again."""

Bitmap = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]*={0,2}\Z", max_length=2_000_000)]
Recipient = Annotated[str, Meta(pattern=r"\A[a-z0-9\[][a-z0-9.:\[\]-]{0,299}\Z")]
"""Who saw an item: ``jail`` for weights we run, else the host (and port) of an endpoint."""
Tier = Literal["T0", "T1", "T2", "T3"]
"""What a recipient may see: T0 weights we run, T1 contracted hosts, T2 self-declared endpoints, T3 public sets only."""
BlockId = Annotated[int, Meta(ge=0, le=9_999)]
"""A block of a sealed set (see ``evaluator.ledger.manifests``)."""
Note = Annotated[str, Meta(max_length=4000)]
"""A signed tree head in the form of a C2SP signed note (see ``evaluator.ledger.notes``)."""


# --- in: what is to be evaluated


class Checkpoint(Wire, tag_field="kind", tag="checkpoint", frozen=True, kw_only=True):
    """A folder of weights that the evaluator knows by this name."""

    name: Name


Provider = Literal[
    "",
    "anthropic",
    "cohere",
    "databricks",
    "deepseek",
    "fireworks_ai",
    "gemini",
    "groq",
    "hosted_vllm",
    "mistral",
    "openai",
    "openrouter",
    "perplexity",
    "together_ai",
    "xai",
]
"""Whose API an endpoint speaks; empty for OpenAI's own. Only those that take a key and an address, and nothing else:
other adapters of the library read files and the environment for what they send."""


Ciphertext = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9+/]+={0,2}\Z", max_length=16_000)]


class Endpoint(Wire, tag_field="kind", tag="endpoint", frozen=True, kw_only=True):
    """An API at an address: OpenAI-compatible, or that of a ``provider``, which our gateway reaches by LiteLLM.

    ``sealed_keys`` is its API key, HPKE-sealed to each evaluator that may be given the run, in base64, by the
    evaluator's name. Empty where the endpoint wants none.
    """

    url: Annotated[str, Meta(min_length=8, max_length=2000)]
    model: Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}\Z")]
    api: Literal["completions", "chat"]
    provider: Provider = ""
    sealed_keys: Annotated[dict[Name, Ciphertext], Meta(max_length=100)] = msgspec.field(
        default_factory=dict
    )


class SetAsk(Wire, frozen=True, kw_only=True):
    """One set to be asked. ``n`` is the whole set; ``done`` marks the items graded already (see :func:`pack_bits`).

    ``blocks`` are the blocks of a sealed set that the run is scored on, ascending; empty for every item. ``without``
    marks those of their items that count no longer and are not asked.
    """

    name: Name
    sealed: bool
    digest: Hex32
    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    blocks: Annotated[tuple[BlockId, ...], Meta(max_length=10_000)] = ()
    done: Bitmap = ""
    without: Bitmap = ""


class Limits(Wire, frozen=True, kw_only=True):
    """Bounds of one attempt: its length in seconds, the number of requests in flight, and what may be spent."""

    seconds: Annotated[float, Meta(gt=0, le=604_800)]
    concurrency: Annotated[int, Meta(ge=1, le=512)] = 32
    budget: Budget | None = None


class JobSpec(Wire, frozen=True, kw_only=True):
    """One attempt at one run. The evaluator treats it as hostile input.

    ``token`` is the fencing token of the attempt; ``lease_seconds`` is how long the site waits for a
    report before it gives the run to another; ``grant`` is the hash of the site's record of what this
    attempt may show to whom. ``tier`` is the site's own judgement of the system: it may lower the tier that the
    evaluator's list gives, never raise it.
    """

    version: Literal[3] = 3
    run: RunId
    token: Token
    lease_seconds: Annotated[float, Meta(gt=0, le=3600)]
    system: Checkpoint | Endpoint
    protocol: Name
    sets: Annotated[tuple[SetAsk, ...], Meta(min_length=1, max_length=8)]
    grant: Hex32
    limits: Limits
    tier: Tier = "T0"


class Ship(Wire, frozen=True, kw_only=True):
    """The site's wish to be told the log again: every line after ``after`` (-1 for all), and the newest head."""

    version: Literal[1] = 1
    after: Annotated[int, Meta(ge=-1, le=10_000_000)]


# --- out: what became of it


class Line(Wire, frozen=True, kw_only=True):
    """What every line of an evaluator's log has. ``previous`` is the hash of the line before, which chains the
    log; ``signature`` covers every other field (see ``evaluator.ledger.entries``)."""

    version: Literal[2] = 2
    evaluator: Name
    index: Count
    previous: Hex32
    moment: Moment
    set: Name
    root: Hex32
    signature: Signature


class Exposure(Line, tag_field="kind", tag="exposure", frozen=True, kw_only=True):
    """These items are about to be decrypted for this recipient. ``items`` is a bitmap over the set's indices."""

    run: RunId
    token: Token
    recipient: Recipient
    tier: Tier
    items: Bitmap
    count: Count


class Closing(Line, tag_field="kind", tag="closing", frozen=True, kw_only=True):
    """An attempt has graded its last item of a set. ``outcomes`` is the Merkle root over what this evaluator keeps of
    the run on this set: ``count`` items, of which ``not_counted`` have no answer that counts. ``tally`` commits to what
    the others came to, which is told once the run's cohort is closed (see ``evaluator.ledger.closings``). ``weights``
    is the digest of the tensors that were asked (:meth:`Weights.digest`), empty for an endpoint."""

    run: RunId
    token: Token
    artefact: Artefact = ""
    weights: Artefact = ""
    outcomes: Hex32
    count: Count
    not_counted: Count
    tally: Hex32

    def to_dict(self) -> dict[str, Any]:
        """As for every message, without ``weights`` where there are none, as before there was such a field."""
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
    """All ``count`` items of the set are about to be decrypted in memory and compared with their leaves, for nobody:
    a maintainer tries out whether a copy and its keys can still be opened."""

    count: Count


LogLine = Exposure | Closing | Enrolment | Opening | Drill


class SetCounts(Wire, frozen=True, kw_only=True):
    """How many items of a set fell to each outcome in this attempt; ``n`` is every item assigned to the run."""

    name: Name
    n: Count
    right: Count
    wrong: Count
    no_answer: Count
    truncated: Count
    not_counted: Count


class SetLikelihood(Wire, frozen=True, kw_only=True):
    """How likely weights find the texts of a set: the mean over ``n`` items of the log-likelihood per character.

    ``mean`` and its standard ``error`` (None for one item) are in ten-thousandths of a nat; ``definition`` says what
    text of an item is read.

    Whole numbers, since whoever makes weights can have them spell an item in the digits of a finer mean.
    """

    name: Name
    definition: Name
    n: Annotated[int, Meta(ge=1, le=10_000_000)]
    mean: Annotated[int, Meta(ge=-1_000_000, le=0)]
    error: Annotated[int, Meta(ge=0, le=1_000_000)] | None

    @property
    def per_character(self) -> float:
        """The mean in nats."""
        return self.mean / 10_000

    @property
    def standard_error(self) -> float | None:
        """That of the mean, in nats."""
        return None if self.error is None else self.error / 10_000


class Started(Wire, tag_field="kind", tag="started", frozen=True, kw_only=True):
    """The attempt has begun. Repeats the grant; names what asks and grades."""

    grant: Hex32
    protocol_digest: Hex32
    grader: Name


class Progress(Wire, tag_field="kind", tag="progress", frozen=True, kw_only=True):
    """Still alive. ``done`` of ``total`` items have an outcome; ``loading`` comes before the first.

    The attempt is ``waiting`` while an endpoint gives no answer at all.
    """

    phase: Literal["loading", "asking", "waiting"]
    done: Count
    total: Count


class Declined(Wire, tag_field="kind", tag="declined", frozen=True, kw_only=True):
    """This evaluator cannot do the attempt and has not begun it: another may. It costs no attempt."""

    code: Code


class Exposed(Wire, tag_field="kind", tag="exposed", frozen=True, kw_only=True):
    """Lines of the evaluator's log, what opens its closings, its newest signed head. Kept whatever the token says."""

    entries: Annotated[tuple[LogLine, ...], Meta(max_length=1000)] = ()
    tallies: Annotated[tuple[Tally, ...], Meta(max_length=1000)] = ()
    head: Note = ""


class Graded(Wire, tag_field="kind", tag="graded", frozen=True, kw_only=True):
    """Outcomes of some items of one set, as (index, outcome) pairs."""

    set: Name
    outcomes: Annotated[tuple[tuple[Count, Outcome], ...], Meta(min_length=1, max_length=10_000)]


class Finished(Wire, tag_field="kind", tag="finished", frozen=True, kw_only=True):
    """The attempt is over and every assigned item of every set has an outcome.

    ``votes`` are of the sets of which several answers were asked, where this evaluator has all of them; ``graders``
    what each published grader makes of the answers. ``record`` is of this attempt. Of weights that run here all items
    were read too: ``likelihoods`` has every set, or none and ``likelihood_failed`` says why. An endpoint has neither,
    and no ``weights``, which say what tensors ``artefact`` holds; ``reasons`` count why it gave no answer, of the sets
    whose every item has its answer here.
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


class Failed(Wire, tag_field="kind", tag="failed", frozen=True, kw_only=True):
    """The attempt is over without a score. Whose fault it was follows from the code."""

    code: Code


Body = (
    Announcement
    | Declined
    | Started
    | Progress
    | Exposed
    | Graded
    | Finished
    | Failed
    | Rescored
    | NotRescored
)


class Report(Wire, frozen=True, kw_only=True):
    """One report of one attempt. ``worker`` is random per attempt, so that a message delivered twice
    cannot pass for one; ``sequence`` counts from 1 within (run, token, worker). A report with a ``slot`` is
    answered by a :class:`LeaseAnswer` where it is Started or Progress."""

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


# --- small shapes shared by both sides


def pack_bits(indices: Iterable[int], n: int) -> str:
    """A bitmap over 0 … n-1 as base64, least significant bit first. Raises ``bad_message`` beyond n."""
    bits = bytearray((n + 7) // 8)
    for index in indices:
        if not 0 <= index < n:
            raise error(Code.BAD_MESSAGE, "an index lies outside the set")
        bits[index >> 3] |= 1 << (index & 7)
    return base64.b64encode(bytes(bits)).decode("ascii")


def unpack_bits(bitmap: str, n: int) -> frozenset[int]:
    """The indices marked in a bitmap; an empty string marks none. Raises ``bad_message``."""
    try:
        raw = base64.b64decode(bitmap, validate=True)
    except ValueError:
        raise error(Code.BAD_MESSAGE, "a bitmap is not base64") from None
    marked = frozenset(i * 8 + b for i, byte in enumerate(raw) for b in range(8) if byte >> b & 1)
    if raw and (len(raw) != (n + 7) // 8 or any(index >= n for index in marked)):
        raise error(Code.BAD_MESSAGE, "a bitmap does not fit its set")
    return marked


def fits(value: object, kind: Any) -> bool:
    """Whether a value is of one of the types above."""
    try:
        msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError:
        return False
    return True


def evaluate_queue(pool: str) -> str:
    """The queue that the workers of a pool listen to."""
    return f"evaluate.{pool}"


def journal_queue(evaluator: str) -> str:
    """The queue of one evaluator, on which it is asked for what only it has: its log, and the answers that it keeps."""
    return f"journal.{evaluator}"
