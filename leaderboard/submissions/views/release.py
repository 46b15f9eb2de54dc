"""The page of a pair: what was promised, how far its release rule is; and the page of its release."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from evaluator.contract import canonical_json
from evaluator.errors import EvaluatorError
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.notes import open_note
from evaluator.ledger.notices import named, waiting
from evaluator.ledger.releases import SignedStatement, statement_digest
from evaluator.ledger.rules import (
    ClauseState,
    Evidence,
    Rule,
    Short,
    Verdict,
    decide,
    evidence_digest,
    in_words,
    moment_of,
    read_evidence,
    rule_digest,
)
from leaderboard.accounts.models import User
from leaderboard.accounts.views import carry_out, maintainers_only
from leaderboard.benchmarks import actions as benchmarks
from leaderboard.benchmarks import charts, exports
from leaderboard.benchmarks.forms import PairForm, SuccessorForm, WithdrawalForm
from leaderboard.benchmarks.models import ItemSet, Release, SetPair
from leaderboard.benchmarks.states import STEPS, SetState
from leaderboard.errors import SiteError
from leaderboard.submissions import actions

SHOWN_SHORT = 10
WORDS = {
    SetState.SEALED: (
        "Sealed.",
        "Its questions are not public. Whenever one is shown, the ledger says to whom.",
    ),
    SetState.RELEASABLE: ("Releasable.", "The rule is met. A maintainer may propose the release."),
    SetState.PROPOSED: (
        "Proposed.",
        "The evidence is frozen, for the maintainers to sign offline.",
    ),
    SetState.RELEASED: ("Released.", "Everybody can read all of it, and check it."),
}
REASONS = {
    "spent": "shown often enough",
    "leaked": "seen where it should not be",
    "key_lost": "a key was lost",
    "wrong_gold": "its answer was wrong",
    "ambiguous": "it can be read in two ways",
    "duplicate": "it was there twice",
}


@dataclass(frozen=True)
class Clause:
    """How far one clause of the rule is, for a reader. ``days`` are those until its date, at least one."""

    words: str
    state: ClauseState
    short: tuple[Short, ...]
    more: int
    days: int = 0

    @property
    def missing(self) -> int:
        """How many models are missing."""
        return self.state.wanted - len(self.state.models)


@dataclass(frozen=True)
class Happened:
    """A state on the way to the release, and when the pair came to it; None where it is not there (any more)."""

    state: SetState
    moment: datetime | None
    now: bool


def progress(rule: Rule, evidence: Evidence, verdict: Verdict) -> tuple[Clause, ...]:
    """Each clause of the rule with its state in the verdict over this evidence."""
    now = moment_of(evidence.moment)
    found = []
    for clause, state in zip(rule.any_of, verdict.clauses, strict=True):
        words, more = in_words(Rule(any_of=(clause,))), max(0, len(state.short) - SHOWN_SHORT)
        days = (moment_of(state.moment) - now).days + 1 if state.moment and not state.met else 0
        found.append(Clause(words, state, state.short[:SHOWN_SHORT], more, days))
    return tuple(found)


@require_safe
def set_pair(request: HttpRequest, slug: str) -> HttpResponse:
    """What was committed to, what has been retired, and how far the release rule is."""
    pair = get_object_or_404(_pairs(), slug=slug)
    manifest = pair.private.facts()
    context = _about(pair) | {
        "manifest": manifest,
        "versions": pair.private.signed_notices(),
        "reasons": REASONS,
    }
    if manifest:
        context |= (
            _evidence(pair, manifest)
            | _commitment(pair.private, manifest)
            | _division(pair, manifest)
        )
    return render(request, "submissions/set_pair.html", context)


@require_safe
def release(request: HttpRequest, slug: str) -> HttpResponse:
    """How far the release is, what is signed for it, and once it is there all that belongs to it."""
    pair = get_object_or_404(_pairs(), slug=slug)
    manifest = pair.private.facts()
    context = _about(pair) | {"manifest": manifest, "path": _path(pair)}
    if manifest:
        context |= _evidence(pair, manifest) | {"digest": manifest.digest()}
        context["rule_digest"] = rule_digest(manifest.rule) if manifest.rule else ""
        context["next_season"] = (
            pair.season + 2 if pair.season + 1 < len(manifest.seasons) else None
        )
    if (
        released := Release.objects.filter(item_set=pair.private)
        .select_related("published_by")
        .first()
    ):
        signed = SignedStatement.from_dict(released.statement)
        context |= {
            "release": released,
            "signed": signed,
            "statement_digest": statement_digest(signed.statement),
        }
        context["files"] = exports.files(released)
    if cast("User", request.user).is_staff:
        context["successor_form"] = SuccessorForm(pair=pair)
    return render(request, "submissions/release.html", context)


@require_safe
def evidence(request: HttpRequest, slug: str) -> HttpResponse:
    """What maintainers sign: the frozen evidence, else that of this moment. The bytes are those of a bundle's file."""
    pair = get_object_or_404(_pairs(), slug=slug)
    data = pair.evidence or actions.weigh(pair).evidence.to_dict()
    headers = {"Content-Disposition": 'attachment; filename="evidence.json"'}
    return HttpResponse(
        canonical_json(data) + b"\n", content_type="application/json", headers=headers
    )


@maintainers_only
@require_POST
def propose(request: HttpRequest, slug: str) -> HttpResponse:
    """Freeze the evidence."""
    pair, by = get_object_or_404(SetPair, slug=slug), cast("User", request.user)
    carry_out(
        request, lambda: actions.propose(slug=pair.slug, by=by), done="The release is proposed."
    )
    return redirect("set-release", slug)


@maintainers_only
@require_POST
def withdraw(request: HttpRequest, slug: str) -> HttpResponse:
    """Take the proposal back."""
    pair, by = get_object_or_404(SetPair, slug=slug), cast("User", request.user)
    carry_out(
        request, lambda: actions.withdraw(slug=pair.slug, by=by), done="The proposal is withdrawn."
    )
    return redirect("set-release", slug)


@maintainers_only
@require_http_methods(["GET", "HEAD", "POST"])
def register_pair(request: HttpRequest) -> HttpResponse:
    """Pair a sealed set with a public one, in two pages: the facts, then all that will be fixed by them."""
    known = ItemSet.objects.filter(
        sealed=True, name=request.GET.get("private", "").replace("\0", "")
    ).first()
    form = PairForm(request.POST) if request.method == "POST" else PairForm(initial=_usual(known))
    status = 422 if form.is_bound and not form.is_valid() else 200
    if form.is_bound and form.is_valid():
        try:
            if request.POST.get("confirmed"):
                return redirect("pair-registered", benchmarks.register_pair(**form.facts()).slug)
            made = benchmarks.check_pair(**form.facts())
            context = {"form": form, "made": made, "manifest": made.private.facts()}
            return render(request, "submissions/confirm_pair.html", context)
        except SiteError as failure:
            form.add_error(None, failure.advised())
            status = failure.status
    context = {"form": form, "known": known}
    if known and (manifest := known.facts()):
        context |= {"manifest": manifest} | _commitment(known, manifest)
    return render(request, "submissions/register_pair.html", context, status=status)


@maintainers_only
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw_pair(request: HttpRequest, slug: str) -> HttpResponse:
    """Withdraw a pair that has no results, for ever and in public."""
    pair, by = get_object_or_404(_pairs(), slug=slug), cast("User", request.user)
    form = WithdrawalForm(request.POST or None)
    if form.is_valid():
        reason = form.cleaned_data["reason"]
        carry_out(
            request,
            lambda: actions.withdraw_pair(slug=pair.slug, reason=reason, by=by),
            done="The pair is withdrawn.",
        )
        return redirect("set-pair", slug)
    context = {"pair": pair, "form": form, "section": "sets"}
    return render(
        request, "submissions/withdraw_pair.html", context, status=422 if form.errors else 200
    )


@maintainers_only
@require_safe
def registered(request: HttpRequest, slug: str) -> HttpResponse:
    """What was committed to with a pair, and whether models that are known already would meet its rule at once."""
    pair = get_object_or_404(_pairs(), slug=slug)
    manifest = pair.private.facts()
    context = _about(pair) | {"manifest": manifest, "forecast": actions.forecast(pair).verdict}
    if manifest:
        context |= _commitment(pair.private, manifest)
    return render(request, "submissions/registered.html", context)


def _usual(known: ItemSet | None) -> dict[str, str]:
    terms = known.facts() if known else None
    asked = (
        {"protocol": terms.terms.protocol, "grader": terms.terms.grader}
        if terms and terms.terms
        else {}
    )
    return asked | ({"private": known.name} if known else {})


def _pairs() -> QuerySet[SetPair]:
    return SetPair.objects.select_related(
        "public", "private__successor", "private__proposed_by", "withdrawn_by"
    )


def _about(pair: SetPair) -> dict[str, Any]:
    steps = [
        {"step": one, "why": STEPS[SetState(one.old), SetState(one.new)].why}
        for one in pair.private.steps.select_related("by").order_by("pk")
    ]
    others = SetPair.objects.filter(private=pair.private).exclude(pk=pair.pk).order_by("pk")
    words = WORDS[SetState(pair.state)]
    return {"pair": pair, "words": words, "steps": steps, "others": others, "section": "sets"}


def _path(pair: SetPair) -> Sequence[Happened]:
    """The states in order. One that was left backwards has not been reached."""
    came = {one.new: one.moment for one in pair.private.steps.order_by("pk")} | {
        "sealed": pair.private.registered_at
    }
    order = list(SetState)
    reached = order.index(SetState(pair.state))
    return [
        Happened(state, came.get(state) if place <= reached else None, place == reached)
        for place, state in enumerate(order)
    ]


def _evidence(pair: SetPair, manifest: Manifest) -> dict[str, Any]:
    """The evidence that counts, frozen or of this moment, and how far each clause of the rule is by it.

    Of a released set nothing is weighed again: what was signed is what its release rests on.
    """
    frozen = read_evidence(pair.evidence) if pair.evidence else None
    if frozen and pair.state == SetState.RELEASED:
        held, verdict = (
            frozen,
            decide(manifest.rule, frozen, now=moment_of(frozen.moment)) if manifest.rule else None,
        )
    else:
        weighed = actions.weigh(pair)
        held, verdict = weighed.evidence, weighed.verdict
    clauses = progress(manifest.rule, held, verdict) if manifest.rule and verdict else ()
    return {
        "clauses": clauses,
        "met": bool(verdict and verdict.met),
        "weighed_at": moment_of(held.moment),
        "evidence_digest": evidence_digest(frozen) if frozen else "",
    }


def _commitment(item_set: ItemSet, manifest: Manifest) -> dict[str, Any]:
    """Who signed the head of the set, and who cosigned it when; nobody where there is no head that verifies."""
    try:
        cosigned = manifest.verify_note(item_set.head) if item_set.head else {}
        names = (
            {one.name for one in open_note(item_set.head).signatures} if item_set.head else set()
        )
    except EvaluatorError:
        cosigned, names = {}, set()
    return {
        "digest": manifest.digest(),
        "signers": [party.name for party in manifest.maintainers if party.name in names],
        "cosigned": [
            (name, datetime.fromtimestamp(seen, UTC)) for name, seen in sorted(cosigned.items())
        ],
        "created": moment_of(manifest.created),
    }


def _division(pair: SetPair, manifest: Manifest) -> dict[str, Any]:
    notices = pair.private.signed_notices()
    shown = charts.parts(manifest, notices)
    waits = waiting(manifest, notices)
    told = [
        {
            "notice": one,
            "reason": REASONS[one.reason],
            "moment": moment_of(one.moment),
            "waits": bool(items & waits),
        }
        for one, items in zip(notices, named(manifest, notices), strict=True)
    ]
    return {
        "strip": charts.strip(shown, season=pair.season + 1),
        "parts": shown,
        "strata": charts.strata(manifest, notices),
        "notices": told,
        "waits": len(waits),
        "season": pair.season + 1,
    }
