from hypothesis import given
from hypothesis import strategies as st

from evaluator.pipeline.plan import Batch, Policy, Streak, batches, for_endpoint, waits


def test_batches_cut_what_is_left_in_set_order() -> None:
    cut = list(batches([{3, 0, 4, 2}, {0, 1}, frozenset()], size=3))
    assert cut == [Batch(0, (0, 2, 3)), Batch(0, (4,)), Batch(1, (0, 1))]


@given(
    st.lists(st.frozensets(st.integers(0, 39)), max_size=4),
    st.integers(1, 50),
)
def test_every_open_item_is_in_exactly_one_batch(sets: list[frozenset[int]], size: int) -> None:
    cut = list(batches(sets, size=size))
    asked = [(batch.position, index) for batch in cut for index in batch.indices]
    assert asked == [(place, i) for place, left in enumerate(sets) for i in sorted(left)]
    assert all(0 < len(batch.indices) <= size for batch in cut)


def test_waits_double_up_to_the_longest_and_follow_chance() -> None:
    policy = Policy(tries=6, first_wait=1, longest_wait=5)
    assert list(waits(policy, lambda: 1.0)) == [1, 2, 4, 5, 5]
    assert list(waits(policy, lambda: 0.5)) == [0.5, 1, 2, 2.5, 2.5]
    assert list(waits(Policy(tries=1), lambda: 1.0)) == []


def test_a_streak_is_broken_by_an_answer() -> None:
    streak = Streak(3)
    assert [streak.missed(), streak.missed()] == [False, False]
    streak.answered()
    assert [streak.missed(), streak.missed(), streak.missed()] == [False, False, True]


def test_an_endpoint_gets_more_questions_to_hold_than_may_be_on_their_way_and_no_second_layer_of_tries() -> (
    None
):
    policy = for_endpoint(Policy(concurrency=8, tries=5))
    assert (policy.tries, policy.concurrency) == (1, 24)
