"""A set on its way to release: the steps between its states, each taken by the rule, a maintainer or another one.

A step is an update that names the old state; the database holds the same table of steps.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from evaluator.contract import canonical_json
from evaluator.ledger.entries import entry_hash, read_line
from evaluator.ledger.releases import SignedStatement, Statement
from leaderboard.accounts.models import User
from leaderboard.benchmarks.actions import locked as lock_set
from leaderboard.benchmarks.models import ItemSet, Release, SetPair, SetStep
from leaderboard.benchmarks.states import STEPS, SetState
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.actions import keep_log
from leaderboard.ledger.models import Entry, Evaluator
from leaderboard.state_machine import check_step
from leaderboard.submissions.actions.evidence import Weighed, weigh

VERIFIER = settings.BASE_DIR / "verify" / "verify_release.py"
VERIFY_SECONDS = 900.0


def follow_rule(*, slug: str) -> SetState:
    """Take the step that the rule asks for, if any: to releasable once it is met, back to sealed once it is not."""
    with transaction.atomic():
        pair = _locked(slug)
        state = SetState(pair.state)
        if state is SetState.RELEASED:
            return state
        verdict = weigh(pair).verdict
        met = verdict is not None and verdict.met
        if met and state is SetState.SEALED:
            _step(pair, SetState.RELEASABLE)
        elif not met and state is not SetState.SEALED:
            _step(pair, SetState.SEALED, evidence=None, proposed_by=None)
        return SetState(pair.state)


def follow_rules() -> int:
    """Do so for every paired set that is not released: a date may have come. Returns how many were looked at."""
    pairs = SetPair.objects.exclude(private__state=SetState.RELEASED)
    slugs = dict(pairs.order_by("-pk").values_list("private", "slug"))
    for slug in slugs.values():
        follow_rule(slug=slug)
    return len(slugs)


def propose(*, slug: str, by: User) -> SetPair:
    """Freeze the evidence to be signed. Raises ``forbidden``, ``bad_step``, ``no_successor``."""
    return _decided(slug, by, SetState.RELEASABLE, _freeze)


def _freeze(pair: SetPair, by: User) -> None:
    heir = pair.successor
    # Named while it was sealed; it may be on its way to release by now.
    if heir is None or heir.state != SetState.SEALED:
        raise refuse(Refusal.NO_SUCCESSOR, heir.name if heir else "")
    frozen = json.loads(canonical_json(_still_met(pair).evidence.to_dict()))
    _step(pair, SetState.PROPOSED, by=by, evidence=frozen, proposed_by=by)


def _still_met(pair: SetPair) -> Weighed:
    weighed = weigh(pair)
    if weighed.verdict is None or not weighed.verdict.met:
        raise refuse(Refusal.BAD_STEP, "the rule is not met any more")
    return weighed


def withdraw(*, slug: str, by: User) -> SetPair:
    """Take a proposal back. Raises ``forbidden``, ``bad_step``."""
    return _decided(
        slug,
        by,
        SetState.PROPOSED,
        lambda pair, user: _step(
            pair, SetState.RELEASABLE, by=user, evidence=None, proposed_by=None
        ),
    )


def publish(*, slug: str, bundle: Path, by: User) -> Release:
    """Publish a verified bundle of the proposed release: copied, verified as a stranger would, then in one step.

    Raises ``forbidden``, ``bad_step`` also where the rule is no longer met, ``second_person`` for whoever proposed
    it, and ``bad_bundle``; then nothing of it stays but the lines of the log that it brought.
    """
    pair = SetPair.objects.select_related("private").filter(slug=slug).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    _second(pair, by)
    with _copied(bundle, slug) as folder:
        statement, contents = _verified(folder, pair)
        _keep_log(folder, SignedStatement.from_dict(statement).statement)
        with transaction.atomic():
            locked = _locked(slug)
            _second(locked, by)
            if locked.evidence != pair.evidence:
                raise refuse(Refusal.BAD_BUNDLE, "its evidence is not what is proposed now")
            _still_met(locked)
            release = Release.objects.create(
                item_set=locked.private,
                folder=folder.name,
                statement=statement,
                contents=contents,
                published_by=by,
            )
            _step(locked, SetState.RELEASED, by=by)
            locked.private.as_private.update(stale=True)
    return release


def _decided(
    slug: str, by: User, wanted: SetState, act: Callable[[SetPair, User], None]
) -> SetPair:
    with transaction.atomic():
        pair = _locked(slug)
        _may(pair, by, wanted)
        act(pair, by)
    return pair


def _may(pair: SetPair, by: User, wanted: SetState) -> None:
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    if pair.state != wanted:
        raise refuse(Refusal.BAD_STEP, pair.state)


def _second(pair: SetPair, by: User) -> None:
    _may(pair, by, SetState.PROPOSED)
    if pair.private.proposed_by_id == by.pk:
        raise refuse(Refusal.SECOND_PERSON)


def _locked(slug: str) -> SetPair:
    """The pair, with its private set locked: every pair over the set waits for the same lock."""
    pair = SetPair.objects.filter(slug=slug).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    pair.private = lock_set(pair.private_id)
    return pair


def _step(pair: SetPair, new: SetState, *, by: User | None = None, **changes: Any) -> None:
    """One step of the table: the update names the old state, and its count is checked."""
    item_set = pair.private
    old = SetState(item_set.state)
    check_step(STEPS, old, new)
    if ItemSet.objects.filter(pk=item_set.pk, state=old).update(state=new, **changes) != 1:
        raise refuse(Refusal.BAD_STEP, f"{old} is over")
    SetStep.objects.create(item_set=item_set, old=old, new=new, by=by)
    item_set.refresh_from_db()


def _keep_log(folder: Path, statement: Statement) -> None:
    """Bring the site's copy of the log up to the bundle's, so that the ledger shows the opening with the release.

    One that contradicts the copy is kept, as evidence, and refused.
    """
    evaluator = Evaluator.objects.filter(
        name=statement.evaluator.name, public_key=statement.evaluator.report_pub
    ).first()
    if evaluator is None:
        raise refuse(Refusal.BAD_BUNDLE, "it was opened by an evaluator that is not registered")
    lines = [
        read_line(json.loads(line)) for line in (folder / "log.jsonl").read_bytes().splitlines()
    ]
    keep_log(
        evaluator=evaluator, lines=lines, note=(folder / "log.head.txt").read_text(encoding="utf-8")
    )
    if not evaluator.entries.filter(
        entry_hash=entry_hash(lines[-1]), status=Entry.Status.CHAINED
    ).exists():
        raise refuse(Refusal.BAD_BUNDLE, "its log is not the one that the site knows")


@contextmanager
def _copied(bundle: Path, slug: str) -> Iterator[Path]:
    """A copy of the bundle below HOLDFAST_RELEASES under a name that no other has; gone again if the block fails."""
    try:
        settings.RELEASES.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{slug[:60]}-", dir=settings.RELEASES))
    except OSError:
        raise refuse(Refusal.BAD_BUNDLE, "it cannot be copied") from None
    try:
        _copy(bundle, folder)
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _copy(bundle: Path, folder: Path) -> None:
    try:
        shutil.copytree(bundle, folder, symlinks=True, dirs_exist_ok=True)
        folder.chmod(0o755)
    except OSError:
        raise refuse(Refusal.BAD_BUNDLE, "it cannot be copied") from None


def _verified(folder: Path, pair: SetPair) -> tuple[dict[str, Any], dict[str, str]]:
    """The signed statement and the list of contents of a bundle that holds, of this set and this evidence."""
    command = [sys.executable, "-I", str(VERIFIER), str(folder), "--root", pair.private.digest]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=VERIFY_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise refuse(
            Refusal.BAD_BUNDLE, f"not verified within {VERIFY_SECONDS:.0f} seconds"
        ) from None
    if done.returncode:
        raise refuse(Refusal.BAD_BUNDLE, done.stderr.strip()[-200:])
    if (folder / "manifest.json").read_bytes() != canonical_json(pair.private.manifest) + b"\n":
        raise refuse(Refusal.BAD_BUNDLE, "its manifest is not the registered one")
    if (folder / "evidence.json").read_bytes() != canonical_json(pair.evidence) + b"\n":
        raise refuse(Refusal.BAD_BUNDLE, "its evidence is not what was proposed")
    signed = SignedStatement.from_dict(json.loads((folder / "statement.json").read_bytes()))
    contents: dict[str, str] = json.loads((folder / "contents.json").read_bytes())
    return json.loads(canonical_json(signed.to_dict())), contents
