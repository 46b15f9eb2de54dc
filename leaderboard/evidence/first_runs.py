"""First runs: one tested run decides the evidence level, and no later run is another draw.

The levels are chances of one test. A model that is tested again until the result suits has
other chances. So a run is a *later try* if an earlier tested run on its pair has in common with it

- the model's name,
- the digest of the weights' files, under whatever name, or
- the site of an endpoint's host and the name that is served there.

A later try keeps its own p-value and gap. It can lose a level and never win one:

- the level of the first run stays where it states a gap beyond chance;
- otherwise its own level counts, except that one beyond chance becomes ``cannot tell``.

Other weights under a name of their own have a first run of their own. Weights that were first
tested as a later try of another model have had their draw: for them that run's own level decides,
and not the one that it took over.
"""

from collections.abc import Mapping
from typing import NamedTuple
from uuid import UUID

from msgspec.structs import replace

from evaluator import policy
from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence.models import FirstRun, Judged, Verdict
from leaderboard.evidence.vocabulary import FLAGGED, Evidence
from leaderboard.submissions.models import Run

Identity = frozenset[tuple[str, str]]


class Draw(NamedTuple):
    """First run, with its place in the order in which runs were decided."""

    place: int
    first: FirstRun


def identity_of(run: Run) -> Identity:
    """Return what a run has in common with other runs of the same model, weights or endpoint."""
    submission = run.submission
    identity = {("model", str(submission.model_id))}
    if submission.is_endpoint:
        site = policy.site_of(policy.recipient_of(submission.url))
        identity.add(("endpoint", f"{site} {submission.served_model}"))
    elif run.artefact:
        identity.add(("weights", run.artefact))
    return frozenset(identity)


def with_first_runs(
    pair: SetPair,
    verdicts: Mapping[UUID, Judged],
    *,
    method: str,
    before: int | None = None,
) -> dict[UUID, Judged]:
    """Return the verdicts of one cohort, those of later tries with the run that decides them.

    Earlier runs are those of the cohorts of ``method`` with numbers below ``before``, of all if it
    is None. Within a cohort the run that was queued first is the earlier one.
    """
    earlier = Verdict.objects.filter(
        cohort__pair=pair,
        cohort__method=method,
        cohort__grader=pair.board_grader,
    )
    earlier = earlier.exclude(run__retracted_why__in=Run.NO_TEST)
    if before is not None:
        earlier = earlier.filter(cohort__number__lt=before)
    earlier = earlier.select_related("cohort", "run__submission")
    in_order = []
    for verdict in earlier.order_by("cohort__number", "run__queued_at", "run"):
        in_order.append((verdict.run, verdict.judged()))
    cohort = Run.objects.filter(pk__in=list(verdicts)).select_related("submission")
    for run in cohort.order_by("queued_at", "pk"):
        in_order.append((run, verdicts[run.pk]))
    draws: dict[tuple[str, str], Draw] = {}
    decided = dict(verdicts)
    for run, judged in in_order:
        identity = identity_of(run)
        known = [draws[part] for part in identity if part in draws]
        if judged.p is not None:
            own = FirstRun(run=str(run.pk), evidence=judged.own or judged.evidence)
            draw = Draw(len(draws), own)
            draws = dict.fromkeys(identity, draw) | draws
        if known and run.pk in decided:
            earliest = min(known)
            decided[run.pk] = later_try(judged, earliest.first)
    return decided


def later_try(own: Judged, first: FirstRun) -> Judged:
    """Return the verdict about a run whose level an earlier run decides."""
    evidence = own.evidence
    if first.evidence in FLAGGED:
        evidence = first.evidence
    elif own.evidence in FLAGGED:
        evidence = Evidence.CANNOT_TELL
    return replace(
        own,
        evidence=evidence,
        first=first,
        own=own.evidence,
        fewest=None,
    )
