"""Steps of a sealed set's release, each taken by the rule, by a maintainer or by another one.

- ``follow_rule``: releasable once the rule is met, sealed again once it is not;
- ``propose`` and ``withdraw``: a maintainer freezes the evidence to be signed, or lifts that;
- ``publish``: another maintainer publishes the signed bundle, which is verified first.

A step is an update that names the old state; the database holds the same table of steps.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from evaluator.contract import canonical_json
from evaluator.ledger.entries import entry_hash, read_line
from evaluator.ledger.releases import SignedStatement, Statement
from leaderboard.accounts.models import User
from leaderboard.benchmarks.actions import lock_set
from leaderboard.benchmarks.models import ItemSet, Release, SetPair, SetStep
from leaderboard.benchmarks.states import STEPS, SetState
from leaderboard.errors import Refusal, refuse
from leaderboard.ledger.actions import store_log
from leaderboard.ledger.models import Entry, Evaluator
from leaderboard.state_machine import check_step
from leaderboard.submissions.actions.release_evidence import Weighed, weigh

VERIFIER = settings.BASE_DIR / "verify" / "verify_release.py"
VERIFY_SECONDS = 900.0


def follow_rule(*, slug: str) -> SetState:
    """Take the step that the rule asks for, if any, and return the state after it."""
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
    """Follow the rule of every paired set that is not released: its date may have come.

    Returns the number of sets.
    """
    pairs = SetPair.objects.exclude(private__state=SetState.RELEASED)
    slugs = dict(pairs.order_by("-pk").values_list("private", "slug"))
    for slug in slugs.values():
        follow_rule(slug=slug)
    return len(slugs)


def propose(*, slug: str, by: User) -> SetPair:
    """Freeze the evidence to be signed. Raises ``forbidden``, ``bad_step``, ``no_successor``."""
    with transaction.atomic():
        pair = _locked(slug)
        _check_state(pair, by, SetState.RELEASABLE)
        successor = pair.successor
        # Named while it was sealed; it may be on its way to release by now.
        if successor is None or successor.state != SetState.SEALED:
            raise refuse(Refusal.NO_SUCCESSOR, successor.name if successor else "")
        evidence = _met_evidence(pair).evidence
        frozen = json.loads(canonical_json(evidence.to_dict()))
        _step(pair, SetState.PROPOSED, by=by, evidence=frozen, proposed_by=by)
    return pair


def withdraw(*, slug: str, by: User) -> SetPair:
    """Withdraw a proposal. Raises ``forbidden``, ``bad_step``."""
    with transaction.atomic():
        pair = _locked(slug)
        _check_state(pair, by, SetState.PROPOSED)
        _step(pair, SetState.RELEASABLE, by=by, evidence=None, proposed_by=None)
    return pair


def publish(*, slug: str, bundle: Path, by: User) -> Release:
    """Publish the bundle of the proposed release: copy it, verify it, then release in one step.

    Raises ``forbidden``, ``second_person`` for the maintainer who proposed it, ``bad_bundle``, and
    ``bad_step`` also where the rule is no longer met. Then nothing of it stays but the log's
    entries that it brought.
    """
    pairs = SetPair.objects.select_related("private")
    pair = pairs.filter(slug=slug).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    _check_publisher(pair, by)
    with _copied(bundle, slug) as folder:
        statement, contents = _verified(folder, pair)
        _store_log(folder, SignedStatement.from_dict(statement).statement)
        with transaction.atomic():
            locked = _locked(slug)
            _check_publisher(locked, by)
            if locked.evidence != pair.evidence:
                raise refuse(Refusal.BAD_BUNDLE, "its evidence is not what is proposed now")
            _met_evidence(locked)
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


def _check_state(pair: SetPair, by: User, wanted: SetState) -> None:
    if not by.is_staff:
        raise refuse(Refusal.FORBIDDEN)
    if pair.state != wanted:
        raise refuse(Refusal.BAD_STEP, pair.state)


def _check_publisher(pair: SetPair, by: User) -> None:
    _check_state(pair, by, SetState.PROPOSED)
    if pair.private.proposed_by_id == by.pk:
        raise refuse(Refusal.SECOND_PERSON)


def _met_evidence(pair: SetPair) -> Weighed:
    """Return the evidence of this moment, over which the rule is met. Raises ``bad_step``."""
    weighed = weigh(pair)
    if weighed.verdict is None or not weighed.verdict.met:
        raise refuse(Refusal.BAD_STEP, "the rule is not met any more")
    return weighed


def _locked(slug: str) -> SetPair:
    """Return the pair with its private set locked: all pairs over the set wait for one lock."""
    pair = SetPair.objects.filter(slug=slug).first()
    if pair is None:
        raise refuse(Refusal.UNKNOWN_PAIR)
    pair.private = lock_set(pair.private_id)
    return pair


def _step(
    pair: SetPair,
    new: SetState,
    *,
    by: User | None = None,
    **changes: Any,
) -> None:
    """Take one step of the table: the update names the old state, and its count is checked."""
    item_set = pair.private
    old = SetState(item_set.state)
    check_step(STEPS, old, new)
    unmoved = ItemSet.objects.filter(pk=item_set.pk, state=old)
    if unmoved.update(state=new, **changes) != 1:
        raise refuse(Refusal.BAD_STEP, f"{old} is over")
    SetStep.objects.create(
        item_set=item_set,
        old=old,
        new=new,
        by=by,
    )
    item_set.refresh_from_db()


# --- the bundle


def _store_log(folder: Path, statement: Statement) -> None:
    """Extend the site's copy of the log to the bundle's, so that the ledger shows the opening.

    A log that contradicts the copy is stored, as evidence, and refused.
    """
    opened_by = statement.evaluator
    known = Evaluator.objects.filter(name=opened_by.name, public_key=opened_by.report_pub)
    evaluator = known.first()
    if evaluator is None:
        raise refuse(Refusal.BAD_BUNDLE, "it was opened by an evaluator that is not registered")
    log = (folder / "log.jsonl").read_bytes()
    lines = []
    for line in log.splitlines():
        lines.append(read_line(json.loads(line)))
    head = (folder / "log.head.txt").read_text(encoding="utf-8")
    store_log(evaluator=evaluator, lines=lines, notes=[head])
    chained = evaluator.entries.filter(status=Entry.Status.CHAINED)
    last = entry_hash(lines[-1])
    if not chained.filter(entry_hash=last).exists():
        raise refuse(Refusal.BAD_BUNDLE, "its log is not the one that the site knows")


@contextmanager
def _copied(bundle: Path, slug: str) -> Iterator[Path]:
    """Copy the bundle to a new folder below HOLDFAST_RELEASES, removed if the block fails."""
    try:
        settings.RELEASES.mkdir(parents=True, exist_ok=True)
        prefix = f"{slug[:60]}-"
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=settings.RELEASES))
    except OSError:
        raise refuse(Refusal.BAD_BUNDLE, "it cannot be copied") from None
    try:
        try:
            shutil.copytree(bundle, folder, symlinks=True, dirs_exist_ok=True)
            folder.chmod(0o755)
        except OSError:
            raise refuse(Refusal.BAD_BUNDLE, "it cannot be copied") from None
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _verified(folder: Path, pair: SetPair) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the signed statement and the list of contents of a bundle that verifies.

    It must be of this set and over the proposed evidence. Raises ``bad_bundle``.
    """
    command = [
        sys.executable,
        "-I",
        str(VERIFIER),
        str(folder),
        "--root",
        pair.private.digest,
    ]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=VERIFY_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        late = f"not verified within {VERIFY_SECONDS:.0f} seconds"
        raise refuse(Refusal.BAD_BUNDLE, late) from None
    if done.returncode:
        raise refuse(Refusal.BAD_BUNDLE, done.stderr.strip()[-200:])
    manifest = canonical_json(pair.private.manifest) + b"\n"
    if (folder / "manifest.json").read_bytes() != manifest:
        raise refuse(Refusal.BAD_BUNDLE, "its manifest is not the registered one")
    evidence = canonical_json(pair.evidence) + b"\n"
    if (folder / "evidence.json").read_bytes() != evidence:
        raise refuse(Refusal.BAD_BUNDLE, "its evidence is not what was proposed")
    written = (folder / "statement.json").read_bytes()
    signed = SignedStatement.from_dict(json.loads(written))
    statement = json.loads(canonical_json(signed.to_dict()))
    listed = (folder / "contents.json").read_bytes()
    contents: dict[str, str] = json.loads(listed)
    return statement, contents
