import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluator.backends import Backend, FakeBackend
from evaluator.contract import (
    Closing,
    Declined,
    Exposed,
    Failed,
    Finished,
    Graded,
    Outcome,
    Progress,
    Started,
    unpack_bits,
)
from evaluator.errors import Code, Fault, error
from evaluator.pipeline import attempt, parts
from evaluator.pipeline.attempt import run_job
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.keys import load_keys
from tests.evaluator.installed import CANARY, install, outcomes
from tests.evaluator.pipeline.attempts import (
    CHECKPOINT,
    ENDPOINT,
    URL,
    WEIGHTS,
    Acting,
    Bench,
    exposures,
    last_code,
    right,
)


def test_an_attempt_from_started_to_finished(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    reports = bench.run(job)
    assert isinstance(reports[0].body, Started)
    assert reports[0].body.grant == job["grant"]
    assert isinstance(reports[-1].body, Finished)
    assert outcomes(reports) == {
        (name, i): Outcome.RIGHT for name in ("open", "closed") for i in range(30)
    }
    assert [(c.name, c.n, c.right, c.wrong) for c in reports[-1].body.sets] == [
        ("open", 30, 30, 0),
        ("closed", 30, 30, 0),
    ]
    assert {(report.run, report.token) for report in reports} == {(job["run"], 1)}
    assert len({report.worker for report in reports}) == 1
    assert [report.sequence for report in reports] == list(range(1, len(reports) + 1))


def test_every_exposure_is_reported_before_a_prompt_leaves(bench: Bench) -> None:
    was_reported: list[bool] = []

    def act(prompt: str) -> str:
        if CANARY in prompt:
            index = bench.place.index("closed", int(right(prompt).split()[-1]))
            spooled = [*bench.place.folder.glob("home/spool/*/*.json")]
            envelopes = bench.envelopes + [
                json.loads(path.read_bytes()) for path in spooled if path.exists()
            ]
            was_reported.append(
                any(
                    index in unpack_bits(entry.items, 30)
                    for entry in exposures(bench.place.reports(envelopes))
                )
            )
        return right(prompt)

    bench.model = Acting(act)
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert was_reported == [True] * 30
    assert sum(entry.count for entry in exposures(reports)) == 30
    assert {(entry.set, entry.recipient, entry.tier) for entry in exposures(reports)} == {
        ("closed", "jail", "T0")
    }


def test_exposures_that_a_crash_left_out_of_the_spool_are_sent_by_the_next_process(
    bench: Bench,
) -> None:
    job = bench.place.job(CHECKPOINT)
    bench.context.vault.reveal("closed", [3, 4], to="jail", run=job["run"], token=1)
    assert bench.finish() == []
    bench.open().ship_lines()
    [report] = bench.finish()
    assert [unpack_bits(entry.items, 30) for entry in report.body.entries] == [{3, 4}]
    assert (report.run, report.token) == (job["run"], 1)
    bench.open().ship_lines()
    assert len(bench.finish()) == 1


def test_items_with_an_outcome_are_neither_revealed_nor_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights read them once more, which ``test_reading.py`` is about."""
    done = {"closed": range(0, 30, 2), "open": range(29)}
    bench = Bench(install(tmp_path).allowing(URL), monkeypatch)
    reports = bench.run(bench.place.job(ENDPOINT, done=done))
    assert set(outcomes(reports)) == {("open", 29), *(("closed", i) for i in range(1, 30, 2))}
    assert set().union(*(unpack_bits(entry.items, 30) for entry in exposures(reports))) == set(
        range(1, 30, 2)
    )
    assert isinstance(reports[-1].body, Finished)


def test_completions_of_the_sealed_set_are_stored_encrypted_and_nowhere_else(bench: Bench) -> None:
    bench.model = FakeBackend(lambda prompt: f"{right(prompt)} SAID-BY-THE-MODEL")
    job = bench.place.job(CHECKPOINT)
    bench.run(job)
    store = CompletionStore(
        bench.place.folder / "home" / "completions",
        load_keys(bench.place.folder / "keys").completions,
    )
    stored = store.read(job["run"])
    assert {(answer.set_name, answer.index) for answer in stored} == {
        (name, i) for name in ("open", "closed") for i in range(30)
    }
    assert all(answer.text.endswith("SAID-BY-THE-MODEL") for answer in stored)
    written = b"".join(
        path.read_bytes() for path in bench.place.folder.rglob("*") if path.is_file()
    )
    assert b"SAID-BY-THE-MODEL" not in written
    assert CANARY.encode() not in written
    assert b"boat" in written
    assert CANARY not in json.dumps(bench.envelopes)


@pytest.mark.parametrize(
    "code", [Code.HOST_FAILED, Code.ENDPOINT_UNAUTHORIZED, Code.ENDPOINT_BAD_RESPONSE]
)
def test_what_was_graded_is_sent_before_failed(bench: Bench, code: Code) -> None:
    asked: list[str] = []

    def act(prompt: str) -> str:
        asked.append(prompt)
        if len(asked) == 20:
            raise error(code)
        return right(prompt)

    bench.model = Acting(act)
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert last_code(reports) is code
    assert len(outcomes(reports)) >= 10


def test_an_item_without_an_answer_makes_the_run_incomplete(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def act(prompt: str) -> str:
        if "boat is number 7?" in prompt:
            raise error(Code.ENDPOINT_TIMEOUT)
        return right(prompt)

    bench.model = Acting(act)
    job = bench.place.job(CHECKPOINT)
    reports = bench.run(job)
    assert last_code(reports) is Code.INCOMPLETE
    assert len(outcomes(reports)) == 59
    assert ("open", 7) not in outcomes(reports)


def test_a_surprise_is_named_by_type_and_place_and_the_next_job_is_done(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def act(prompt: str) -> str:
        raise KeyError(prompt)

    bench.model = Acting(act)
    run_job(bench.place.job(CHECKPOINT), bench.context)
    assert "unexpected KeyError at test_attempt.py:" in caplog.text
    assert CANARY not in caplog.text
    assert "boat" not in caplog.text
    bench.model = FakeBackend(right)
    again = bench.place.job(CHECKPOINT)
    reports = bench.run(again)
    assert [report.body.code for report in reports if isinstance(report.body, Failed)] == [
        Code.INTERNAL
    ]
    assert isinstance(reports[-1].body, Finished)


def test_the_time_limit_ends_an_attempt_and_keeps_what_was_graded(bench: Bench) -> None:
    bench.model = Acting(right, latency=0.05)
    reports = bench.run(
        bench.place.job(CHECKPOINT) | {"limits": {"seconds": 0.3, "concurrency": 2}}
    )
    assert last_code(reports) is Code.DEADLINE
    assert 0 < len(outcomes(reports)) < 60


def test_a_worker_that_is_to_stop_finishes_if_it_can(bench: Bench) -> None:
    bench.stopping = True
    bench.model = Acting(right, latency=0.05)
    assert isinstance(bench.run(bench.place.job(CHECKPOINT))[-1].body, Finished)


def test_a_worker_that_is_to_stop_ends_a_long_attempt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "GRACE_SECONDS", 0.3)
    bench.stopping = True
    bench.model = Acting(right, latency=0.1)
    reports = bench.run(
        bench.place.job(CHECKPOINT) | {"limits": {"seconds": 60.0, "concurrency": 1}}
    )
    assert last_code(reports) is Code.HANDED_BACK
    assert 0 < len(outcomes(reports)) < 60


def test_a_worker_that_is_to_stop_hands_a_run_back_within_a_third_of_its_lease(
    bench: Bench,
) -> None:
    bench.stopping = True
    bench.model = Acting(right, latency=0.1)
    long = {"limits": {"seconds": 60.0, "concurrency": 1}, "lease_seconds": 1.5}
    assert last_code(bench.run(bench.place.job(CHECKPOINT) | long)) is Code.HANDED_BACK


def test_a_draining_worker_declines_further_runs(bench: Bench) -> None:
    """Also one whose message it had fetched before; one that it has begun goes on."""
    bench.run_with(replace(bench.context, draining=lambda: True), bench.place.job(CHECKPOINT))
    [declined] = bench.finish()
    assert declined.body == Declined(code=Code.OUT_OF_SERVICE)
    assert bench.served == []


def test_the_heartbeat_beats_also_while_a_model_loads(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.asynccontextmanager
    async def loading(target: object, **about: Any) -> AsyncIterator[Backend]:
        time.sleep(1.2)
        yield Acting(right, latency=0.2)

    monkeypatch.setattr(parts, "serve_checkpoint", loading)
    reports = bench.run(bench.place.job(CHECKPOINT) | {"lease_seconds": 1.5})
    beats = [report.body for report in reports if isinstance(report.body, Progress)]
    assert [beat.phase for beat in beats[:2]] == ["loading", "loading"]
    assert beats[-1].phase == "asking"
    assert [beat.total for beat in beats] == [60] * len(beats)
    assert sorted(beat.done for beat in beats) == [beat.done for beat in beats]


def test_a_set_that_is_not_enrolled_here_is_declined_before_anything_is_exposed(
    bench: Bench,
) -> None:
    wrap = bench.place.folder / "sets" / "closed" / "wraps" / f"{bench.place.identity.name}.json"
    wrap.unlink()
    reports = bench.run(bench.place.job(CHECKPOINT))
    assert [report.body for report in reports] == [Declined(code=Code.NOT_ENROLLED)]


def test_a_broken_journal_does_not_keep_failed_from_being_said(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> None:
        raise error(Code.JOURNAL_BROKEN)

    monkeypatch.setattr(bench.context.__class__, "ship_lines", lambda self: broken())
    job = bench.place.job(CHECKPOINT) | {"protocol": "gsm8k-cot-5shot"}
    assert last_code(bench.run(job)) is Code.SET_TOO_FEW_SHOTS


def test_a_full_disk_under_the_spool_does_not_end_the_worker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise error(Code.DISK_FULL)

    monkeypatch.setattr(bench.context.__class__, "put", property(lambda self: full), raising=False)
    run_job(bench.place.job(CHECKPOINT), bench.context)
    assert "not reported: code=disk_full" in caplog.text


def test_the_log_of_a_run_holds_ids_and_codes_only(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    job = bench.place.job(CHECKPOINT)
    bench.run(job)
    text = caplog.text
    assert job["run"] in text
    assert CANARY not in text
    assert "boat" not in text
    assert job["grant"] not in text


def test_graded_groups_are_small(bench: Bench) -> None:
    reports = bench.run(bench.place.job(CHECKPOINT))
    sizes = [len(report.body.outcomes) for report in reports if isinstance(report.body, Graded)]
    assert max(sizes) <= bench.context.policy.group


def test_the_closing_commits_to_the_tensors_that_the_last_report_lists(bench: Bench) -> None:
    reports = bench.run(bench.place.job(CHECKPOINT))
    closings = [
        line for one in reports if isinstance(one.body, Exposed) for line in one.body.entries
    ]
    [closing] = [line for line in closings if isinstance(line, Closing)]
    finished = reports[-1].body
    assert isinstance(finished, Finished) and finished.weights == WEIGHTS
    assert (closing.artefact, closing.weights) == (finished.artefact, WEIGHTS.digest())


def test_an_endpoint_has_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(install(tmp_path).allowing(URL), monkeypatch)
    reports = bench.run(bench.place.job(ENDPOINT))
    assert isinstance(reports[-1].body, Finished) and reports[-1].body.weights is None


def test_fault_d12_a_set_that_was_damaged_since_the_last_run_fails_the_next_as_ours(
    bench: Bench,
) -> None:
    assert isinstance(bench.run(bench.place.job(CHECKPOINT))[-1].body, Finished)
    path = bench.place.folder / "sets" / "closed" / "items.sealed"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    bench.context = replace(
        bench.open(), vault=bench.context.vault
    )  # one vault, as of a worker that goes on
    job = bench.place.job(CHECKPOINT)
    reports = [one for one in bench.run(job) if one.run == job["run"]]
    assert last_code(reports) is Code.SEAL_BROKEN and error(Code.SEAL_BROKEN).fault is Fault.OURS
    assert exposures(reports) == []
