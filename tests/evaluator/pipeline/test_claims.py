import os
from pathlib import Path

from evaluator.pipeline.leases import Claims, Standing

RUN = "0e6f4f0a-8d0e-4f0c-9a57-0a4be0f5d001"
OTHER = "0e6f4f0a-8d0e-4f0c-9a57-0a4be0f5d002"


def test_an_attempt_is_claimed_once_even_by_another_process(tmp_path: Path) -> None:
    claim = Claims(tmp_path / "claims").claim(RUN, 3)
    assert claim
    again = Claims(tmp_path / "claims")
    assert again.claim(RUN, 3) is None
    with claim:
        assert again.standing(RUN, 3) is Standing.HELD
    assert again.standing(RUN, 3) is Standing.OVER
    assert again.claim(RUN, 3) is None


def test_an_older_token_is_distinguished_from_a_newer(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    for token in (9, 10):
        claim = claims.claim(RUN, token)
        assert claim
        with claim:
            pass
    assert claims.standing(RUN, 9) is Standing.OLDER
    assert claims.standing(RUN, 2) is Standing.OLDER
    assert claims.standing(RUN, 10) is Standing.OVER
    assert claims.standing(RUN, 11) is Standing.NEW


def test_runs_do_not_disturb_each_other(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    claim = claims.claim(RUN, 5)
    assert claim
    with claim:
        assert claims.standing(OTHER, 1) is Standing.NEW
        assert claims.claim(OTHER, 1)


def test_claims_of_earlier_attempts_and_old_ones_are_deleted(tmp_path: Path) -> None:
    claims = Claims(tmp_path)
    for run, token in ((RUN, 1), (RUN, 2), (OTHER, 1)):
        with claims.claim(run, token):  # type: ignore[union-attr]
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([f"{RUN}.2", f"{OTHER}.1"])
    assert claims.standing(RUN, 1) is Standing.OLDER
    os.utime(tmp_path / f"{OTHER}.1", (1, 1))
    with Claims(tmp_path).claim(RUN, 3):  # type: ignore[union-attr]
        pass
    assert [path.name for path in tmp_path.iterdir()] == [f"{RUN}.3"]
    assert Claims(tmp_path).standing(RUN, 3) is Standing.OVER
