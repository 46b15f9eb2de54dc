"""Verdicts are decided once for each cohort, against a panel that is frozen with it, and stay."""

from itertools import count
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from evaluator.contract import Outcome, OutcomeCounts
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.board import snapshot as snapshots
from leaderboard.board.models import Snapshot
from leaderboard.errors import SiteError
from leaderboard.evidence import actions as references
from leaderboard.evidence import decide as cohorts
from leaderboard.evidence.entries import Entry
from leaderboard.evidence.model_runs import newest
from leaderboard.evidence.models import Cohort, FirstRun, Judged, Verdict
from leaderboard.evidence.vocabulary import CORRECTED_LEVELS
from leaderboard.submissions.models import Lineage, Model, Run, RunOutcomes, Submission
from leaderboard.submissions.states import RunState
from tests.leaderboard.planner import count_rows
from tests.leaderboard.ruled import retract
from tests.leaderboard.sample import make_board, make_pair, make_run

pytestmark = pytest.mark.django_db
N = 400


def levels(pair: SetPair) -> dict[str, str]:
    """Return the evidence levels on the newest board."""
    newest = Snapshot.objects.current(pair)
    return {row.model: row.evidence for row in newest.ranking()} if newest else {}


def answer(pair: SetPair, model: str, ability: float, *, gain: float = 0.0, seed: int = 0) -> Run:
    """A run whose outcomes are drawn item by item: the private items are .3 logits harder, ``gain`` is overfitting."""
    rng = np.random.default_rng([seed, *model.encode()])
    run = make_run(pair, model)
    for item_set, shift in ((pair.public, gain), (pair.private, -0.3)):
        hardness = np.random.default_rng(len(item_set.name)).normal(0, 1, item_set.n)
        right = rng.random(item_set.n) < 1 / (1 + np.exp(-(ability + shift - hardness)))
        row = run.outcomes.get(item_set=item_set)
        row.packed = bytes(item_set.n)
        row.merge((i, Outcome.RIGHT if ok else Outcome.WRONG) for i, ok in enumerate(right))
        row.save()
    return run


@pytest.fixture
def panel() -> SetPair:
    """A pair whose private set is harder, with ten clean references that have been asked."""
    pair = make_pair(n=1000, twins_by="")
    for number, ability in enumerate(np.linspace(-0.8, 1.6, 10)):
        answer(pair, f"clean-{number}", float(ability))
        references.name_reference(
            pair=pair, model=f"clean-{number}", why="trained before the public set"
        )
    return pair


def test_twins_by_construction_are_tested_by_the_raw_gap() -> None:
    pair = make_pair()
    make_board(pair)
    actions.rebuild(pair=pair)
    assert levels(pair) == {}
    cohort = actions.close_cohort(pair=pair)
    assert cohort is not None and cohort.facts().basis == "twins"
    assert levels(pair) == {
        "replay-strong": "no_evidence",
        "demo-honest": "cannot_tell",
        "replay-cut": "cannot_tell",
        "demo-contaminated": "overfit",
        "demo-small": "cannot_tell",
    }
    judged = {row.model: row.judged for row in Snapshot.objects.current(pair).ranking()}  # type: ignore[union-attr]
    assert judged["replay-cut"].cut and judged["replay-cut"].p is None
    assert judged["demo-small"].visible > 0.08 and judged["demo-contaminated"].p < 1e-10


def test_with_a_panel_a_harder_private_set_flags_no_clean_model(panel: SetPair) -> None:
    answer(panel, "fair", 0.4)
    answer(panel, "fitted", 0.4, gain=1.2)
    raw = {row.model: row.interval[0] > 0 for row in snapshots.rank(newest(panel))}
    assert sum(raw.values()) >= 8  # the raw gap cries wolf
    actions.close_cohort(pair=panel)
    assert levels(panel).pop("fitted") == "overfit"
    assert "overfit" not in {level for model, level in levels(panel).items() if model != "fitted"}
    row = next(row for row in snapshots.build(panel).rows if row.model == "fitted")
    assert row.judged is not None and row.judged.adjusted is not None
    assert (row.judged.basis, row.judged.adjusted.by, row.judged.adjusted.references) == (
        "panel",
        "items",
        10,
    )
    assert row.judged.adjusted.interval[0] > 0
    assert row.judged.fewest == 2  # of ten, contaminated by 5 pp, would leave "watch" by counts
    assert row.judged.p == float(f"{row.judged.p:.3g}") and row.judged.adjusted.gap == round(
        row.judged.adjusted.gap, 4
    )
    facts = Snapshot.objects.current(panel).facts()  # type: ignore[union-attr]
    assert facts is not None and len(facts.references) == 10 and facts.curve
    assert facts.lineages == 10 and facts.range is not None and facts.range[0] < facts.range[1]
    assert {member.why for member in facts.references} == {"trained before the public set"}


def test_a_model_that_no_reference_is_like_is_not_tested(panel: SetPair) -> None:
    answer(panel, "strongest", 4.0, gain=1.2)
    actions.close_cohort(pair=panel)
    assert levels(panel)["strongest"] == "cannot_tell"
    [row] = [row for row in snapshots.build(panel).rows if row.model == "strongest"]
    assert row.judged is not None
    assert (row.judged.untested, row.judged.p, row.judged.adjusted) == ("outside_panel", None, None)


def test_without_eight_references_nothing_is_stated(panel: SetPair) -> None:
    for number in range(3):
        references.drop_reference(pair=panel, model=f"clean-{number}")
    answer(panel, "fitted", 0.4, gain=1.2)
    cohort = actions.close_cohort(pair=panel)
    assert cohort is not None and cohort.facts().basis == "none"
    assert set(levels(panel).values()) == {"cannot_tell"}


def test_a_model_is_not_compared_with_its_own_lineage(panel: SetPair) -> None:
    lineage = Lineage.objects.create(name="fitted-line")
    Model.objects.filter(name__in=["clean-0", "clean-1"]).update(lineage=lineage)
    answer(panel, "fitted", 0.4, gain=1.2)
    Model.objects.filter(name="fitted").update(lineage=lineage)
    actions.close_cohort(pair=panel)
    [row] = [row for row in snapshots.build(panel).rows if row.model == "fitted"]
    assert row.family == "fitted-line"
    assert (
        row.judged is not None
        and row.judged.adjusted is not None
        and row.judged.adjusted.references == 8
    )


def test_a_contaminated_reference_is_put_aside_and_named(panel: SetPair) -> None:
    answer(panel, "bad", 0.3, gain=1.5)
    references.name_reference(pair=panel, model="bad", why="said to be clean")
    actions.close_cohort(pair=panel)
    facts = Snapshot.objects.current(panel).facts()  # type: ignore[union-attr]
    assert facts is not None
    assert [member.model for member in facts.references if member.put_aside] == ["bad"]
    assert levels(panel)["bad"] == "overfit"


def bodies(cohort: Cohort) -> dict[Any, Any]:
    return {one.run_id: one.body for one in Verdict.objects.filter(cohort=cohort)}


def crowd(pair: SetPair, size: int) -> None:
    """So many graded runs of new models, half of them as contaminated as can be."""
    user, owner = Submission.objects.first().submitted_by, Model.objects.first().organisation  # type: ignore[union-attr]
    numbers = count()
    models = Model.objects.bulk_create(
        Model(name=f"crowd-{next(numbers)}", organisation=owner) for _ in range(size)
    )
    submissions = Submission.objects.bulk_create(
        Submission(model=model, submitted_by=user, pair=pair, kind="checkpoint", checkpoint="x", fingerprint="0" * 64,
                   idempotency_key=model.name)
        for model in models
    )  # fmt: skip
    old = Run.objects.filter(ended_at__isnull=False).first()
    assert old is not None
    runs = Run.objects.bulk_create(
        Run(submission=one, organisation=owner, pool="default", state=RunState.GRADED, queued_at=old.queued_at, deadline=old.deadline,
            total=old.total, ended_at=old.ended_at)
        for one in submissions
    )  # fmt: skip
    rows = []
    for number, run in enumerate(runs):
        for item_set, right in (
            (pair.public, pair.public.n if number % 2 else 100),
            (pair.private, 100),
        ):
            packed = bytes([Outcome.RIGHT] * right + [Outcome.WRONG] * (item_set.n - right))
            rows.append(RunOutcomes(run=run, item_set=item_set, size=item_set.n, n=item_set.n, packed=packed,
                                    right=right, wrong=item_set.n - right))  # fmt: skip
    RunOutcomes.objects.bulk_create(rows, batch_size=2000)
    count_rows()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "size", [50, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.long])]
)
def test_new_models_change_no_earlier_verdict(size: int) -> None:
    pair = make_pair()
    make_board(pair)
    first = actions.close_cohort(pair=pair)
    assert first is not None
    before, verdicts = levels(pair), bodies(first)
    crowd(pair, size)
    second = actions.close_cohort(pair=pair)
    assert second is not None and len(bodies(second)) == size
    assert bodies(first) == verdicts
    assert {model: level for model, level in levels(pair).items() if model in before} == before
    # One close of all of them gives the same verdicts.
    together = cohorts.decide("generator", newest(pair), [])
    everyone = {entry.run: one for entry, one in zip(newest(pair), together.judged, strict=True)}
    assert all(everyone[str(run)].to_dict() == body for run, body in verdicts.items())


def honest(number: int, gap: int = 0) -> Entry:
    """A model with 70% on the private of two sets of GSM1k's size, with ``gap`` more on the other."""
    sides = [
        OutcomeCounts(n=n, right=right, wrong=n - right, no_answer=0, truncated=0)
        for n, right in ((1319, 923 + gap), (1250, 875))
    ]
    return Entry(f"m-{number}", "Org", "weights", f"{number:032x}", *sides)


@pytest.mark.parametrize("junk", [0, 59, 1000])
def test_no_other_run_dilutes_a_level(junk: int) -> None:
    """A model with 6 pp, alone, in a close of 60, and beside a thousand of junk."""
    cohort = [honest(0, gap=80), *(honest(1 + number) for number in range(junk))]
    decision = cohorts.decide("one split", cohort, [])
    alone = cohorts.decide("one split", cohort[:1], [])
    assert decision.judged[0] == alone.judged[0]
    assert decision.judged[0].evidence == "overfit"
    assert decision.judged[0].p == 0.000279


def weights(run: Run, digest: str) -> Run:
    Run.objects.filter(pk=run.pk).update(artefact=digest * 64)
    return run


def judged_of(run: Run) -> Judged:
    return Verdict.objects.select_related("cohort").filter(run=run).latest("cohort_id").judged()


def test_a_later_run_of_a_model_is_no_second_draw() -> None:
    pair = make_pair()
    first = make_run(pair, "fitted", public=397, private=262)
    actions.close_cohort(pair=pair)
    later = make_run(pair, "fitted", public=300, private=300)
    actions.close_cohort(pair=pair)
    one, two = judged_of(first), judged_of(later)
    assert (one.evidence, one.first) == ("overfit", None)
    assert two.evidence == "overfit" and two.p == pytest.approx(0.5, abs=0.05)
    assert two.first is not None and two.first.run == str(first.pk)
    assert levels(pair) == {"fitted": "overfit"}


def test_a_later_run_wins_no_level() -> None:
    """Clean weights first and others later under the name that they made."""
    pair = make_pair()
    make_run(pair, "swapped", public=350, private=350)
    actions.close_cohort(pair=pair)
    later = make_run(pair, "swapped", public=397, private=262)
    actions.close_cohort(pair=pair)
    assert judged_of(later).evidence == "cannot_tell" and judged_of(later).p < 1e-10


def test_the_same_weights_under_another_name_are_a_later_try_and_others_are_not() -> None:
    pair = make_pair()
    first = weights(make_run(pair, "one", public=397, private=262), "a")
    again = weights(make_run(pair, "two", public=300, private=300), "a")
    other = weights(make_run(pair, "three", public=350, private=350), "b")
    actions.close_cohort(pair=pair)
    assert judged_of(again).first is not None and judged_of(again).evidence == "overfit"
    assert judged_of(first).first is None and judged_of(other).first is None
    call_command("snapshot", "--verify")


@pytest.mark.parametrize("closes", [1, 3])
@pytest.mark.parametrize(("public", "own"), [(397, "overfit"), (300, "cannot_tell")])
def test_weights_that_were_a_later_try_have_no_second_draw_under_a_new_name(
    closes: int, public: int, own: str
) -> None:
    """What they get is their own first level, not that of the model they were first sent as."""
    pair = make_pair()
    private = 262 if public == 397 else 300
    named = [("one", "a", 397, 262), ("one", "b", public, private), ("two", "b", 397, 262)]
    runs = []
    for name, digest, right, sealed in named:
        runs.append(weights(make_run(pair, name, public=right, private=sealed), digest))
        if closes == 3:
            actions.close_cohort(pair=pair)
    if closes == 1:
        actions.close_cohort(pair=pair)
    last = judged_of(runs[2])
    assert last.first == FirstRun(run=str(runs[1].pk), evidence=own)
    assert last.evidence == own


def test_the_same_endpoint_under_another_name_is_a_later_try() -> None:
    pair = make_pair()
    first = make_run(pair, "one", public=397, private=262, kind="endpoint")
    again = make_run(pair, "two", public=300, private=300, kind="endpoint")
    other = make_run(pair, "three", public=300, private=300, kind="endpoint")
    Submission.objects.filter(runs=again).update(served_model="one")
    actions.close_cohort(pair=pair)
    assert judged_of(again).first == FirstRun(run=str(first.pk), evidence="overfit")
    assert judged_of(other).first is None


def test_within_a_close_the_first_run_decides_and_both_have_a_verdict() -> None:
    pair = make_pair()
    first = make_run(pair, "fitted", public=397, private=262)
    later = make_run(pair, "fitted", public=300, private=300)
    actions.close_cohort(pair=pair)
    assert judged_of(first).first is None
    assert judged_of(later).first == FirstRun(run=str(first.pk), evidence="overfit")
    assert levels(pair) == {"fitted": "overfit"}


def test_a_run_that_could_not_be_tested_is_no_draw() -> None:
    pair = make_pair()
    make_run(pair, "cut", public=300, private=290, truncated=12)
    whole = make_run(pair, "cut", public=397, private=262)
    actions.close_cohort(pair=pair)
    assert (judged_of(whole).evidence, judged_of(whole).first) == ("overfit", None)


@pytest.mark.parametrize(
    ("why", "level"), [("evaluator_fault", "cannot_tell"), ("by_request", "overfit")]
)
def test_a_run_that_is_retracted_for_a_fault_was_no_draw(why: str, level: str) -> None:
    pair = make_pair()
    first = make_run(pair, "one", public=397, private=262)
    actions.close_cohort(pair=pair)
    retract(first.pk, Run.Retraction(why))
    make_run(pair, "one", public=300, private=300)
    actions.close_cohort(pair=pair)
    assert levels(pair) == {"one": level}


def test_a_verdict_of_an_earlier_method_is_read_as_it_was_decided() -> None:
    pair = make_pair()
    run = make_run(pair, "old", public=300, private=290)
    cohort = Cohort.objects.create(
        pair=pair, number=1, method="evidence-2", grader=pair.board_grader,
        panel={"basis": "twins", "references": []}, inputs_hash="0" * 64,
    )  # fmt: skip
    body = {
        "evidence": "watch", "basis": "twins", "p": 0.03, "holm": 0.09, "benjamini_hochberg": 0.08,
        "visible": 0.06, "adjusted": None, "cut": False, "fewest": None,
        "levels": {"overfit": 0.05, "watch": 0.1, "single": 0.05, "power": 0.8, "visible_gap": 0.05,
                   "truncated": 0.02},
    }  # fmt: skip
    Verdict.objects.create(cohort=cohort, run=run, body=body)
    judged = judged_of(run)
    assert judged.levels == CORRECTED_LEVELS and judged.is_corrected
    assert (judged.method, judged.evidence, judged.holm) == ("evidence-2", "watch", 0.09)
    Run.objects.filter(pk=run.pk).update(state=RunState.RANKED)
    actions.rebuild(pair=pair)
    (group,) = Snapshot.objects.current(pair).decided_by()  # type: ignore[union-attr]
    assert (group.method, group.levels, group.tested) == ("evidence-2", CORRECTED_LEVELS, 1)


def test_a_closed_cohort_is_never_changed() -> None:
    pair = make_pair()
    make_board(pair)
    cohort = actions.close_cohort(pair=pair)
    assert cohort is not None
    for row in (cohort, cohort.verdicts.first()):
        with pytest.raises(TypeError):
            row.save()
    assert actions.close_cohort(pair=pair) is None
    assert Cohort.objects.count() == 1


def test_a_new_run_of_a_model_waits_for_its_own_cohort() -> None:
    pair = make_pair()
    make_board(pair)
    actions.close_cohort(pair=pair)
    make_run(pair, "demo-contaminated", public=300, private=300)
    before = levels(pair)
    actions.rebuild(pair=pair)
    assert levels(pair) == before
    second = actions.close_cohort(pair=pair)
    assert second is not None and second.number == 2 and second.verdicts.count() == 1
    assert levels(pair)["demo-contaminated"] == "overfit"  # a later try: its first run decided


@pytest.mark.slow
def test_another_method_adds_verdicts_to_the_old_ones(
    panel: SetPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(panel, "fitted", 0.4, gain=1.2)
    first = actions.close_cohort(pair=panel)
    assert first is not None
    verdicts, cohort_method = bodies(first), first.method
    references.drop_reference(
        pair=panel, model="clean-1"
    )  # the panel that was frozen is the one that counts
    monkeypatch.setattr(cohorts, "METHOD", "evidence-next")
    assert actions.close_cohort(pair=panel) is None
    old, new = Cohort.objects.order_by("pk")
    assert (old.number, new.number, old.method, new.method) == (
        1,
        1,
        cohort_method,
        "evidence-next",
    )
    assert bodies(old) == verdicts
    assert bodies(new) == verdicts
    assert new.facts() == old.facts()


def test_cohorts_come_out_again_bit_for_bit(
    panel: SetPair, capsys: pytest.CaptureFixture[str]
) -> None:
    cohort = actions.close_cohort(pair=panel)
    assert cohort is not None
    call_command("snapshot", "--verify")
    assert f"cohort 1 of {panel.slug}: the same to the last bit" in capsys.readouterr().out
    one = cohort.verdicts.first()
    Verdict.objects.filter(pk=one.pk).update(body=one.body | {"evidence": "overfit"})
    assert cohorts.recompute(cohort) is False
    with pytest.raises(CommandError):
        call_command("snapshot", "--verify")


def test_the_commands(panel: SetPair, capsys: pytest.CaptureFixture[str]) -> None:
    answer(panel, "other", 0.4)
    call_command(
        "name_reference",
        panel.slug,
        "other",
        "--because",
        "weights from before the set was written",
    )
    assert "11 references" in capsys.readouterr().out
    call_command("name_reference", panel.slug, "other", "--drop")
    call_command("close_cohort", panel.slug)
    assert f"cohort 1 of {panel.slug} (a panel of 10, 0 put aside)" in capsys.readouterr().out
    call_command("close_cohort", panel.slug)
    assert "no run waits" in capsys.readouterr().out
    for wrong in (("close_cohort", "none"), ("name_reference", panel.slug, "nobody", "--because", "x"),
                  ("name_reference", panel.slug, "other", "--drop"), ("name_reference", "none", "x", "--drop"),
                  ("name_reference", panel.slug, "other", "--because", " ")):  # fmt: skip
        with pytest.raises(CommandError):
            call_command(*wrong)


def test_a_reason_is_needed() -> None:
    pair = make_pair()
    make_run(pair, "one")
    with pytest.raises(SiteError):
        references.name_reference(pair=pair, model="one", why="x" * 301)
