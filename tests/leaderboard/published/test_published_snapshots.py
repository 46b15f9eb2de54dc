"""What is found in a published table, and that it comes out again to the last bit."""

import json
from math import nextafter
from pathlib import Path
from typing import ClassVar

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from evaluator.contract import canonical_json
from leaderboard.evidence import statistics
from leaderboard.published import analysis as published
from leaderboard.published.models import PublishedSnapshot
from leaderboard.published.results import Analysis, PublishedResult
from tests.leaderboard.closing import publish
from tests.leaderboard.published.fixtures import HEADING, file_of, gsm1k, imported, line, small
from tests.leaderboard.sample import make_board, make_pair

pytestmark = pytest.mark.django_db


def found(data: bytes | None = None, **options: str) -> Analysis:
    table = imported(data, **options)  # type: ignore[arg-type]
    snapshot = PublishedSnapshot.objects.current(table)
    assert snapshot is not None
    return snapshot.analysis()


def by_name(analysis: Analysis) -> dict[str, PublishedResult]:
    return {line.model: line for line in analysis.lines}


def test_a_row_s_numbers_are_those_of_the_statistics() -> None:
    rows = by_name(found())
    east = rows["east-1"]
    counts = (240, 400, 176, 400)
    assert (east.public.right, east.private.right, east.gap) == (240, 176, 240 / 400 - 176 / 400)
    assert east.interval == statistics.newcombe(*counts)
    assert east.private.interval == statistics.wilson(176, 400)
    test = statistics.score_test(*counts)
    assert (east.raw.z, east.raw.greater.p, east.raw.two_sided.p) == (
        test.z,
        test.p_greater,
        test.p_two_sided,
    )
    p = [row.raw.greater.p for row in rows.values()]
    assert [row.raw.greater.holm for row in rows.values()] == list(statistics.holm(p))
    assert [row.raw.greater.benjamini_hochberg for row in rows.values()] == list(
        statistics.benjamini_hochberg(p)
    )


def test_best_private_score_first_and_words_for_what_survives() -> None:
    analysis = found()
    scores = [row.private.accuracy for row in analysis.lines]
    assert scores == sorted(scores, reverse=True)
    assert {row.model for row in analysis.lines if row.raw.evidence == "overfit"} == {
        "east-1",
        "east-2",
    }
    assert all(row.peers and row.peers.references >= 8 for row in analysis.lines)


def test_words_rest_on_the_raw_gap_only_where_the_source_holds_both_sets_for_equally_hard() -> None:
    assert found().basis == "raw"
    assert found(small() + b"\n", slug="other", equally_hard="").basis == "peers"


def test_with_too_few_rows_there_are_no_peers_and_no_likelihood() -> None:
    analysis = found(file_of(*[line(f"m{i}", f"F{i}") for i in range(5)]), equally_hard="")
    assert (analysis.panel, analysis.likelihood) == (None, None)
    assert {row.level("peers") for row in analysis.lines} == {"cannot_tell"}
    assert {row.peers for row in analysis.lines} == {None}


def test_one_row_alone() -> None:
    analysis = found(file_of(line("only")))
    assert (analysis.lines[0].rank_range, analysis.order.spearman, analysis.order.pairs) == (
        (1, 1),
        None,
        0,
    )


def test_references_that_are_known_from_elsewhere_are_the_panel() -> None:
    rows = [
        line(f"m{i}", f"F{i}", public=100 + 20 * i, private=98 + 20 * i)
        + (",older than the set" if i < 9 else ",")
        for i in range(12)
    ]
    analysis = found(file_of(*rows, heading=HEADING + ",reference"))
    assert analysis.panel is not None
    assert analysis.panel.known
    assert {*analysis.panel.references, *analysis.panel.put_aside} == {f"m{i}" for i in range(9)}


def test_families_of_one_and_two_have_a_sign_test_only() -> None:
    families = {one.family: one for one in found().families}
    east, north = families["East"], families["North"]
    assert (east.members, east.higher, east.p_sign, east.raw.interval, east.raw.above) == (
        2,
        2,
        0.5,
        None,
        False,
    )
    assert north.raw.interval is not None
    assert north.peers is not None


def test_a_likelihood_that_is_the_same_for_all_says_nothing() -> None:
    assert found(file_of(*[line(f"m{i}", private=150 + i) for i in range(9)])).likelihood is None


def test_rows_of_other_inputs_make_another_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    one = published.analyse(imported())
    other = published.analyse(imported(small() + line("more").encode(), slug="other"))
    assert one.inputs_hash != other.inputs_hash
    monkeypatch.setattr(published, "METHOD", "published-3")
    assert published.analyse(one.table).inputs_hash != one.inputs_hash


def test_an_analysis_comes_out_again_to_the_last_bit(capsys: pytest.CaptureFixture[str]) -> None:
    pair = make_pair()
    make_board(pair)
    publish(pair=pair)
    snapshot = PublishedSnapshot.objects.current(imported())
    assert snapshot is not None
    assert canonical_json(published.analyse(snapshot.table).analysis.to_dict()) == canonical_json(
        snapshot.body
    )
    call_command("snapshot", "--verify")
    assert capsys.readouterr().out == (
        "board demo: the same to the last bit\ncohort 1 of demo: the same to the last bit\n"
    )
    call_command("analyse_published", "--verify")
    assert capsys.readouterr().out == "published small: the same to the last bit\n"


def test_one_bit_of_difference_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    snapshot = PublishedSnapshot.objects.current(imported())
    assert snapshot is not None
    body = json.dumps(snapshot.body)
    gap = snapshot.analysis().lines[0].gap
    tampered = body.replace(repr(gap), repr(nextafter(gap, 1)))
    assert tampered != body
    with connection.cursor() as cursor:
        cursor.execute("UPDATE published_publishedsnapshot SET body = %s", [tampered])
    with pytest.raises(CommandError, match="not what its inputs make"):
        call_command("analyse_published", "--verify")
    assert "published small: DIFFERS" in capsys.readouterr().out


def test_a_board_that_does_not_come_out_again_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    pair = make_pair()
    make_board(pair)
    publish(pair=pair)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM board_snapshotrow WHERE position = 0")
    with pytest.raises(CommandError):
        call_command("snapshot", "--verify")
    assert "board demo: DIFFERS" in capsys.readouterr().out


def test_what_another_method_made_is_said_to_be_so_and_a_new_one_stands_beside_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    imported()
    monkeypatch.setattr(published, "METHOD", "published-3")
    call_command("analyse_published", "--verify")
    assert "published small: made of other inputs, or by another method" in capsys.readouterr().out
    call_command("analyse_published")
    call_command("analyse_published")
    assert [one.method for one in PublishedSnapshot.objects.order_by("pk")] == [
        "published-2",
        "published-3",
    ]
    with pytest.raises(TypeError, match="never changed"):
        PublishedSnapshot.objects.all()[0].save()


@pytest.mark.data
class TestGsm1k:
    """What a careful reader finds in the published table; the expected numbers were computed by others from it."""

    known: ClassVar[list[Analysis]] = []

    @pytest.fixture
    def analysis(self, data_dir: Path) -> Analysis:
        """Computed once: it is never changed."""
        if not self.known:
            snapshot = PublishedSnapshot.objects.current(gsm1k(data_dir))
            assert snapshot is not None
            self.known.append(snapshot.analysis())
        return self.known[0]

    def test_as_the_paper_tests_two_sided_from_the_printed_z(self, analysis: Analysis) -> None:
        told = [
            row
            for row in analysis.lines
            if row.reported_z is not None and abs(row.reported_z) > 1.96
        ]
        assert len(told) == 19
        assert {row.model for row in told if row.gap < 0} == {
            "gemini-1.5-flash-preview-0514",
            "deepseek-math-7b-rl",
        }
        reported = [(row.model, row.reported) for row in analysis.lines if row.reported]
        assert sum(one.benjamini_hochberg <= 0.05 for _, one in reported) == 11
        assert {model for model, one in reported if one.holm <= 0.05} == {
            "math-shepherd-mistral-7b-rl", "Yi-6B-Chat", "Meta-Llama-3-8B-Instruct",
        }  # fmt: skip

    def test_from_the_counts_two_sided_and_one_sided(self, analysis: Analysis) -> None:
        """Counts from shares of three digits move z a little: one more model survives Holm, one falls below 1.96."""
        two = [(row.model, row.raw.two_sided) for row in analysis.lines]
        assert sum(one.p <= 0.05 for _, one in two) == 18
        assert sum(one.benjamini_hochberg <= 0.05 for _, one in two) == 11
        assert {model for model, one in two if one.holm <= 0.05} == {
            "math-shepherd-mistral-7b-rl", "Yi-6B-Chat", "Meta-Llama-3-8B-Instruct", "Xwin-Math-13B-V1.0",
        }  # fmt: skip
        greater = [row.raw.greater for row in analysis.lines]
        assert sum(one.holm <= 0.05 for one in greater) == 6
        assert sum(one.benjamini_hochberg <= 0.05 for one in greater) == 14
        assert sum(row.raw.evidence == "overfit" for row in analysis.lines) == 6
        assert sum(row.raw.evidence == "watch" for row in analysis.lines) == 7

    def test_beside_its_peers_no_model_stands_out_of_fifty_nine(self, analysis: Analysis) -> None:
        tested = [row for row in analysis.lines if row.peers]
        assert {row.model for row in analysis.lines} - {row.model for row in tested} == {
            "pythia-12b",
            "gpt2-xl",
            # Stronger than every model of another family.
            "gpt-4",
            "gpt-4o",
        }
        nearest = min(tested, key=lambda row: row.peers.greater.p)  # type: ignore[union-attr]
        assert nearest.model == "math-shepherd-mistral-7b-rl"
        assert nearest.peers is not None
        assert nearest.peers.greater.p == pytest.approx(0.0109, abs=2e-4)
        assert nearest.peers.greater.holm > 0.1

    def test_the_private_score_hardly_reorders_the_models(self, analysis: Analysis) -> None:
        assert (analysis.order.changed, analysis.order.pairs) == (45, 1949)
        assert analysis.order.spearman == pytest.approx(0.9945, abs=5e-5)

    def test_the_likelihood_s_correlation_is_fragile(self, analysis: Analysis) -> None:
        one = analysis.likelihood
        assert one is not None
        assert one.reported is not None
        assert (one.models, round(one.reported.estimate, 3), round(one.reported.p, 3)) == (
            45,
            0.264,
            0.079,
        )
        assert one.spearman.estimate == pytest.approx(0.26, abs=0.01)
        assert one.spearman.interval[0] < 0 < one.spearman.interval[1]
        assert one.strong is not None
        assert one.strong_reported is not None
        assert round(one.strong_reported.estimate, 2) == 0.03
        assert one.strong.estimate == pytest.approx(0.02, abs=0.005)
        assert one.over_families is not None
        assert one.over_families[0] < 0
        assert one.lowest is not None
        assert one.highest is not None
        assert one.lowest.estimate < one.spearman.estimate < one.highest.estimate

    def test_families(self, analysis: Analysis) -> None:
        # The paper names Phi, Mistral and CodeLlama: as if their members' errors were independent.
        assert not [one for one in analysis.families if one.raw.above]
        assert not [one for one in analysis.families if one.peers and one.peers.above]
