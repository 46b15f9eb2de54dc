from pathlib import Path

from evaluator.pipeline.claims import Claims

RUN = "0e6f4f0a-8d0e-4f0c-9a57-0a4be0f5d001"
OTHER = "0e6f4f0a-8d0e-4f0c-9a57-0a4be0f5d002"


def test_an_attempt_is_claimed_once_even_by_another_process(tmp_path: Path) -> None:
    assert Claims(tmp_path / "claims").claim(RUN, 3)
    again = Claims(tmp_path / "claims")
    assert not again.claim(RUN, 3)
    assert again.is_stale(RUN, 3)


def test_an_older_token_is_stale_and_a_newer_is_not(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    claims.claim(RUN, 9)
    claims.claim(RUN, 10)
    assert claims.is_stale(RUN, 9)
    assert claims.is_stale(RUN, 2)
    assert not claims.is_stale(RUN, 11)


def test_runs_do_not_disturb_each_other(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    claims.claim(RUN, 5)
    assert not claims.is_stale(OTHER, 1)
    assert claims.claim(OTHER, 1)
