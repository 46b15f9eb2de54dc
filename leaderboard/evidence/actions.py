"""Writes of this app: verdicts of a cohort, and references."""

from leaderboard.accounts.models import User
from leaderboard.benchmarks.models import SetPair
from leaderboard.errors import Refusal, refuse
from leaderboard.evidence import decide
from leaderboard.evidence.models import LONGEST_REASON, Cohort, Reference, Verdict
from leaderboard.submissions.models import Embargo, Model


def decide_cohort(*, pair: SetPair) -> Cohort | None:
    """Decide the evidence for every counting run that has none yet.

    The caller has locked the pair. Earlier cohorts that were decided by another method are decided
    by this one too, against the panels that were frozen with them; the old verdicts stay. Returns
    None if no run waits.
    """
    for earlier in decide.outdated(pair):
        decided_again = decide.again(earlier)
        _save(pair, earlier.number, decided_again)
    draft = decide.draft(pair)
    if not draft.runs:
        return None
    cohorts = Cohort.objects.filter(pair=pair)
    numbers = cohorts.values("number").distinct()
    number = numbers.count() + 1
    return _save(pair, number, draft)


def _save(pair: SetPair, number: int, draft: decide.Draft) -> Cohort:
    decision = draft.decision
    cohort = Cohort.objects.create(
        pair=pair,
        number=number,
        method=decide.METHOD,
        grader=pair.board_grader,
        panel=decision.panel.to_dict(),
        inputs_hash=decision.inputs_hash,
    )
    verdicts = []
    for run, judged in zip(draft.runs, decision.judged, strict=True):
        verdict = Verdict(cohort=cohort, run_id=run, body=judged.to_dict())
        verdicts.append(verdict)
    Verdict.objects.bulk_create(verdicts, batch_size=1000)
    return cohort


def name_reference(
    *,
    pair: SetPair,
    model: str,
    why: str,
    by: User | None = None,
) -> Reference:
    """Hold a model for clean on a pair from the next close on, for a published reason.

    A new reason replaces the old one. Raises ``not_found``, ``invalid_field``, and
    ``embargo_running`` while a result of it is under embargo: the panel would disclose it.
    """
    known = Model.objects.filter(name__iexact=model).first()
    if known is None:
        raise refuse(Refusal.NOT_FOUND, "model")
    reason = why.strip()
    if not reason or len(reason) > LONGEST_REASON:
        raise refuse(Refusal.INVALID_FIELD, "why")
    embargoes = Embargo.objects.active()
    if embargoes.filter(submission__pair=pair, submission__model=known).exists():
        raise refuse(Refusal.EMBARGO_RUNNING)
    reference, _ = Reference.objects.update_or_create(
        pair=pair,
        model=known,
        defaults={"why": reason, "named_by": by},
    )
    return reference


def drop_reference(*, pair: SetPair, model: str) -> None:
    """Stop holding a model for clean, from the next close on. Raises ``not_found``."""
    references = Reference.objects.filter(pair=pair, model__name__iexact=model)
    deleted, _ = references.delete()
    if not deleted:
        raise refuse(Refusal.NOT_FOUND, "reference")
