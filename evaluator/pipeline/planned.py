"""Adaptive runs: each attempt follows the plan that the run began with on this host.

The first job of a run pins its plan, on disk and before anything is revealed. A later job with
another plan, without one, or with other items than those that the plan chooses is refused with
``plan_differs``. Every exposure names the plan's digest in the journal.
"""

from collections.abc import Sequence

from evaluator.contract import (
    AdaptiveStep,
    Endpoint,
    Hex32,
    JobSpec,
    Outcome,
    SetAsk,
    unpack_bytes,
)
from evaluator.errors import Code, error
from evaluator.pipeline.context import Context
from evaluator.pipeline.plan import Source


def plan_of(spec: JobSpec) -> Hex32 | str:
    """Return the digest of a job's plan; empty where it has none."""
    return spec.adaptive.plan.digest() if spec.adaptive else ""


def check_plan(spec: JobSpec, sources: Sequence[Source], context: Context) -> None:
    """Compare a job with the plan of its run, which the run's first job pins.

    Raises ``plan_differs``, and ``bad_message`` for a plan that does not fit its job.
    """
    digest = plan_of(spec)
    pinned = context.claims.pinned_plan(spec.run)
    if pinned and pinned != digest:
        raise error(Code.PLAN_DIFFERS, "another plan than the first")
    if spec.adaptive is None:
        return
    step = spec.adaptive
    asked = sorted(spec.sets, key=lambda ask: ask.sealed)
    is_pair = [ask.sealed for ask in asked] == [False, True]
    if not is_pair or not isinstance(spec.system, Endpoint):
        raise error(Code.BAD_MESSAGE, "a plan is for an endpoint on a pair of sets")
    public, private = asked
    _check_fit(step, spec, public, private)
    chosen = step.chosen()
    by_name = {source.name: source for source in sources}
    if by_name[private.name].selection != chosen:
        raise error(Code.PLAN_DIFFERS, "other items than the plan chooses")
    if step.look:
        _check_right_answers(step, spec, by_name[public.name], context)
    context.claims.pin_plan(spec.run, digest)


def _check_fit(
    step: AdaptiveStep,
    spec: JobSpec,
    public: SetAsk,
    private: SetAsk,
) -> None:
    """Raise unless the plan is this run's, and the easiness the one that it commits to."""
    plan = step.plan
    planned = (plan.run, plan.set, plan.root)
    if planned != (spec.run, private.name, private.digest):
        raise error(Code.PLAN_DIFFERS, "the plan of another run")
    if step.easiness.digest() != plan.easiness:
        raise error(Code.PLAN_DIFFERS, "another easiness than the plan commits to")
    sides = (step.easiness.public, step.easiness.private)
    sizes = tuple(len(unpack_bytes(side)) for side in sides)
    if sizes != (public.n, private.n):
        raise error(Code.BAD_MESSAGE, "the easiness of other sets")


def _check_right_answers(
    step: AdaptiveStep,
    spec: JobSpec,
    public: Source,
    context: Context,
) -> None:
    """Compare the number of right public answers with those stored here, if all of them are."""
    if public.done != public.selection:
        raise error(Code.PLAN_DIFFERS, "sealed items before the public ones are answered")
    stored: dict[int, Outcome] = {}
    for answer in context.completions.read(spec.run):
        # An answer that came after the lease was lost names no question, and was not reported.
        is_outcome = answer.sample is None and bool(answer.asked)
        if is_outcome and answer.set_name == public.name:
            stored.setdefault(answer.index, answer.outcome)
    if len(stored) < public.n:
        return
    right = sum(outcome is Outcome.RIGHT for outcome in stored.values())
    if right != step.right:
        raise error(Code.PLAN_DIFFERS, "another number of right public answers")
