"""Page of a pair of sets with its commitment; registering and withdrawing pairs."""

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from evaluator.errors import EvaluatorError
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.notes import open_note
from evaluator.ledger.notices import named, waiting
from evaluator.ledger.rules import moment_of
from leaderboard.accounts.views import carry_out, maintainers_only, signed_in_user
from leaderboard.benchmarks import actions as benchmarks
from leaderboard.benchmarks import charts
from leaderboard.benchmarks.forms import PairForm, WithdrawalForm
from leaderboard.benchmarks.models import ItemSet, SetPair
from leaderboard.benchmarks.overlaps import overlaps_of
from leaderboard.errors import SiteError
from leaderboard.submissions import actions
from leaderboard.submissions.views.release import (
    evidence_context,
    pair_context,
    pairs_with_release,
)

REASONS = {
    "spent": "shown often enough",
    "leaked": "seen where it should not be",
    "key_lost": "a key was lost",
    "wrong_gold": "its gold answer was wrong",
    "ambiguous": "it is ambiguous",
    "duplicate": "it is a duplicate",
}
"""Reasons of the maintainers' notices."""
KINDS: dict[str, str] = {
    "number": "a number",
    "expression": "a mathematical expression",
    "choice": "the letter of a choice",
    "program": "a value that a Python program returns",
    "tests": "a Python program that passes hidden unit tests",
}
"""Answer to an item of each kind."""


@require_safe
def set_pair(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a pair's commitment, its retired blocks and items, and the release rule's progress."""
    pair = get_object_or_404(pairs_with_release(), slug=slug)
    manifest = pair.private.facts()
    context = pair_context(pair)
    context["manifest"] = manifest
    context["overlaps"] = overlaps_of(pair.public)
    if manifest:
        context |= evidence_context(pair, manifest)
        context |= commitment_context(pair.private, manifest)
        context |= blocks_context(pair, manifest)
    return render(request, "submissions/set_pair.html", context)


@maintainers_only
@require_http_methods(["GET", "HEAD", "POST"])
def register_pair(request: HttpRequest) -> HttpResponse:
    """Pair a sealed set with a public one, in two pages: the facts, then a confirmation.

    Nothing is stored before the second is sent.
    """
    name = request.GET.get("private", "").replace("\0", "")
    sealed_set = ItemSet.objects.filter(sealed=True, name=name).first()
    if request.method != "POST":
        form = PairForm(initial=initial_facts(sealed_set))
        return _pair_form_page(request, form, sealed_set)
    form = PairForm(request.POST)
    if not form.is_valid():
        return _pair_form_page(request, form, sealed_set, status=422)
    try:
        if request.POST.get("confirmed"):
            registered_pair = benchmarks.register_pair(**form.facts())
            return redirect("pair-registered", registered_pair.slug)
        pair = benchmarks.check_pair(**form.facts())
    except SiteError as failure:
        form.add_error(None, failure.advised())
        return _pair_form_page(request, form, sealed_set, status=failure.status)
    context = {"form": form, "made": pair, "manifest": pair.private.facts()}
    return render(request, "submissions/confirm_pair.html", context)


def initial_facts(sealed_set: ItemSet | None) -> dict[str, str]:
    """Return the fields that a sealed set fixes: its name, and a committed protocol and grader."""
    if sealed_set is None:
        return {}
    facts = {"private": sealed_set.name}
    manifest = sealed_set.facts()
    if manifest and manifest.terms:
        facts |= {"protocol": manifest.terms.protocol, "grader": manifest.terms.grader}
    return facts


def _pair_form_page(
    request: HttpRequest, form: PairForm, sealed_set: ItemSet | None, *, status: int = 200
) -> HttpResponse:
    context: dict[str, Any] = {"form": form, "known": sealed_set}
    manifest = sealed_set.facts() if sealed_set else None
    if sealed_set and manifest:
        context["manifest"] = manifest
        context |= commitment_context(sealed_set, manifest)
    return render(request, "submissions/register_pair.html", context, status=status)


@maintainers_only
@require_safe
def registered(request: HttpRequest, slug: str) -> HttpResponse:
    """Show a new pair's commitment, and a warning if known models would meet its rule at once."""
    pair = get_object_or_404(pairs_with_release(), slug=slug)
    manifest = pair.private.facts()
    context = pair_context(pair)
    context["manifest"] = manifest
    context["forecast"] = actions.forecast(pair).verdict
    if manifest:
        context |= commitment_context(pair.private, manifest)
    return render(request, "submissions/registered.html", context)


@maintainers_only
@require_http_methods(["GET", "HEAD", "POST"])
def withdraw_pair(request: HttpRequest, slug: str) -> HttpResponse:
    """Withdraw a pair that has no results, in public and for good."""
    pair = get_object_or_404(pairs_with_release(), slug=slug)
    by = signed_in_user(request)
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
    status = 422 if form.errors else 200
    return render(request, "submissions/withdraw_pair.html", context, status=status)


def commitment_context(item_set: ItemSet, manifest: Manifest) -> dict[str, Any]:
    """Return the signers and cosigners of the set's tree head; none where it is not valid."""
    cosigned: dict[str, int] = {}
    names: set[str] = set()
    if item_set.head:
        try:
            cosigned = dict(manifest.verify_note(item_set.head))
            note = open_note(item_set.head)
            names = {signature.name for signature in note.signatures}
        except EvaluatorError:
            cosigned = {}
    cosigners = []
    for name, seen in sorted(cosigned.items()):
        cosigners.append((name, datetime.fromtimestamp(seen, UTC)))
    return {
        "digest": manifest.digest(),
        "kind": KINDS[manifest.item_kind()],
        "signers": [party.name for party in manifest.maintainers if party.name in names],
        "cosigned": cosigners,
        "created": moment_of(manifest.created),
    }


def blocks_context(pair: SetPair, manifest: Manifest) -> dict[str, Any]:
    """Return the set's blocks, and the notices that retired some of its items."""
    signed = pair.private.signed_notices()
    parts = charts.parts(manifest, signed)
    still_counting = waiting(manifest, signed)
    notices = []
    for notice, items in zip(signed, named(manifest, signed), strict=True):
        notices.append(
            {
                "notice": notice,
                "reason": REASONS[notice.reason],
                "moment": moment_of(notice.moment),
                "waits": bool(items & still_counting),
            }
        )
    return {
        "strip": charts.strip(parts, season=pair.season + 1),
        "parts": parts,
        "strata": charts.strata(manifest, signed),
        "notices": notices,
        "waits": len(still_counting),
        "season": pair.season + 1,
    }
