"""When the gateway asks again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluator.errors import EXPLANATIONS, Code
from evaluator.hosts.gateway.patience import (
    LATER,
    RETRIED,
    History,
    Patience,
    delay,
    retry_after_seconds,
)

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


def once(code: Code, patience: Patience | None = None, **about: float) -> float | None:
    """Seconds until the next attempt. The endpoint never answered, unless ``answered``."""
    history = History(
        alive=int(about.get("failures", 1)),
        silent=int(about.get("silent", 0)),
        refusals=int(about.get("refusals", 1)),
        silence=about.get("silence", 0.0),
    )
    return delay(
        patience or Patience(),
        code,
        history,
        answered=bool(about.get("answered", False)),
        retry_after=about.get("retry_after"),
        left=about.get("left", 21_600.0),
        chance=about.get("chance", 1.0),
    )


@pytest.mark.parametrize("code", sorted(set(Code) - RETRIED))
def test_what_cannot_get_better_is_not_asked_again(code: Code) -> None:
    assert once(code) is None


def test_only_codes_that_may_pass_are_retried() -> None:
    assert all(EXPLANATIONS[code].again for code in LATER)
    assert {Code.ENDPOINT_BAD_RESPONSE} == RETRIED - LATER


def test_backoff_doubles_up_to_the_longest_wait() -> None:
    patience = Patience(backoff_seconds=1, longest_wait_seconds=5, attempts=100)
    assert [once(Code.ENDPOINT_ERROR, patience, failures=n) for n in (1, 2, 3, 4, 50)] == [
        1,
        2,
        4,
        5,
        5,
    ]


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


def test_retry_after_is_obeyed_within_the_time_of_the_run() -> None:
    assert once(Code.ENDPOINT_RATE_LIMITED, retry_after=61.0, chance=0.0) == 61.0
    assert once(Code.ENDPOINT_RATE_LIMITED, retry_after=3600.0, left=3600.0) == 3600.0
    assert once(Code.ENDPOINT_ERROR, retry_after=2.0, chance=0.0) == 2.0
    assert once(Code.ENDPOINT_RATE_LIMITED, retry_after=61.0, left=60.0) is None


def test_a_server_that_always_says_at_once_is_asked_ever_more_slowly() -> None:
    waits = [
        once(Code.ENDPOINT_RATE_LIMITED, retry_after=0.0, refusals=n, answered=True)
        for n in range(1, 30)
    ]
    assert waits[:10] == [0.0] * 10
    assert sum(wait or 0.0 for wait in waits) > 300


@pytest.mark.parametrize("code", sorted(LATER - {Code.ENDPOINT_RATE_LIMITED}))
def test_an_endpoint_that_fell_silent_is_waited_for(code: Code) -> None:
    """Before, the fourth failure ended it: a restart of a minute cost the run."""
    silent = {"failures": 0, "silent": 40, "answered": True}
    assert once(code, silence=1799.0, **silent) is not None
    assert once(code, silence=1800.0, **silent) is None
    assert once(code, silence=60.0, failures=0, silent=40) is None  # it has never answered
    assert once(code, Patience(start_seconds=120), silence=60.0, failures=0, silent=40) is not None


def test_an_endpoint_that_was_silent_from_the_start_gets_two_attempts() -> None:
    """Four attempts of two minutes each held the evaluator for eight."""
    patience = Patience(start_seconds=20, timeout_seconds=120)
    after_one = {"failures": 0, "silent": 1, "silence": 0.0}
    after_two = {"failures": 0, "silent": 2, "silence": 120.0}
    assert once(Code.ENDPOINT_TIMEOUT, patience, **after_one) is not None
    assert once(Code.ENDPOINT_TIMEOUT, patience, **after_two) is None
    # A host that gives endpoints ten minutes to start gives them all of it.
    slow_start = Patience(start_seconds=600, timeout_seconds=120)
    assert once(Code.ENDPOINT_TIMEOUT, slow_start, **after_two) is not None
    # One that refuses connections is tried four times, whatever the time-out.
    assert once(Code.ENDPOINT_UNREACHABLE, patience, failures=0, silent=3, silence=3.0) is not None


def test_a_question_that_fails_while_others_are_answered_is_given_up() -> None:
    assert once(Code.ENDPOINT_ERROR, failures=3, answered=True) is not None
    assert once(Code.ENDPOINT_ERROR, failures=4, answered=True) is None


def test_a_bad_body_is_asked_again_and_is_no_outage() -> None:
    assert once(Code.ENDPOINT_BAD_RESPONSE, failures=0, silent=3, answered=True) is not None
    assert once(Code.ENDPOINT_BAD_RESPONSE, failures=0, silent=4, answered=True) is None
