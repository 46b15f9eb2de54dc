"""A set on its way to release: the evidence from committed runs, the rule, and the steps between the states.

Whoever gathers the facts stands here; the rule itself is pure (``evaluator.ledger.rules``). A step is an update that
names the old state; the database holds the same table of steps.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now

from evaluator.contract import canonical_json
from evaluator.ledger.notices import retired
from evaluator.ledger.releases import SignedStatement
from evaluator.ledger.rules import Evidence, LineageFact, RunFact, Verdict, decide
from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import PairStep, Release, SetPair
from leaderboard.benchmarks.states import PairState, check_step
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.models import Entry
from leaderboard.submissions.models import Lineage, Run, RunOutcomes
from leaderboard.submissions.states import RunState

VERIFIER = settings.BASE_DIR / "verify" / "verify_release.py"
VERIFY_SECONDS = 900.0


@dataclass(frozen=True)
class Weighed:
    """What the evidence says at a moment; None without a rule."""

    evidence: Evidence
    verdict: Verdict | None


def gather(pair: SetPair, *, moment: datetime) -> Evidence:
    """The facts of the newest complete run of each model on the pair's private set, and all lineages."""
    lineages = Lineage.objects.prefetch_related("parents").order_by("name")
    return Evidence(
        set=pair.private.name,
        root=pair.private.digest,
        moment=moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        runs=tuple(_facts(pair)),
        lineages=tuple(
            LineageFact(name=one.name, parents=tuple(sorted(parent.name for parent in one.parents.all())))
            for one in lineages
        ),
    )


def _facts(pair: SetPair) -> Iterator[RunFact]:
    newest = (
        Run.objects.filter(submission__pair=pair, state__in=(RunState.GRADED, RunState.RANKED), post_release=False)
        .select_related("submission__model__lineage", "evaluator")
        .order_by("submission__model__name", "-queued_at", "-pk")
        .distinct("submission__model__name")
    )
    manifest = pair.private.facts()
    gone = retired(manifest, pair.private.signed_notices()) if manifest else frozenset()
    terms = manifest.terms if manifest else None
    stored = {one.run_id: one for one in RunOutcomes.objects.filter(run__in=list(newest), item_set=pair.private)}
    for run in newest:
        counts = stored[run.pk].counts_over(gone)
        model = run.submission.model
        yield RunFact(
            run=str(run.pk),
            model=model.name,
            lineage=model.lineage.name if model.lineage else None,
            open_weights=model.open_weights,
            tier=run.tier,  # type: ignore[arg-type]
            n=counts.n,
            assigned=counts.n,
            right=counts.right,
            complete=stored[run.pk].is_complete,
            retracted=run.retracted,
            flagged=run.evaluator is None or run.evaluator.flagged,
            current=terms is None or run.protocol_digest == terms.protocol_digest,
            closings=_closings(run, pair),
        )


def _closings(run: Run, pair: SetPair) -> tuple[str, ...]:
    lines = Entry.objects.filter(run=run.pk, kind="closing", set_name=pair.private.name, status=Entry.Status.CHAINED)
    return tuple(lines.order_by("pk").values_list("entry_hash", flat=True))


def weigh(pair: SetPair) -> Weighed:
    """Hold the evidence of this moment, by the database's clock, against the set's rule. Changes nothing."""
    now = SetPair.objects.annotate(now=Now()).values_list("now", flat=True).get(pk=pair.pk)
    evidence = gather(pair, moment=now)
    manifest = pair.private.facts()
    rule = manifest.rule if manifest else None
    return Weighed(evidence, decide(rule, evidence, now=now) if rule else None)


def follow_rule(*, slug: str) -> PairState:
    """Take the step that the rule asks for, if any: to releasable once it is met, back to sealed once it is not."""
    with transaction.atomic():
        pair = _locked(slug)
        state = PairState(pair.state)
        if state is PairState.RELEASED:
            return state
        verdict = weigh(pair).verdict
        met = verdict is not None and verdict.met
        if met and state is PairState.SEALED:
            _step(pair, PairState.RELEASABLE)
        elif not met and state is not PairState.SEALED:
            _step(pair, PairState.SEALED, evidence=None, proposed_by=None)
        return PairState(pair.state)


def follow_rules() -> int:
    """Do so for every pair that is not released: a date may have come. Returns how many were looked at."""
    slugs = list(SetPair.objects.exclude(state=PairState.RELEASED).values_list("slug", flat=True))
    for slug in slugs:
        follow_rule(slug=slug)
    return len(slugs)


def propose(*, slug: str, by: User) -> SetPair:
    """Freeze the evidence to be signed. Raises ``forbidden``, ``bad_step``, ``no_successor``."""
    return _decided(slug, by, PairState.RELEASABLE, _freeze)


def _freeze(pair: SetPair, by: User) -> None:
    if pair.successor is None:
        raise refuse(Refusal.NO_SUCCESSOR)
    weighed = weigh(pair)
    if weighed.verdict is None or not weighed.verdict.met:
        raise refuse(Refusal.BAD_STEP, "the rule is not met any more")
    frozen = json.loads(canonical_json(weighed.evidence.to_dict()))
    _step(pair, PairState.PROPOSED, by=by, evidence=frozen, proposed_by=by)


def withdraw(*, slug: str, by: User) -> SetPair:
    """Take a proposal back. Raises ``forbidden``, ``bad_step``."""
    return _decided(
        slug,
        by,
        PairState.PROPOSED,
        lambda pair, user: _step(pair, PairState.RELEASABLE, by=user, evidence=None, proposed_by=None),
    )


def publish(*, slug: str, bundle: Path, by: User) -> Release:
    """Publish a verified bundle of the proposed release: copied, verified as a stranger would, then in one step.

    Raises ``forbidden``, ``bad_step``, ``second_person`` for whoever proposed it, and ``bad_bundle``; then nothing
    of it stays.
    """
    pair = SetPair.objects.select_related("private").filter(slug=slug).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    _second(pair, by)
    folder = settings.RELEASES / f"{slug}-{pair.private.digest[:16]}"
    draft = _copy(bundle)
    try:
        statement, contents = _verified(draft, pair)
        with transaction.atomic():
            locked = _locked(slug)
            _second(locked, by)
            release = Release.objects.create(
                pair=locked, folder=folder.name, statement=statement, contents=contents, published_by=by
            )
            _step(locked, PairState.RELEASED, by=by)
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return release


def _decided(slug: str, by: User, wanted: PairState, act: Callable[[SetPair, User], None]) -> SetPair:
    with transaction.atomic():
        pair = _locked(slug)
        _may(pair, by, wanted)
        act(pair, by)
    return pair


def _may(pair: SetPair, by: User, wanted: PairState) -> None:
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    if pair.state != wanted:
        raise refuse(Refusal.BAD_STEP, pair.state)


def _second(pair: SetPair, by: User) -> None:
    _may(pair, by, PairState.PROPOSED)
    if pair.proposed_by_id == by.pk:
        raise refuse(Refusal.SECOND_PERSON)


def _locked(slug: str) -> SetPair:
    pair = SetPair.objects.select_for_update(of=("self",)).select_related("private").filter(slug=slug).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    return pair


def _step(pair: SetPair, new: PairState, *, by: User | None = None, **changes: Any) -> None:
    """One step of the table: the update names the old state, and its count is checked."""
    old = PairState(pair.state)
    check_step(old, new)
    if SetPair.objects.filter(pk=pair.pk, state=old).update(state=new, **changes) != 1:
        raise refuse(Refusal.BAD_STEP, f"{old} is over")
    PairStep.objects.create(pair=pair, old=old, new=new, by=by)
    pair.refresh_from_db()


def _copy(bundle: Path) -> Path:
    try:
        settings.RELEASES.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=settings.RELEASES))
        shutil.copytree(bundle, draft, symlinks=True, dirs_exist_ok=True)
        draft.chmod(0o755)
    except OSError:
        raise refuse(Refusal.BAD_BUNDLE, "it cannot be copied") from None
    return draft


def _verified(draft: Path, pair: SetPair) -> tuple[dict[str, Any], dict[str, str]]:
    """The signed statement and the list of contents of a bundle that holds, of this set and this evidence."""
    command = [sys.executable, "-I", str(VERIFIER), str(draft), "--root", pair.private.digest]
    done = subprocess.run(command, capture_output=True, text=True, timeout=VERIFY_SECONDS, check=False)
    if done.returncode:
        raise refuse(Refusal.BAD_BUNDLE, done.stderr.strip()[-200:])
    if (draft / "manifest.json").read_bytes() != canonical_json(pair.private.manifest) + b"\n":
        raise refuse(Refusal.BAD_BUNDLE, "its manifest is not the registered one")
    if (draft / "evidence.json").read_bytes() != canonical_json(pair.evidence) + b"\n":
        raise refuse(Refusal.BAD_BUNDLE, "its evidence is not what was proposed")
    signed = SignedStatement.from_dict(json.loads((draft / "statement.json").read_bytes()))
    contents: dict[str, str] = json.loads((draft / "contents.json").read_bytes())
    return json.loads(canonical_json(signed.to_dict())), contents
