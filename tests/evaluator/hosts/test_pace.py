"""How many questions at once: growth, halving, pauses; and what a share of refusals does not do."""

import random

import pytest

from evaluator.hosts.gateway.pace import START, Pace, Sent


def test_it_starts_at_twenty_or_the_ceiling() -> None:
    assert Pace(64).limit == START == 20
    assert Pace(3).limit == 3


def test_it_grows_with_each_question_that_is_taken_and_no_further_than_the_ceiling() -> None:
    pace = Pace(24)
    sent = [pace.send() for _ in range(30)]
    pace.accepted(sent[0])
    pace.answered(sent[0])  # the same question counts once
    assert pace.limit == 21
    for one in sent[1:]:
        pace.answered(one)
    assert pace.limit == 24


def test_it_is_halved_once_for_a_burst_of_refusals_and_grows_by_one_a_round_afterwards() -> None:
    pace = Pace(64)
    for one in [pace.send() for _ in range(20)]:
        pace.refused(one, wait=2.0, now=100.0)
    assert pace.limit == 10
    for _ in range(11):
        pace.answered(pace.send())
    assert pace.limit == 11
    for one in [pace.send() for _ in range(32)]:
        pace.refused(one, wait=0, now=200.0)
    assert pace.limit == 5


def test_it_never_falls_below_one() -> None:
    pace = Pace(2)
    for _ in range(50):
        pace.refused(pace.send(), wait=0, now=0)
    assert pace.limit == 1


def test_a_share_of_refusals_neither_halves_nor_pauses() -> None:
    chance, pace = random.Random(3), Pace(64)
    sent = [pace.send() for _ in range(20)]
    for _ in range(5000):
        one = sent.pop(0)
        if chance.random() < 0.2:
            pace.refused(one, wait=1.0, now=0.0)
        else:
            pace.answered(one)
        sent.append(pace.send())
    assert pace.limit == 64
    assert pace.not_before == 0.0


def test_everyone_waits_where_half_was_refused_and_later_refusals_prolong_it() -> None:
    pace = Pace(64)
    first, second = pace.send(), pace.send()
    pace.refused(first, wait=1.0, now=100.0)
    assert pace.not_before == 101.0
    pace.refused(second, wait=5.0, now=100.5)  # sent before the cut
    assert (pace.not_before, pace.limit) == (105.5, 10)


def test_one_that_hangs_among_many_changes_nothing() -> None:
    pace = Pace(64)
    hung = pace.send()
    for _ in range(200):
        pace.answered(pace.send())
    pace.refused(hung, wait=0.0, now=1.0)
    assert (pace.limit, pace.not_before) == (64, 0.0)


@pytest.mark.parametrize("supply", [3, 17, 40])
def test_it_finds_what_an_endpoint_bears(supply: int) -> None:
    """An endpoint that has ``supply`` questions in hand at once and refuses what comes beyond."""
    pace, now = Pace(64), 0.0
    seen = []
    for _ in range(400):
        now = max(now + 1.0, pace.not_before)
        sent: list[Sent] = [pace.send() for _ in range(pace.limit)]
        for place, one in enumerate(sent):
            if place < supply:
                pace.answered(one)
            else:
                pace.refused(one, wait=1.0, now=now)
        seen.append(pace.limit)
    late = seen[200:]
    assert max(late) <= 2 * supply + 2
    assert min(late) >= min(supply, 20) / 2
