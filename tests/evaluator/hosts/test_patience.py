"""When the gateway asks again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.errors import EXPLANATIONS, Code
from evaluator.hosts.gateway.patience import RETRIED, Patience, delay, retry_after_seconds

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        ("7", 7.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("Tue, 14 Nov 2023 22:13:30 GMT", 10.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.0),
        ("nan", None),
        ("inf", None),
        ("", None),
        ("soon", None),
        ("9" * 1000, None),
        ("Tue, 99 Nov 2023", None),
    ],
)
def test_what_retry_after_asks_for(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, now=NOW) == seconds


@given(st.text())
def test_any_header_is_read_without_an_exception(header: str) -> None:
    seconds = retry_after_seconds(header, now=NOW)
    assert seconds is None or seconds >= 0


def once(code: Code, patience: Patience | None = None, **counts: float | None) -> float | None:
    return delay(
        patience or Patience(), code, **{"failures": 1, "refusals": 1, "retry_after": None, "chance": 1.0, **counts}
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("code", sorted(set(Code) - RETRIED))
def test_what_cannot_get_better_is_not_asked_again(code: Code) -> None:
    assert once(code) is None


def test_only_codes_that_may_pass_are_retried() -> None:
    assert all(EXPLANATIONS[code].again for code in RETRIED)


def test_backoff_doubles_up_to_the_longest_wait() -> None:
    patience = Patience(backoff_seconds=1, longest_wait_seconds=5, attempts=100)
    assert [once(Code.ENDPOINT_ERROR, patience, failures=n) for n in (1, 2, 3, 4, 50)] == [1, 2, 4, 5, 5]


@given(st.floats(0, 1), st.integers(1, 3))
def test_jitter_stays_in_the_upper_half(chance: float, failures: int) -> None:
    full = once(Code.ENDPOINT_TIMEOUT, failures=failures, chance=1.0)
    some = once(Code.ENDPOINT_TIMEOUT, failures=failures, chance=chance)
    assert full is not None and some is not None
    assert full / 2 <= some <= full


def test_failures_and_refusals_are_counted_apart() -> None:
    patience = Patience(attempts=2, rate_limited_attempts=5)
    assert once(Code.ENDPOINT_ERROR, patience, failures=2) is None
    assert once(Code.ENDPOINT_RATE_LIMITED, patience, failures=2, refusals=4) is not None
    assert once(Code.ENDPOINT_RATE_LIMITED, patience, failures=0, refusals=5) is None


def test_retry_after_is_taken_as_it_is_or_not_at_all() -> None:
    patience = Patience(longest_wait_seconds=30)
    assert once(Code.ENDPOINT_RATE_LIMITED, patience, retry_after=30.0, chance=0.0) == 30.0
    assert once(Code.ENDPOINT_ERROR, patience, retry_after=2.0, chance=0.0) == 2.0
    assert once(Code.ENDPOINT_RATE_LIMITED, patience, retry_after=30.1) is None
