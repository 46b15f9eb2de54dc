import base64
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Failed, Finished, Started
from evaluator.errors import Code
from evaluator.pipeline.attempt import run_job
from evaluator.sealing.seal import seal_secret
from tests.evaluator.installed import install, outcomes
from tests.evaluator.pipeline.attempts import CHECKPOINT, ENDPOINT, URL, Bench, exposures, last_code


@pytest.mark.parametrize(
    "job",
    [None, [], "x", 7, {}, {"run": "../../etc"}, {"version": 2}, {"__reduce__": "os.system"}],
    ids=repr,
)
def test_a_message_that_is_no_job_is_refused_and_says_nothing(bench: Bench, job: object) -> None:
    assert bench.run(job) == []


@pytest.mark.parametrize(
    "change",
    [
        {"run": "../../../../etc/passwd"},
        {"token": 0},
        {"lease_seconds": -1},
        {"sets": []},
        {"system": {"kind": "checkpoint", "name": "../keys"}},
        {"surprise": 1},
        {"limits": {"seconds": 1e9}},
    ],
    ids=repr,
)
def test_a_hostile_job_is_refused(bench: Bench, change: dict[str, Any]) -> None:
    assert bench.run(bench.place.job(CHECKPOINT) | change) == []
    assert bench.served == []


def test_the_same_attempt_twice_is_done_once(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    run_job(job, bench.host)
    run_job(job, bench.host)
    reports = bench.finish()
    assert sum(isinstance(report.body, Started) for report in reports) == 1
    assert len(bench.served) == 1


def test_a_second_ring_for_an_attempt_that_is_over_says_that_it_is_lost(bench: Bench) -> None:
    """The site rings again only where it has heard nothing: the reports are gone, and nobody would send more."""
    job = bench.place.job(CHECKPOINT)
    run_job(job, bench.host)
    run_job(job, bench.host)
    *first, last = bench.finish()
    assert isinstance(first[-1].body, Finished)
    assert last.body == Failed(code=Code.LOST)
    assert last.worker != first[-1].worker, "it must not pass for the attempt, should that have been heard after all"


def test_a_ring_for_an_attempt_under_way_is_dropped(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    claim = bench.host.claims.claim(job["run"], job["token"])
    assert claim
    with claim:
        run_job(job, bench.host)
    assert bench.finish() == []


def test_an_older_attempt_is_dropped_and_a_newer_one_done(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    for token in (2, 1, 3):
        run_job(job | {"token": token}, bench.host)
    assert {report.token for report in bench.finish()} == {2, 3}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"protocol": "no-such"}, Code.UNKNOWN_PROTOCOL),
        ({"system": {"kind": "checkpoint", "name": "elsewhere"}}, Code.CHECKPOINT_UNKNOWN),
        ({"protocol": "gsm8k-cot-5shot"}, Code.SET_TOO_FEW_SHOTS),
    ],
)
def test_what_cannot_work_fails_with_its_code(bench: Bench, change: dict[str, Any], code: Code) -> None:
    assert last_code(bench.run(bench.place.job(CHECKPOINT) | change)) is code


@pytest.mark.parametrize(
    ("at", "change", "code"),
    [
        (0, {"name": "nowhere"}, Code.UNKNOWN_SET),
        (0, {"digest": "00" * 32}, Code.SET_MISMATCH),
        (0, {"n": 31, "done": ""}, Code.SET_MISMATCH),
        (0, {"name": "closed"}, Code.BAD_MESSAGE),
        (0, {"done": "////////////"}, Code.BAD_MESSAGE),
        (1, {"name": "nowhere"}, Code.UNKNOWN_SET),
        (1, {"digest": "00" * 32}, Code.SET_MISMATCH),
        (1, {"sealed": False}, Code.UNKNOWN_SET),
        (1, {"n": 29, "done": ""}, Code.SET_MISMATCH),
    ],
)
def test_a_set_other_than_ours_is_refused(bench: Bench, at: int, change: dict[str, Any], code: Code) -> None:
    job = bench.place.job(CHECKPOINT)
    job["sets"][at] |= change
    assert last_code(bench.run(job)) is code
    assert exposures(bench.place.reports(bench.envelopes)) == []
    assert bench.served == []


def test_an_unlisted_endpoint_gets_no_sealed_item_whatever_the_job_says(bench: Bench) -> None:
    assert last_code(bench.run(bench.place.job(ENDPOINT))) is Code.RECIPIENT_REFUSED
    assert bench.served == []
    assert not exposures(bench.place.reports(bench.envelopes))


def test_an_unlisted_endpoint_gets_public_sets_and_no_private_address(bench: Bench) -> None:
    job = bench.place.job(ENDPOINT)
    reports = bench.run(job | {"sets": job["sets"][:1]})
    assert set(outcomes(reports)) == {("open", i) for i in range(30)}
    assert bench.served[0]["allow_private"] is False


def test_a_listed_endpoint_gets_the_sealed_set_and_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(install(tmp_path).allowing(URL), monkeypatch)
    sealed_key = seal_secret(bench.place.identity.host_pub, "sk-secret", bound_to=URL)
    reports = bench.run(bench.place.job(ENDPOINT | {"sealed_key": sealed_key}))
    assert len(outcomes(reports)) == 60
    assert {(entry.recipient, entry.tier) for entry in exposures(reports)} == {("models.example", "T1")}
    assert bench.served[0]["key"] == "sk-secret"
    assert bench.served[0]["allow_private"] is True
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-secret" not in files


def test_a_key_sealed_for_another_address_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(install(tmp_path).allowing(URL), monkeypatch)
    stolen = seal_secret(bench.place.identity.host_pub, "sk-secret", bound_to="https://elsewhere.example/v1")
    assert last_code(bench.run(bench.place.job(ENDPOINT | {"sealed_key": stolen}))) is Code.BAD_MESSAGE
    rubbish = base64.b64encode(b"rubbish").decode()
    bench.open()
    run_job(bench.place.job(ENDPOINT | {"sealed_key": rubbish}), bench.host)
