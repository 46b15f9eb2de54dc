"""Evaluators, the site's grants, listed endpoints, and the evaluators' signed logs."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import models
from django.db.models.functions import Now

from evaluator.contract import (
    MIN_CELL_SIZE,
    EndpointPolicy,
    HostFacts,
    HostState,
    LogLine,
    canonical_json,
)
from evaluator.contract.announcements import EngineFailure
from evaluator.ledger.entries import entry_hash, read_line
from evaluator.ledger.tree import Tree, leaf_hash
from evaluator.policy import ENDPOINT_TIERS, JAIL, EndpointId
from leaderboard.accounts.models import LONGEST_REASON
from leaderboard.benchmarks.models import ItemSet

NAME = r"^[a-z0-9][a-z0-9._-]{0,79}$"
HEX32 = r"^[0-9a-f]{64}$"


class EvaluatorQuerySet(models.QuerySet["Evaluator"]):
    """Registered evaluators."""

    def of_pool(self, pool: str) -> "EvaluatorQuerySet":
        """Evaluators that take runs of a pool, in the order of their registration."""
        return self.filter(pool=pool).order_by("pk")

    def pools(self) -> set[str]:
        """Return the names of the pools that have evaluators."""
        pools = self.order_by().values_list("pool", flat=True)
        return set(pools.distinct())

    def live(self) -> "EvaluatorQuerySet":
        """Evaluators whose next announcement is not overdue by the database's clock."""
        return self.filter(expected_by__gt=Now(), announced_pool=models.F("pool"))

    def in_service(self) -> "EvaluatorQuerySet":
        """Live ones that take runs and are not cordoned."""
        return self.live().filter(out_of_service="", cordon="")

    def public_key_of(self, name: str) -> str | None:
        """Return the key that verifies an evaluator's reports; None for an unknown evaluator."""
        keys = self.filter(name=name).values_list("public_key", flat=True)
        return keys.first()


class Evaluator(models.Model):
    """Host that may open sealed sets. The site has its public keys only.

    - ``head_index`` and ``head_hash`` name the last line of its log that follows without a gap.
    - ``flagged`` is set for good once two of its signed lines contradict each other.
    - The other columns hold its last announcement (a ``contract.Announcement``): ``last_seen`` and
      ``expected_by`` are by the database's clock; ``announced_at`` is by the evaluator's clock and
      orders announcements; ``sets`` is a list of ``{"name", "sealed", "digest"}``;
      ``out_of_service`` is the reason why it takes no runs, or empty; ``host`` (a
      ``contract.HostFacts``), ``endpoints`` (a ``contract.EndpointPolicy``) and ``state`` (a
      ``contract.HostState``) are None where its release announces none; ``probes``: it answers
      orders of probes; ``endpoint_runs`` are the runs of endpoints that it carries at once, apart
      from that of weights, 0 where an endpoint takes the place of weights.
    - ``cordon`` is a maintainer's order that it takes no runs, and the fields next to it are who
      gave it, when and why.
    - ``last_error`` is the code of the last attempt that ended by a fault of ours there.
    """

    class Cordon(models.TextChoices):
        """Order of a maintainer about an evaluator that takes no new runs.

        The runs that a cordoned one holds finish, those of a paused one go to others.
        """

        CORDONED = "cordoned"
        PAUSED = "paused"

    name = models.CharField(max_length=80, unique=True)
    public_key = models.CharField(max_length=64)
    host_pub = models.CharField(max_length=64)
    pool = models.CharField(max_length=80)
    registered_at = models.DateTimeField(auto_now_add=True)
    head_index = models.IntegerField(default=-1)
    head_hash = models.CharField(max_length=64, default="0" * 64)
    flagged = models.BooleanField(default=False)
    last_seen = models.DateTimeField(null=True)
    expected_by = models.DateTimeField(null=True)
    announced_at = models.DateTimeField(null=True)
    announced_pool = models.CharField(max_length=80, blank=True)
    sets: "models.JSONField[list[dict[str, Any]], list[dict[str, Any]]]" = models.JSONField(
        default=list
    )
    reads: "models.JSONField[list[int], list[int]]" = models.JSONField(default=list)
    software = models.CharField(max_length=40, blank=True)
    out_of_service = models.CharField(max_length=20, blank=True)
    busy_with = models.UUIDField(null=True)
    host: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    endpoints: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )

    probes = models.BooleanField(default=False)
    state: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    endpoint_runs = models.PositiveSmallIntegerField(default=0)
    cordon = models.CharField(max_length=8, blank=True, choices=Cordon.choices)
    cordoned_by = models.CharField(max_length=150, blank=True)
    cordoned_at = models.DateTimeField(null=True)
    cordon_reason = models.CharField(max_length=LONGEST_REASON, blank=True)
    last_error = models.CharField(max_length=40, blank=True)
    last_error_at = models.DateTimeField(null=True)

    objects = EvaluatorQuerySet.as_manager()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(name__regex=NAME), name="evaluator_name_is_plain"
            ),
            models.CheckConstraint(
                condition=models.Q(pool__regex=NAME), name="evaluator_pool_is_plain"
            ),
            models.CheckConstraint(
                condition=models.Q(
                    public_key__regex=HEX32, host_pub__regex=HEX32, head_hash__regex=HEX32
                ),
                name="evaluator_keys_are_hex",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    cordon="", cordoned_by="", cordoned_at__isnull=True, cordon_reason=""
                )
                | models.Q(cordon__in=["cordoned", "paused"], cordoned_at__isnull=False)
                & ~models.Q(cordoned_by="")
                & ~models.Q(cordon_reason=""),
                name="evaluator_cordon_is_whole",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def holds_set(self, item_set: ItemSet) -> bool:
        """Return True where its last announcement lists this very set."""
        facts = {"name": item_set.name, "sealed": item_set.sealed, "digest": item_set.digest}
        return facts in self.sets

    @property
    def takes_runs(self) -> bool:
        """Return False where it announced that it takes none, or is cordoned."""
        return not (self.out_of_service or self.cordon)

    def host_facts(self) -> HostFacts | None:
        """Return what it announced of its host; None for nothing."""
        return HostFacts.from_dict(self.host) if self.host else None

    def engine_failures(self) -> tuple[EngineFailure, ...]:
        """Return the engines that, by its announcement, do not pass its self-test."""
        host = self.host_facts()
        return host.failures() if host else ()

    def host_state(self) -> HostState | None:
        """Return what it announced of the state of its host; None for nothing."""
        return HostState.from_dict(self.state) if self.state else None

    def endpoint_policy(self) -> EndpointPolicy | None:
        """Return what it announced of endpoints that it shows sealed items; None for nothing."""
        return EndpointPolicy.from_dict(self.endpoints) if self.endpoints else None

    @property
    def executes(self) -> bool:
        """True where its host can execute programs that models wrote."""
        return bool(self.host and self.host.get("executes"))

    def abilities(self) -> tuple[object, ...]:
        """Return all that decides which runs it can take, to be compared with an earlier value."""
        live = Evaluator.objects.live().filter(pk=self.pk)
        return (
            live.exists(),
            self.out_of_service,
            self.announced_pool,
            self.sets,
            self.reads,
            self.host,
            self.endpoint_runs,
        )

    def tree(self) -> Tree:
        """Return the Merkle tree over the site's copy of its log, as far as that has no gap."""
        chained = self.entries.filter(status="chained").order_by("index")
        hashes = chained.values_list("entry_hash", flat=True)
        return Tree(bytes.fromhex(line) for line in hashes.iterator())


class GrantQuerySet(models.QuerySet["Grant"]):
    """Grants of all attempts."""

    def of_sealed_sets(self) -> "GrantQuerySet":
        """Leave out the grants of practice, which name public sets only."""
        return self.filter(sets__contains=[{"sealed": True}])

    def with_opened(self) -> "GrantQuerySet":
        """Mark with ``opened`` the grants whose recipient is published.

        A recipient is published once the log of an evaluator shows a reveal for its run: from then
        on the log names it. Weights that we run have no recipient to withhold.
        """
        reveals = Entry.objects.filter(
            kind="exposure", run=models.OuterRef("run"), status=Entry.Status.CHAINED
        )
        is_revealed = models.Q(models.Exists(reveals))
        jailed = models.Q(recipient=JAIL)
        unsalted = models.Q(salt="")
        return self.annotate(opened=is_revealed | jailed | unsalted)


class Grant(models.Model):
    """Grant of one attempt: the items that it may show to its recipient. Stored before dispatch.

    ``sets`` is a list of ``{"name", "digest", "sealed", "blocks", "items"}``; items is the bitmap
    of those not yet graded. The evaluator repeats ``hash`` when it starts. ``salt`` prevents that a
    recipient is guessed from the hash before it is published; older grants have none. ``plan`` is
    the digest of the plan of an adaptive run, else empty.
    """

    run = models.UUIDField()
    token = models.PositiveIntegerField()
    recipient = models.CharField(max_length=300)
    sets: "models.JSONField[list[dict[str, Any]], list[dict[str, Any]]]" = models.JSONField()
    salt = models.CharField(max_length=64, default="", blank=True)
    plan = models.CharField(max_length=64, default="", blank=True)
    hash = models.CharField(max_length=64)
    created = models.DateTimeField(auto_now_add=True)

    objects = GrantQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["run", "token"], name="grant_once_per_attempt"),
            models.CheckConstraint(
                condition=models.Q(hash__regex=HEX32), name="grant_hash_is_sha256"
            ),
        )

    def __str__(self) -> str:
        return f"{self.run} #{self.token}"

    @staticmethod
    def digest(
        *,
        run: uuid.UUID,
        token: int,
        recipient: str,
        sets: list[dict[str, Any]],
        salt: str = "",
        plan: str = "",
    ) -> str:
        """Return the hash of a grant: an RFC 6962 leaf over its canonical JSON, 64 hexadecimal
        digits.

        With a ``salt`` (64 hexadecimal digits) it is version 2, without one version 1; with the
        digest of a ``plan`` as well version 3.
        """
        fields = {
            "kind": "grant",
            "version": 1,
            "run": str(run),
            "token": token,
            "recipient": recipient,
            "sets": sets,
        }
        if salt:
            fields |= {"version": 2, "salt": salt}
        if plan:
            fields |= {"version": 3, "plan": plan}
        return leaf_hash(canonical_json(fields)).hex()


class Party(models.Model):
    """Tier that the site assumes for a recipient. It can only be stricter than the evaluator's.

    A row names the party and may lower the tier of its endpoints. ``T1`` lowers and grants nothing:
    an endpoint is T1 only where it is listed (:class:`ListedEndpoint`). Weights that we run are T0
    without a row.
    """

    class Kind(models.TextChoices):
        """Kind of party."""

        ORGANISATION = "organisation"
        PROVIDER = "provider"

    recipient = models.CharField(max_length=300, unique=True)
    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    tier = models.CharField(max_length=2)
    registered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "parties"
        constraints = (
            models.CheckConstraint(
                condition=models.Q(tier__in=list(ENDPOINT_TIERS)), name="party_tier_is_known"
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} at {self.recipient}"


class ListedEndpoint(models.Model):
    """Endpoint that the evaluators' lists name as T1. A submission must name it exactly like this.

    The evaluators decide and hold the maintainers' key for it; with this copy the site grants the
    same blocks.
    """

    url = models.CharField(max_length=1000)
    model = models.CharField(max_length=200)
    api = models.CharField(max_length=20)
    provider = models.CharField(max_length=40, blank=True)
    registered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["url", "model", "api", "provider"], name="listed_endpoint_once"
            ),
        )
        ordering = ("url", "model", "api", "provider")

    def __str__(self) -> str:
        return f"{self.model} at {self.url}"

    @property
    def identity(self) -> EndpointId:
        """Facts by which endpoints are compared."""
        return EndpointId(self.url, self.model, self.api, self.provider)


class EntryQuerySet(models.QuerySet["Entry"]):
    """Lines of the evaluators' logs."""

    def matching(self, **wanted: str | None) -> "EntryQuerySet":
        """Lines with these values of evaluator, set, recipient, tier, kind and run.

        Empty values filter nothing.
        """
        columns = {"evaluator": "evaluator__name", "set": "set_name"}
        filters = {}
        for name, value in wanted.items():
            if value:
                filters[columns.get(name, name)] = value
        return self.filter(**filters)

    def opened(
        self, runs: Sequence[uuid.UUID], *, least: Mapping[str, int]
    ) -> "dict[uuid.UUID, list[dict[str, Any]]]":
        """Return by run the counts behind the closings of its last attempts, one an evaluator.

        ``least`` is the minimum cell size by set. Of a run that several evaluators took part in,
        all counts are returned or none: none where one of them closed fewer items than that.
        """
        closings = self.filter(run__in=runs, kind="closing", status=Entry.Status.CHAINED)
        last = {}
        for closing in closings.order_by("line__token", "index"):
            last[closing.run, closing.set_name, closing.evaluator_id] = closing
        too_small = set()
        for closing in last.values():
            fewest = least.get(closing.set_name, MIN_CELL_SIZE)
            if closing.counted < fewest:
                too_small.add((closing.run, closing.set_name))
        counts: dict[uuid.UUID, list[dict[str, Any]]] = {}
        for (run, name, _), closing in last.items():
            if (run, name) in too_small:
                continue
            if run is not None and closing.tally:
                counts.setdefault(run, []).append(closing.tally)
        return counts

    def newest_token(self, run: uuid.UUID, *, most: int) -> int:
        """Return the highest token, up to ``most``, that a line names of a run; 0 for none."""
        tokens = self.filter(run=run, line__token__lte=most).order_by("-line__token")
        return tokens.values_list("line__token", flat=True).first() or 0

    def published(self) -> "EntryQuerySet":
        """Lines that follow their evaluator's log without a gap, newest first."""
        chained = self.filter(status=Entry.Status.CHAINED)
        return chained.select_related("evaluator").order_by("-pk")


class Entry(models.Model):
    """One signed line of an evaluator's log: whole in ``line``, its searched fields as columns.

    A line that came before its predecessor is ``pending``. One that contradicts a known line, or
    does not continue the chain, is ``conflicting``: it is stored, since its signature proves its
    author. ``tally`` are the counts that a closing commits to (``contract.CountsOpening``), where
    they are known. ``run``, ``recipient`` and ``tier`` are empty where the kind of line has none;
    ``count`` is then 0.
    """

    class Status(models.TextChoices):
        """Relation of a line to its log."""

        CHAINED = "chained"
        PENDING = "pending"
        CONFLICTING = "conflicting"

    evaluator = models.ForeignKey(Evaluator, on_delete=models.PROTECT, related_name="entries")
    index = models.PositiveIntegerField()
    kind = models.CharField(max_length=9)
    moment = models.CharField(max_length=27)
    run = models.UUIDField(null=True, db_index=True)
    set_name = models.CharField(max_length=80, db_index=True)
    recipient = models.CharField(max_length=300, blank=True)
    tier = models.CharField(max_length=2, blank=True)
    count = models.PositiveIntegerField(default=0)
    line: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    tally: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    previous = models.CharField(max_length=64)
    entry_hash = models.CharField(max_length=64)
    status = models.CharField(max_length=11, choices=Status.choices)
    received = models.DateTimeField(auto_now_add=True)

    objects = EntryQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["evaluator", "entry_hash"], name="entry_once"),
            models.UniqueConstraint(
                fields=["evaluator", "index"],
                condition=models.Q(status="chained"),
                name="entry_one_line_per_index",
            ),
            models.CheckConstraint(
                condition=models.Q(entry_hash__regex=HEX32, previous__regex=HEX32),
                name="entry_hashes_are_sha256",
            ),
            models.CheckConstraint(
                condition=models.Q(status__in=["chained", "pending", "conflicting"]),
                name="entry_status_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(tier__in=["", "T0", "T1", "T2", "T3"]),
                name="entry_tier_is_known",
            ),
        )

    def __str__(self) -> str:
        return f"{self.evaluator_id}:{self.index}"

    @classmethod
    def of(cls, line: LogLine, *, evaluator: Evaluator) -> "Entry":
        """Return the row of a verified line, not saved, and pending until the chain reaches it."""
        data = line.to_dict()
        return cls(
            evaluator=evaluator,
            index=line.index,
            kind=data["kind"],
            moment=line.moment,
            run=uuid.UUID(data["run"]) if "run" in data else None,
            set_name=line.set,
            recipient=data.get("recipient", ""),
            tier=data.get("tier", ""),
            count=data.get("count", 0),
            line=data,
            previous=line.previous,
            entry_hash=entry_hash(line),
            status=cls.Status.PENDING,
        )

    @property
    def counted(self) -> int:
        """Number of items of a closing with an outcome that counts."""
        return self.count - int(self.line["not_counted"])

    @property
    def words(self) -> str:
        """Return the line in words."""
        items = f"{self.count:,} item{'' if self.count == 1 else 's'}"
        return {
            "exposure": f"shown {items}",
            "closing": f"closed a run over {items}",
            "enrolment": f"key wrapped for {self.line.get('host', '')}",
            "opening": "opened for release",
            "drill": f"drill: {items} decrypted in memory and compared, shown to no model",
        }[self.kind]

    def log_line(self) -> LogLine:
        """Return the line as its evaluator signed it."""
        return read_line(self.line)


class Head(models.Model):
    """Tree head that an evaluator signed over its log.

    ``agrees`` is True where the site's copy of the log has the same root, False for good where it
    has another, and None while the copy is shorter than the head.
    """

    evaluator = models.ForeignKey(Evaluator, on_delete=models.PROTECT, related_name="heads")
    size = models.PositiveIntegerField()
    root = models.CharField(max_length=64)
    note = models.TextField()
    agrees = models.BooleanField(null=True)
    received = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["evaluator", "size", "root"], name="head_once"),
        )
        ordering = ("evaluator", "size", "pk")

    def __str__(self) -> str:
        return f"{self.evaluator_id} at {self.size}"
