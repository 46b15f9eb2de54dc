"""Public facts of sets and pairs of sets. No item's text is stored, sealed or not."""

from typing import Any, ClassVar, get_args

from django.db import models
from django.urls import reverse

from evaluator.contract import ADAPTIVE_1, MIN_CELL_SIZE, ItemKind
from evaluator.contract.overlaps import OverlapReport
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.notices import Notice as SignedNotice
from evaluator.ledger.rules import Rule, in_words
from leaderboard.accounts.models import User
from leaderboard.benchmarks.states import SetState

NAME = r"^[a-z0-9][a-z0-9._-]{0,79}$"
HEX32 = r"^[0-9a-f]{64}$"
WITHDRAWN = "withdrawn"
"""State of a pair that was withdrawn."""


class ItemSet(models.Model):
    """Set of items, committed to by ``digest``: the Merkle root of a sealed one, else a SHA-256.

    ``manifest`` is a sealed set's whole manifest as JSON, ``head`` its signed tree head (a C2SP
    note). ``version`` counts the notices that retired blocks or items: a score names its version.

    The release belongs to the sealed set, and is the same for every pair over it: its ``state``,
    the ``evidence`` of a proposed release (as JSON), ``proposed_by``, and the ``successor`` that
    takes its place. ``season`` counts the blocks that self-declared endpoints have had.
    """

    name = models.CharField(max_length=80, unique=True)
    sealed = models.BooleanField()
    n = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    kind = models.CharField(
        max_length=10, choices=[(kind, kind) for kind in get_args(ItemKind)], default="number"
    )
    shots = models.PositiveIntegerField(default=0)
    shots_digest = models.CharField(max_length=64, blank=True)
    manifest: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField(
        default=dict, blank=True
    )
    head = models.TextField(blank=True)
    version = models.PositiveIntegerField(default=0)
    season = models.PositiveIntegerField(default=0)
    state = models.CharField(
        max_length=10,
        choices=[(state.value, state.value) for state in SetState],
        default=SetState.SEALED,
    )
    successor = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, blank=True, related_name="succeeds"
    )
    evidence: "models.JSONField[dict[str, Any] | None, dict[str, Any] | None]" = models.JSONField(
        null=True
    )
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    registered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state__in=[state.value for state in SetState]),
                name="item_set_state_is_known",
            ),
            models.CheckConstraint(
                condition=models.Q(sealed=True)
                | models.Q(state="sealed", season=0, successor__isnull=True),
                name="item_set_is_released_only_if_sealed",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state__in=["proposed", "released"],
                    evidence__isnull=False,
                    proposed_by__isnull=False,
                )
                | models.Q(
                    state__in=["sealed", "releasable"],
                    evidence__isnull=True,
                    proposed_by__isnull=True,
                ),
                name="item_set_is_proposed_over_evidence",
            ),
            models.CheckConstraint(
                condition=models.Q(name__regex=NAME), name="item_set_name_is_plain"
            ),
            models.CheckConstraint(
                condition=models.Q(digest__regex=HEX32), name="item_set_digest_is_sha256"
            ),
            models.CheckConstraint(
                condition=models.Q(n__gte=1, n__lte=1_000_000), name="item_set_has_items"
            ),
            models.CheckConstraint(
                condition=models.Q(shots=0, shots_digest="")
                | models.Q(shots__gte=1, shots_digest__regex=HEX32),
                name="item_set_shots_have_a_digest",
            ),
        )

    def __str__(self) -> str:
        return self.name

    def facts(self) -> Manifest | None:
        """Return the manifest of a sealed set; None for a public one.

        Raises ``bad_message`` for a damaged row.
        """
        return Manifest.from_dict(self.manifest) if self.manifest else None

    @property
    def cell(self) -> int:
        """Minimum cell size: the fewest items that a published number may be over.

        A sealed set's manifest names it; of a public set it is 1.
        """
        return int(self.manifest.get("cell", MIN_CELL_SIZE)) if self.sealed else 1

    def rule_words(self) -> str:
        """Return the release rule in words; empty where nothing was promised."""
        rule = self.manifest.get("rule")
        return in_words(Rule.from_dict(rule)) if rule else ""

    def signed_notices(self) -> tuple[SignedNotice, ...]:
        """Return the maintainers' notices about the set, oldest first."""
        notices = self.notices.order_by("index")
        return tuple(SignedNotice.from_dict(notice.data) for notice in notices)


class Notice(models.Model):
    """Maintainer's signed notice that retires a block, an item or a whole sealed set.

    See ``evaluator.ledger.notices``.
    """

    item_set = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="notices")
    index = models.PositiveIntegerField()
    data: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    hash = models.CharField(max_length=64)
    received = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["item_set", "index"], name="notice_once_per_index"),
        )
        ordering = ("item_set", "index")

    def __str__(self) -> str:
        return f"{self.item_set_id} #{self.index}"


class RankedPairs(models.Manager["SetPair"]):
    """Pairs that are ranked. Practice pairs are left out."""

    def get_queryset(self) -> "models.QuerySet[SetPair]":
        """Return the pairs whose private set is sealed."""
        return super().get_queryset().filter(practice=False)


class Overlap(models.Model):
    """Published report of a public set's items that stand in a corpus.

    ``report`` are the counts of an ``evaluator.contract.OverlapReport``, without places, and
    ``digest`` the SHA-256 of that. ``model`` is the one whose score is taken apart; empty where the
    report has no score.
    """

    item_set = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="overlaps")
    corpus = models.CharField(max_length=120)
    address = models.URLField(max_length=300, blank=True)
    model = models.CharField(max_length=120, blank=True)
    report: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    digest = models.CharField(max_length=64)
    published_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("-pk",)
        constraints = (
            models.UniqueConstraint(
                fields=["item_set", "corpus", "model", "digest"], name="overlap_published_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.item_set_id}: {self.corpus}"

    def facts(self) -> OverlapReport:
        """Return the counts."""
        return OverlapReport.from_dict(self.report)


class SetPair(models.Model):
    """Public set and its sealed twin, asked with one protocol and graded by one grader.

    Both sets of a ``practice`` pair are public: its runs are shown at once, with prompts and
    answers, and are never ranked. ``objects`` has the ranked pairs only, so that a page, a board or
    an export has a practice pair only where it asks for one by ``with_practice``.

    Runs are graded by ``grader``. Once all of them have been graded again by another one,
    maintainers may rank by that one's outcomes: ``ranked_by``, empty until then. One grader always
    grades both sets.

    A submission may choose one of the ``also`` protocols; its run is not part of the ranking.

    With ``adaptive`` a listed endpoint is asked the sealed items that tell most, and only as many
    as its verdict needs, by the test of that name.

    ``twins_by`` is what made the two sets exchangeable by construction, by the manifest; empty
    where nothing did. Release, seasons and notices are the private set's, and so the same for every
    pair over it. ``stale`` is set by a notice, a retracted run or a release, until the ranking is
    rebuilt.

    A pair that was registered by mistake and has no ranked run may be withdrawn, for one of
    ``Withdrawal``'s reasons: it stays listed and takes no submissions.
    """

    class Withdrawal(models.TextChoices):
        """Reason for a withdrawal: one of a list, never free text."""

        WRONG_PROTOCOL = "wrong_protocol", "it names the wrong protocol"
        WRONG_GRADER = "wrong_grader", "it names the wrong grader"
        WRONG_SETS = "wrong_sets", "it pairs the wrong sets"
        DUPLICATE = "duplicate", "another pair is the same"
        NOT_NEEDED = "not_needed", "it is not needed any more"

    slug = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=120)
    public = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="as_public")
    private = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="as_private")
    protocol = models.CharField(max_length=80)
    also: "models.JSONField[list[str], list[str]]" = models.JSONField(default=list, blank=True)
    grader = models.CharField(max_length=80)
    ranked_by = models.CharField(max_length=80, blank=True)
    twins_by = models.CharField(
        max_length=9, blank=True, choices=[("generator", "generator"), ("split", "split")]
    )
    adaptive = models.CharField(
        max_length=20, blank=True, default="", choices=[(ADAPTIVE_1, ADAPTIVE_1)]
    )
    practice = models.BooleanField(default=False)
    stale = models.BooleanField(default=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(
        User, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    withdrawn_why = models.CharField(max_length=20, blank=True, choices=Withdrawal.choices)
    registered_at = models.DateTimeField(auto_now_add=True)

    objects = RankedPairs()
    with_practice: "ClassVar[models.Manager[SetPair]]" = models.Manager()

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=models.Q(practice=False)
                | models.Q(ranked_by="", twins_by="", adaptive=""),
                name="set_pair_for_practice_is_not_ranked",
            ),
            models.CheckConstraint(
                condition=~models.Q(public=models.F("private")),
                name="set_pair_has_two_different_sets",
            ),
            models.CheckConstraint(
                condition=models.Q(protocol__regex=NAME), name="set_pair_protocol_is_plain"
            ),
            models.CheckConstraint(
                condition=models.Q(grader__regex=NAME), name="set_pair_grader_is_plain"
            ),
            models.CheckConstraint(
                condition=models.Q(ranked_by="") | models.Q(ranked_by__regex=NAME),
                name="set_pair_ranked_by_is_plain",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    withdrawn_at__isnull=True, withdrawn_by__isnull=True, withdrawn_why=""
                )
                | models.Q(
                    withdrawn_at__isnull=False,
                    withdrawn_by__isnull=False,
                    withdrawn_why__in=[
                        "wrong_protocol",
                        "wrong_grader",
                        "wrong_sets",
                        "duplicate",
                        "not_needed",
                    ],
                ),
                name="set_pair_withdrawal_is_whole",
            ),
        )

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """Return the address of the pair's page; a practice pair stands on the page of them all."""
        if self.practice:
            return f"{reverse('practice')}#{self.slug}"
        return reverse("set-pair", args=[self.slug])

    @property
    def board_grader(self) -> str:
        """Grader whose outcomes are ranked."""
        return self.ranked_by or self.grader

    @property
    def state(self) -> str:
        """Return the release state of the private set."""
        return self.private.state

    @property
    def published_state(self) -> str:
        """State on pages and in the API: ``withdrawn``, or that of the private set."""
        return WITHDRAWN if self.withdrawn_at else self.state

    @property
    def season(self) -> int:
        """Return the number of blocks that self-declared endpoints were shown."""
        return self.private.season

    @property
    def successor(self) -> ItemSet | None:
        """Sealed set that takes the place of the private one."""
        return self.private.successor

    @property
    def evidence(self) -> dict[str, Any] | None:
        """Return the runs that the proposed release names."""
        return self.private.evidence

    @property
    def proposed_by(self) -> User | None:
        """Return the maintainer who proposed the release."""
        return self.private.proposed_by

    def sets(self) -> tuple[ItemSet, ItemSet]:
        """Return the public set, then the private one, which is public too on a practice pair."""
        return self.public, self.private

    def official(self) -> "SetPair | None":
        """Return the ranked pair that follows on a practice pair; None where none is open.

        It is the newest one over a set of this pair, else by its protocol, else of all.
        """
        is_alike = models.Q(public__in=[self.public_id, self.private_id])
        asks_alike = models.Q(protocol=self.protocol)
        rank = models.Case(
            models.When(is_alike, 0),
            models.When(asks_alike, 1),
            default=2,
        )
        pairs = SetPair.objects.filter(withdrawn_at=None).exclude(private__state=SetState.RELEASED)
        return pairs.order_by(rank, "-pk").first()

    def public_only(self) -> "SetPair | None":
        """Return the newest practice pair that asks the public set; None where none is open.

        A practice pair is its own.
        """
        if self.practice:
            return self
        pairs = SetPair.with_practice.filter(practice=True, withdrawn_at=None)
        has_it = models.Q(public=self.public_id)
        scores_it = models.Q(private=self.public_id)
        return pairs.filter(has_it | scores_it).order_by("-pk").first()


class SetStep(models.Model):
    """Record of one step of a sealed set's release. ``by`` is empty where the rule decided."""

    item_set = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="steps")
    old = models.CharField(max_length=10)
    new = models.CharField(max_length=10)
    by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    moment = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.item_set_id}: {self.old} → {self.new}"


class Release(models.Model):
    """Release of a set: the folder of its verified bundle, below HOLDFAST_RELEASES, and the signed
    statement."""

    item_set = models.OneToOneField(ItemSet, on_delete=models.PROTECT, related_name="release")
    folder = models.CharField(max_length=80)
    statement: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField()
    contents: "models.JSONField[dict[str, str], dict[str, str]]" = models.JSONField()
    published_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.item_set_id}: {self.folder}"
