"""The release rule: against an oracle that tries every subset, and the cases that were thought of beforehand."""

import json
import random
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.rules import (
    Date,
    Evidence,
    LineageFact,
    Lineages,
    Rule,
    RunFact,
    Short,
    copies,
    decide,
    default_rule,
    evidence_digest,
    in_words,
    least_right,
    least_right_by_interval,
    moment_of,
    read_evidence,
    read_rule,
    rule_digest,
)
from leaderboard.evidence.statistics import wilson
from tests.evaluator.ledger.lineages import (
    MOMENT,
    ODD,
    artefact,
    evidence_of,
    families,
    graphs,
    most,
    run,
    run_id,
    runs,
    weights,
)
from tests.verify.releases import load_verifier

NOW = datetime(2026, 2, 1, tzinfo=UTC)
THREE = Lineages(models=3, numerator=95, denominator=100)
RULE = Rule(any_of=(THREE,))
V = load_verifier()
APART = [LineageFact(name=name) for name in "abcdefg"]


def met(*facts: RunFact, lineages: Any = APART, rule: Rule = RULE, now: datetime = NOW) -> bool:
    """Whether the rule is met, once the third party's verifier agrees."""
    evidence = evidence_of(facts, lineages)
    found = decide(rule, evidence, now=now).met
    assert found == verdict_of_verifier(rule, evidence, now)
    return found


def verdict_of_verifier(rule: Rule, evidence: Evidence, now: datetime) -> bool:
    try:
        V.check_rule(rule.to_dict(), evidence.to_dict(), now.strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
    except V.Refused:
        return False
    return True


# --- the oracle


@settings(max_examples=300, deadline=None)
@given(graphs(), runs(), st.integers(1, 4), st.booleans())
def test_agrees_with_every_subset(
    lineages: tuple[LineageFact, ...], facts: tuple[RunFact, ...], wanted: int, open_weights: bool
) -> None:
    clause = Lineages(models=wanted, numerator=95, denominator=100, open_weights=open_weights)
    rule, evidence = Rule(any_of=(clause,)), evidence_of(facts, lineages)
    verdict, known = decide(rule, evidence, now=NOW), families(clause, evidence)
    best = most(clause, evidence)
    chosen = verdict.clauses[0].models
    assert verdict.met == (best >= wanted) == verdict_of_verifier(rule, evidence, NOW)
    assert len(chosen) == min(best, wanted) == len(set(chosen)) and set(chosen) <= {
        one.model for one, _ in known.values()
    }
    assert {one.run for one in verdict.clauses[0].qualifying} == set(known)
    assert verdict.models == (chosen if verdict.met else ())


@settings(max_examples=60, deadline=None)
@given(graphs(), runs(), st.randoms(use_true_random=False))
def test_the_order_of_the_evidence_does_not_matter(
    lineages: tuple[LineageFact, ...], facts: tuple[RunFact, ...], source: random.Random
) -> None:
    mixed, turned = list(facts), list(lineages)
    source.shuffle(mixed)
    source.shuffle(turned)
    one, other = evidence_of(facts, lineages), evidence_of(mixed, turned)
    assert decide(RULE, one, now=NOW) == decide(RULE, other, now=NOW)


@settings(max_examples=60, deadline=None)
@given(graphs(), runs(), st.data())
def test_one_more_flaw_never_helps(
    lineages: tuple[LineageFact, ...], facts: tuple[RunFact, ...], data: st.DataObject
) -> None:
    """Retracting, flagging or regrading a run can close a rule, never open it."""
    if not facts:
        return
    flaw = data.draw(
        st.sampled_from(
            [{"retracted": True}, {"flagged": True}, {"current": False}, {"complete": False}]
        )
    )
    place = data.draw(st.integers(0, len(facts) - 1))
    worse = [*facts]
    worse[place] = RunFact.from_dict({**facts[place].to_dict(), **flaw})
    after = decide(RULE, evidence_of(worse, lineages), now=NOW).met
    assert decide(RULE, evidence_of(facts, lineages), now=NOW).met or not after


def test_the_oracle_sees_both_sides() -> None:
    """A test that only ever met closed rules would say nothing."""
    seen = set()

    @settings(max_examples=150, deadline=None, database=None, derandomize=True)
    @given(graphs(), runs())
    def look(lineages: tuple[LineageFact, ...], facts: tuple[RunFact, ...]) -> None:
        seen.add(min(most(THREE, evidence_of(facts, lineages)), 3))

    look()
    assert seen == {0, 1, 2, 3}


# --- T009: what counts


def three(**changed: object) -> list[RunFact]:
    return [run("a", **changed), run("b"), run("c")]


def test_fault_t009_three_of_distinct_lineages() -> None:
    assert met(*three())
    assert not met(*three()[:2])


def test_fault_t009_integers_decide_at_the_line() -> None:
    assert not met(*(run(name, 9499, 10_000) for name in "abc"))
    assert met(*(run(name, 9500, 10_000) for name in "abc"))
    assert not met(*(run(name, 1144, 1205) for name in "abc"))
    assert met(*(run(name, 1145, 1205) for name in "abc"))
    assert not met(run("a", 1144, 1205), run("b", 1145, 1205), run("c", 1205, 1205))


def test_fault_t009_no_share_is_rounded() -> None:
    """Every share of small denominators over a few sizes, and one that no float can tell from its neighbour."""
    for n, denominator in product((1, 2, 3, 7, 20), range(1, 8)):
        for numerator, right in product(range(1, denominator + 1), range(n + 1)):
            rule = Rule(any_of=(Lineages(models=1, numerator=numerator, denominator=denominator),))
            found = decide(rule, evidence_of([run("a", right, n)], APART), now=NOW).met
            assert found == (Fraction(right, n) >= Fraction(numerator, denominator))
    rule = Rule(any_of=(Lineages(models=1, numerator=999_999, denominator=1_000_000),))
    assert [met(run("a", right, 9_999_999), rule=rule) for right in (9_999_989, 9_999_990)] == [
        False,
        True,
    ]


def test_fault_t009_three_runs_of_one_lineage() -> None:
    assert not met(*(run(name, lineage="a") for name in "abc"))
    again = [run("a", number=number) for number in (1, 2, 3)]
    assert not met(*again) and not met(*again, run("b")) and met(*again, run("b"), run("c"))


def test_fault_t009_a_merge_and_both_its_parents() -> None:
    merged = [*APART[:3], LineageFact(name="m", parents=("a", "b"))]
    assert not met(run("m"), run("a"), run("b"), lineages=merged)
    assert not met(run("m"), run("a"), run("c"), lineages=merged)
    assert met(run("a"), run("b"), run("c"), run("m"), lineages=merged)


@pytest.mark.parametrize("flaw", ODD, ids=str)
def test_fault_t009_a_run_that_does_not_count(flaw: dict[str, object]) -> None:
    """One item missing, an endpoint at 99 %, flagged, retracted, of an older version, …; a good run heals it."""
    assert not met(*three(**flaw))
    assert met(*three(**flaw), run("d"))


def test_fault_t009_a_regrade_below_the_line_takes_it_back() -> None:
    assert met(run("a", 1145, 1205), run("b"), run("c"))
    assert not met(run("a", 1143, 1205), run("b"), run("c"))
    assert not met(run("a", 1145, 1205, current=False), run("b"), run("c"))


def test_closed_weights_count_where_the_clause_says_so() -> None:
    rule = Rule(any_of=(Lineages(models=3, numerator=95, denominator=100, open_weights=False),))
    assert met(*three(open_weights=False), rule=rule) and not met(*three(open_weights=False))


def test_a_model_of_two_lineages_counts_for_none() -> None:
    assert not met(*three(), run("a", number=9, lineage="d"))
    assert not met(*three(), run("a", number=9, lineage=None))
    assert met(
        *three(),
        run("a", number=9, lineage=None, artefact=artefact("newer"), weights=weights("newer")),
    )


# --- equal and overlapping weights


def test_equal_weights_under_three_names_and_lineages_count_once() -> None:
    """The attack as it was made: three names, three lineages, one checkpoint."""
    one = {"artefact": artefact("honest"), "weights": weights("x", "y")}
    assert not met(*(run(name, **one) for name in "abc"))
    assert not met(run("a", **one), run("b", **one), run("c"))
    assert met(run("a", **one), run("b"), run("c"))


def test_a_changed_readme_other_shards_and_other_names_make_no_other_weights() -> None:
    assert not met(*(run(name, weights=weights("x", "y")) for name in "abc"))


def test_equal_files_are_equal_weights_whatever_is_listed_of_them() -> None:
    assert not met(run("a", artefact=artefact("x")), run("b", artefact=artefact("x")), run("c"))


@pytest.mark.parametrize(("shared", "counts"), [(99, True), (100, True), (101, False)])
def test_weights_that_share_more_than_a_tenth_of_the_smaller_count_once(
    shared: int, counts: bool
) -> None:
    small = weights(shared=shared, small=1000 - shared)
    assert (
        met(
            run("a", weights=small), run("b", weights=weights(shared=shared, large=10**9)), run("c")
        )
        is counts
    )


def test_weights_of_which_nothing_is_known_count_alone_only() -> None:
    one = Rule(any_of=(Lineages(models=1, numerator=95, denominator=100),))
    assert met(run("a", weights=None, artefact=""), rule=one)
    assert not met(run("a", weights=None, artefact=""), run("b"), run("c"))
    assert met(run("a", weights=None, artefact=""), run("b"), run("c"), run("d"))


def test_one_base_model_under_two_lineages_counts_once() -> None:
    assert not met(run("a", base_model="x"), run("b", base_model="x"), run("c"))
    assert met(run("a", base_model="x"), run("b", base_model="y"), run("c"))


def test_the_best_run_of_a_model_counts_whatever_came_later() -> None:
    worse = run(
        "a", 1, number=9, artefact=artefact("worse"), weights=weights("worse"), lineage=None
    )
    assert met(*three(), worse) and met(*three(), run("a", 1, number=9))


def test_copies_are_named() -> None:
    facts = [
        run("a", weights=weights("x")),
        run("b", weights=weights("x")),
        run("c"),
        run("a", number=7),
    ]
    assert [(one.model, other.model) for one, other in copies(facts)] == [("a", "b")]


def test_evidence_of_version_1_keeps_its_digest_and_counts_as_of_unknown_weights() -> None:
    old = json.loads(json.dumps(evidence())) | {"version": 1}
    old["runs"] = [
        {k: v for k, v in one.items() if k not in ("base_model", "artefact", "weights")}
        for one in old["runs"]
    ]
    known = read_evidence(old)
    assert json.loads(json.dumps(known.to_dict())) == old and not decide(RULE, known, now=NOW).met
    with pytest.raises(EvaluatorError):
        read_evidence(evidence() | {"version": 1})


def test_many_copies_and_many_lineages_are_decided_at_once() -> None:
    """Two hundred copies, and a hundred models of which each overlaps the next: no search without end."""
    copied = [run(f"m{k}", number=k + 1, lineage=f"l{k}", weights=weights("x")) for k in range(200)]
    lineages = [LineageFact(name=f"l{k}") for k in range(200)]
    assert not met(*copied, lineages=lineages)
    cycle = [
        run(
            f"m{k}",
            number=k + 1,
            lineage=f"l{k}",
            artefact=artefact(f"{k}"),
            weights=weights(f"t{k}", f"t{k + 1}"),
        )
        for k in range(100)
    ]
    eight = Rule(any_of=(Lineages(models=8, numerator=95, denominator=100),))
    assert met(*cycle, lineages=lineages, rule=eight)


# --- T010: lineage graphs


@pytest.mark.parametrize(
    "lineages",
    [
        [LineageFact(name="a", parents=("a",)), *APART[1:]],
        [LineageFact(name="a", parents=("b",)), LineageFact(name="b", parents=("a",)), *APART[2:]],
        [LineageFact(name="a", parents=("x",)), LineageFact(name="x", parents=("x",)), *APART[1:]],
        [LineageFact(name="a", parents=("unrecorded",)), *APART[1:]],
        [*APART, LineageFact(name="a", parents=("d",))],
        APART[1:],
    ],
    ids=[
        "self parent",
        "cycle",
        "above a cycle",
        "unknown parent",
        "recorded twice",
        "not recorded",
    ],
)
def test_fault_t010_unsound_lineages_count_for_nothing(lineages: list[LineageFact]) -> None:
    assert not met(*three(), lineages=lineages)


def test_recorded_twice_in_the_same_way_is_sound() -> None:
    assert met(*three(), lineages=[*APART, LineageFact(name="a")])


def test_fault_t010_a_base_under_another_name() -> None:
    """The old name stays as the parent of the new one, so both names still stand for one lineage."""
    renamed = [*APART, LineageFact(name="new", parents=("a",))]
    assert not met(run("new"), run("a"), run("b"), lineages=renamed)
    assert met(run("new"), run("b"), run("c"), lineages=renamed)


def test_fault_t010_two_hundred_nodes() -> None:
    """A chain, a star and two hundred unrelated lineages; 199 of them also in a cycle."""
    names = [f"n{number}" for number in range(200)]
    chain = [
        LineageFact(name=name, parents=tuple(names[place - 1 : place]))
        for place, name in enumerate(names)
    ]
    facts = [run(name, number=place + 1) for place, name in enumerate(names)]
    assert not met(*facts, lineages=chain)
    star = [
        LineageFact(name="n0"),
        *(LineageFact(name=name, parents=("n0",)) for name in names[1:]),
    ]
    assert not met(*facts, lineages=star)
    assert met(*facts, lineages=[LineageFact(name=name) for name in names])
    cycle = [
        LineageFact(name=name, parents=(names[place - 1],)) for place, name in enumerate(names)
    ]
    assert not met(*facts, lineages=cycle)


def test_the_largest_set_is_found_where_the_first_is_not_it() -> None:
    """``m`` stands first by name and shares an ancestor with both of the others that would do."""
    shared = [LineageFact(name="x"), LineageFact(name="y"), LineageFact(name="z")]
    shared += [LineageFact(name="aa", parents=("x", "y")), LineageFact(name="ab", parents=("x",))]
    shared += [LineageFact(name="ac", parents=("y",)), LineageFact(name="ad", parents=("z",))]
    facts = [run(name, number=place + 1) for place, name in enumerate(("aa", "ab", "ac", "ad"))]
    verdict = decide(RULE, evidence_of(facts, shared), now=NOW)
    assert verdict.models == ("ab", "ac", "ad") and met(*facts, lineages=shared)


# --- T011: dates


def test_fault_t011_a_date_is_met_from_its_moment_on() -> None:
    rule = Rule(any_of=(Date(moment="2026-02-01T00:00:00.5Z"),))
    assert not met(rule=rule) and not met(rule=rule, now=NOW + timedelta(milliseconds=499))
    assert met(rule=rule, now=NOW + timedelta(milliseconds=500)) and met(
        rule=rule, now=NOW + timedelta(days=9)
    )


def test_either_clause_is_enough_and_the_first_is_named() -> None:
    rule = default_rule("2026-02-01T00:00:00Z")
    both = decide(rule, evidence_of(three(), APART), now=NOW)
    assert (both.clause, both.models) == (0, ("a", "b", "c"))
    dated = decide(rule, evidence_of([], APART), now=NOW)
    assert (dated.met, dated.clause, dated.models) == (True, 1, ())
    neither = decide(rule, evidence_of([], APART), now=NOW - timedelta(seconds=1))
    assert (neither.met, neither.clause) == (False, None)


@pytest.mark.parametrize(
    "moment",
    [
        "9999-12-31T23:59:59Z",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-02-01T24:00:01Z",
        "2026-02-01T23:59:60Z",
        "2026-02-01T00:00:00",
        "2026-02-01T00:00:00+01:00",
        "2026-03-29T02:30:00 Europe/Berlin",
        "2026-02-01",
        "tomorrow",
        "",
        None,
        1769904000,
        "２０２６-02-01T00:00:00Z",
    ],
)
def test_fault_t011_dates_that_are_none(moment: object) -> None:
    """Never, no calendar's, without a zone, of another zone; the hour that summer time leaves out is one in UTC."""
    with pytest.raises(EvaluatorError) as caught:
        read_rule({"any_of": [{"kind": "date", "moment": moment}]})
    assert caught.value.code is Code.RULE_INVALID


def test_the_hour_that_summer_time_leaves_out_exists_in_utc() -> None:
    assert moment_of("2026-03-29T02:30:00Z") == datetime(2026, 3, 29, 2, 30, tzinfo=UTC)


# --- reading


GOOD = {"any_of": [{"kind": "lineages", "models": 3, "numerator": 95, "denominator": 100}]}


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        {"any_of": []},
        {"any_of": [{}]},
        {"any_of": [{"kind": "always"}]},
        {**GOOD, "version": 2},
        {**GOOD, "all_of": []},
        {"any_of": GOOD["any_of"] * 9},
        *(
            {"any_of": [{**GOOD["any_of"][0], **changed}]}  # type: ignore[dict-item]
            for changed in (
                {"models": 0},
                {"models": 9},
                {"models": 2.5},
                {"models": True},
                {"numerator": 0},
                {"numerator": -1},
                {"numerator": 101},
                {"numerator": 0.95},
                {"denominator": 0},
                {"open_weights": 1},
                {"more": 1},
            )
        ),
    ],
    ids=str,
)
def test_rules_that_are_none(data: object) -> None:
    with pytest.raises(EvaluatorError) as caught:
        read_rule(data)
    assert caught.value.code is Code.RULE_INVALID


def test_a_good_rule_is_read_and_said_in_words() -> None:
    rule = read_rule(default_rule("2027-01-02T03:04:05Z").to_dict())
    assert rule == default_rule("2027-01-02T03:04:05Z")
    assert (
        in_words(rule)
        == "3 open models of distinct lineages with 95% right, or from 2027-01-02 03:04 UTC on"
    )
    odd = Lineages(models=1, numerator=2, denominator=3, open_weights=False)
    assert in_words(Rule(any_of=(odd,))) == "1 model with 2/3 right"
    assert rule_digest(rule) != rule_digest(RULE) and len(rule_digest(rule)) == 64


def evidence() -> dict[str, Any]:
    return evidence_of(three(), APART).to_dict()


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 3},
        {"version": 1},
        {"set": "A set"},
        {"root": "00"},
        {"moment": "2026-02-30T00:00:00Z"},
        {"moment": "2026-02-01"},
        {"more": 1},
        {"runs": None},
        {"runs": [{**run("a").to_dict(), "right": -1}]},
        {"runs": [{**run("a").to_dict(), "right": 1.0}]},
        {"runs": [{**run("a").to_dict(), "complete": 1}]},
        {"runs": [{**run("a").to_dict(), "tier": "T9"}]},
        {"runs": [{**run("a").to_dict(), "closings": ["00"]}]},
        {"runs": [{**run("a").to_dict(), "model": "a model"}]},
        {"runs": [run("a").to_dict(), run("a").to_dict()]},
        {"runs": [run("a", number=1).to_dict(), run("b", number=1).to_dict()]},
        {"lineages": [{"name": "a", "parents": "b"}]},
    ],
    ids=str,
)
def test_evidence_that_is_none(changed: dict[str, object]) -> None:
    """Also where one run is listed as that of two models."""
    assert read_evidence(evidence()).runs[0].run == run_id(ord("a"))
    with pytest.raises(EvaluatorError) as caught:
        read_evidence({**evidence(), **changed})
    assert caught.value.code is Code.EVIDENCE_UNREADABLE


def test_evidence_has_one_digest() -> None:
    one = read_evidence(evidence())
    assert evidence_digest(one) == evidence_digest(evidence_of(three(), APART))
    assert evidence_digest(one) != evidence_digest(evidence_of(three(right=20), APART))
    assert one.moment == MOMENT


# --- the progress that a page shows


def test_what_is_short() -> None:
    facts = [
        run("a"),
        run("b", 15),
        run("b", 17, number=9),
        run("c", 18),
        run("d", 10, retracted=True),
    ]
    verdict = decide(RULE, evidence_of(facts, APART), now=NOW)
    state = verdict.clauses[0]
    assert (state.models, state.wanted) == (("a",), 3)
    assert state.short == (Short("c", 1, 20), Short("b", 2, 20))
    line = decide(RULE, evidence_of([run("a", 1100, 1205)], APART), now=NOW).clauses[0].short
    assert line == (Short("a", 45, 1205),)


@pytest.mark.parametrize(("share", "n"), [((95, 100), 1205), ((9, 10), 120), ((1, 2), 400)])
def test_the_bound_is_where_wilsons_interval_passes_the_share(
    share: tuple[int, int], n: int
) -> None:
    clause = Lineages(models=1, numerator=share[0], denominator=share[1])
    bound = least_right_by_interval(clause, n)
    beyond = [x for x in range(n + 1) if wilson(x, n, 0.95).low >= share[0] / share[1]]
    assert bound == beyond[0]
    facts = [run("a", bound - 1, n), run("b", bound, n)]
    scores = [
        decide(Rule(any_of=(clause,)), evidence_of([fact], APART), now=NOW).clauses[0].scores[0]
        for fact in facts
    ]
    assert [score.is_beyond_bound for score in scores] == [False, True]
    assert scores[0].spare == bound - 1 - least_right(clause, n)


def test_gsm1ks_rule_has_a_bound_of_1160() -> None:
    clause = Lineages(models=3, numerator=95, denominator=100)
    assert (least_right(clause, 1205), least_right_by_interval(clause, 1205)) == (1145, 1160)


def test_a_share_that_no_count_can_prove_has_no_bound() -> None:
    whole = Lineages(models=1, numerator=1, denominator=1)
    few = Lineages(models=1, numerator=95, denominator=100)
    assert least_right_by_interval(whole, 1205) is None
    assert least_right_by_interval(few, 9) is None
