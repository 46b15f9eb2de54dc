"""Verdicts are decided once for each cohort, against a panel that is frozen with it, and stay."""

from itertools import count
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from evaluator.contract import Outcome
from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.board import snapshot as snapshots
from leaderboard.board.models import Snapshot
from leaderboard.errors import SiteError
from leaderboard.evidence import actions as references
from leaderboard.evidence import decide as cohorts
from leaderboard.evidence.entries import newest
from leaderboard.evidence.models import Cohort, Verdict
from leaderboard.submissions.models import Lineage, Model, Run, RunOutcomes, Submission
from leaderboard.submissions.states import RunState
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
    assert judged["replay-cut"].cut and judged["replay-cut"].holm is None
    assert judged["demo-small"].visible > 0.05 and judged["demo-contaminated"].holm < 1e-10


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
    assert row.judged.fewest is None  # not even all ten, contaminated by 5 pp, would hide 22 pp
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
        Run(submission=one, pool="default", state=RunState.GRADED, queued_at=old.queued_at, deadline=old.deadline,
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
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE"
        )  # nothing else does so within a transaction, and ten thousand rows are planned as none


@pytest.mark.timeout(900)
@pytest.mark.parametrize("size", [50, pytest.param(10_000, marks=pytest.mark.slow)])
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
    # One family of all tests would give other p-values: the frozen adjusted p is that of five models.
    together = cohorts.decide("generator", newest(pair), [])
    everyone = {entry.run: one for entry, one in zip(newest(pair), together.judged, strict=True)}
    assert any(everyone[str(run)].holm != body["holm"] for run, body in verdicts.items())


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
    assert levels(pair)["demo-contaminated"] == "cannot_tell"


def test_another_method_adds_verdicts_to_the_old_ones(
    panel: SetPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(panel, "fitted", 0.4, gain=1.2)
    first = actions.close_cohort(pair=panel)
    assert first is not None
    verdicts = bodies(first)
    references.drop_reference(
        pair=panel, model="clean-1"
    )  # the panel that was frozen is the one that counts
    monkeypatch.setattr(cohorts, "METHOD", "evidence-next")
    assert actions.close_cohort(pair=panel) is None
    old, new = Cohort.objects.order_by("pk")
    assert (old.number, new.number, old.method, new.method) == (1, 1, "evidence-3", "evidence-next")
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
    Verdict.objects.filter(pk=one.pk).update(body=one.body | {"word": "overfit"})
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
