"""Release of a sealed set: progress of its rule, signatures, and the released files."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from evaluator.contract import canonical_json
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.releases import SignedStatement, statement_digest
from evaluator.ledger.rules import (
    ClauseState,
    Evidence,
    Rule,
    Short,
    Verdict,
    evidence_digest,
    in_words,
    moment_of,
    read_evidence,
    rule_digest,
)
from leaderboard.accounts.views import carry_out, maintainers_only, reader, signed_in_user
from leaderboard.benchmarks import exports
from leaderboard.benchmarks.forms import SuccessorForm
from leaderboard.benchmarks.models import Release, SetPair
from leaderboard.benchmarks.states import STEPS, SetState
from leaderboard.submissions import actions

MOST_SHORT = 10
"""Models that fall short of a clause, as many as the page lists."""
STATES = {
    SetState.SEALED: (
        "Sealed.",
        "Its questions are not public. The ledger records each time that one is shown to a model.",
    ),
    SetState.RELEASABLE: (
        "Releasable.",
        "The release rule is met. A maintainer may propose the release.",
    ),
    SetState.PROPOSED: (
        "Proposed.",
        "The evidence is frozen, for the maintainers to sign offline.",
    ),
    SetState.RELEASED: ("Released.", "Anybody can download and verify it."),
}
"""Each state of a sealed set and the sentence that explains it."""


@dataclass(frozen=True)
class ClauseProgress:
    """Progress of one clause of the rule.

    ``short`` are the models that fall short of it, ``more`` is the number of those that are not
    listed. ``days`` are left until the clause's date, at least one.
    """

    words: str
    state: ClauseState
    short: tuple[Short, ...]
    more: int
    days: int = 0

    @property
    def missing(self) -> int:
        """Number of models that are missing."""
        return self.state.wanted - len(self.state.models)

    @property
    def beyond_bound(self) -> int:
        """Number of models that count whose whole 95% interval lies above the clause's share."""
        return sum(score.is_beyond_bound for score in self.state.scores)


@dataclass(frozen=True)
class PathStep:
    """A state on the way to the release, and the moment at which the set reached it, if it has."""

    state: SetState
    moment: datetime | None
    is_current: bool


def clause_progress(rule: Rule, evidence: Evidence, verdict: Verdict) -> tuple[ClauseProgress, ...]:
    """Return the progress of each clause of the rule, from its verdict over the evidence."""
    now = moment_of(evidence.moment)
    clauses = []
    for clause, state in zip(rule.any_of, verdict.clauses, strict=True):
        days = 0
        if state.moment and not state.met:
            days = (moment_of(state.moment) - now).days + 1
        clauses.append(
            ClauseProgress(
                words=in_words(Rule(any_of=(clause,))),
                state=state,
                short=state.short[:MOST_SHORT],
                more=max(0, len(state.short) - MOST_SHORT),
                days=days,
            )
        )
    return tuple(clauses)


@require_safe
def release(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the progress of a release, its signed statement, and the released files."""
    pair = get_object_or_404(pairs_with_release(), slug=slug)
    manifest = pair.private.facts()
    context = pair_context(pair)
    context["manifest"] = manifest
    context["path"] = path_steps(pair)
    if manifest:
        context |= evidence_context(pair, manifest)
        context["digest"] = manifest.digest()
        context["rule_digest"] = rule_digest(manifest.rule) if manifest.rule else ""
        has_further = pair.season + 1 < len(manifest.seasons)
        # The season that can be opened next, from 1.
        context["next_season"] = pair.season + 2 if has_further else None
    context |= release_context(pair)
    user = reader(request)
    if user is not None and user.is_staff:
        context["successor_form"] = SuccessorForm(pair=pair)
    return render(request, "submissions/release.html", context)


@require_safe
def evidence(request: HttpRequest, slug: str) -> HttpResponse:
    """Send the evidence that maintainers sign: the frozen one, else that of this moment.

    The bytes are those of the bundle's file.
    """
    pair = get_object_or_404(pairs_with_release(), slug=slug)
    data = pair.evidence or actions.weigh(pair).evidence.to_dict()
    headers = {"Content-Disposition": 'attachment; filename="evidence.json"'}
    content = canonical_json(data) + b"\n"
    return HttpResponse(content, content_type="application/json", headers=headers)


@maintainers_only
@require_POST
def propose(request: HttpRequest, slug: str) -> HttpResponse:
    """Propose the release, which freezes its evidence."""
    pair = get_object_or_404(SetPair, slug=slug)
    by = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.propose(slug=pair.slug, by=by),
        done="The release is proposed.",
    )
    return redirect("set-release", slug)


@maintainers_only
@require_POST
def withdraw(request: HttpRequest, slug: str) -> HttpResponse:
    """Withdraw the proposal of a release."""
    pair = get_object_or_404(SetPair, slug=slug)
    by = signed_in_user(request)
    carry_out(
        request,
        lambda: actions.withdraw(slug=pair.slug, by=by),
        done="The proposal is withdrawn.",
    )
    return redirect("set-release", slug)


def pairs_with_release() -> QuerySet[SetPair]:
    """Return all pairs, with what their pages show of the release."""
    return SetPair.objects.select_related(
        "public", "private__successor", "private__proposed_by", "withdrawn_by"
    )


def pair_context(pair: SetPair) -> dict[str, Any]:
    """Return the facts on every page of a pair: state, past steps, other pairs over the set."""
    steps = []
    for step in pair.private.steps.select_related("by").order_by("pk"):
        known = STEPS[SetState(step.old), SetState(step.new)]
        steps.append({"step": step, "why": known.why})
    over_set = SetPair.objects.filter(private=pair.private)
    return {
        "pair": pair,
        "words": STATES[SetState(pair.state)],
        "steps": steps,
        "others": over_set.exclude(pk=pair.pk).order_by("pk"),
        "section": "sets",
    }


def evidence_context(pair: SetPair, manifest: Manifest) -> dict[str, Any]:
    """Return the evidence that counts, and the progress of each clause."""
    frozen = read_evidence(pair.evidence) if pair.evidence else None
    counting = actions.standing(pair)
    evidence = counting.evidence
    verdict = counting.verdict
    clauses: Sequence[ClauseProgress] = ()
    if manifest.rule and verdict:
        clauses = clause_progress(manifest.rule, evidence, verdict)
    return {
        "clauses": clauses,
        "met": bool(verdict and verdict.met),
        "weighed_at": moment_of(evidence.moment),
        "evidence_digest": evidence_digest(frozen) if frozen else "",
    }


def path_steps(pair: SetPair) -> Sequence[PathStep]:
    """Return the states in order. One that the set has left backwards counts as not reached."""
    moments = {"sealed": pair.private.registered_at}
    for step in pair.private.steps.order_by("pk"):
        moments[step.new] = step.moment
    order = list(SetState)
    reached = order.index(SetState(pair.state))
    path = []
    for place, state in enumerate(order):
        moment = moments.get(state) if place <= reached else None
        path.append(PathStep(state, moment, is_current=place == reached))
    return path


def release_context(pair: SetPair) -> dict[str, Any]:
    """Return the published release and its files; nothing before there is one."""
    releases = Release.objects.filter(item_set=pair.private).select_related("published_by")
    released = releases.first()
    if released is None:
        return {}
    signed = SignedStatement.from_dict(released.statement)
    return {
        "release": released,
        "signed": signed,
        "statement_digest": statement_digest(signed.statement),
        "files": exports.files(released),
    }
