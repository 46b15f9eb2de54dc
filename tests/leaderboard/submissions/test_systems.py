"""A system of a generator and a verifier: taken, sent as one job, its parts and candidates stored and shown."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from msgspec.structs import replace as changed

from demo.hub import read_folder
from demo.programs import ROOT
from evaluator.contract import Candidates, Checkpoint, HubModel, JobSpec, Outcome, Part, System
from evaluator.errors import Code, EvaluatorError
from evaluator.grading.ballots import Vote
from evaluator.grading.candidates import Candidate, summary
from leaderboard.errors import SiteError
from leaderboard.refusals import Refusal
from leaderboard.submissions import actions
from leaderboard.submissions.actions import record_report
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Outbox, Run
from leaderboard.submissions.states import RunState
from tests.leaderboard.closing import publish
from tests.leaderboard.conftest import PRIVATE_N, PUBLIC_N, FakeEvaluator
from tests.leaderboard.practising import practice_pair
from tests.leaderboard.submissions.test_pages import text_of
from tests.leaderboard.submissions.test_run_summary import VOTES
from tests.servers.hub import FaultyServer, add, running

PROTOCOL = "demo-verify-48"
REPO = "demo-org/demo-small"


def candidates(name: str, n: int) -> Candidates:
    """Aggregates over four candidates an item, of which one is right and scored best."""
    right = Candidate(Vote("7", Outcome.RIGHT), 0.9)
    wrong = Candidate(Vote("8", Outcome.WRONG), 0.2)
    made = summary(name, [[wrong, right, wrong, wrong]] * n, least=1)
    assert made is not None
    return made


PARTS = (
    Part(
        role="generator",
        artefact="a1" * 32,
        weights="b1" * 32,
        parameters=433_824,
        engine="transformers 5.0.0",
        tokens_in=30_000,
        tokens_out=20_000,
        seconds=12.5,
    ),
    Part(
        role="verifier",
        artefact="a2" * 32,
        weights="b2" * 32,
        parameters=433_921,
        engine="transformers 5.0.0",
        tokens_in=55_000,
        tokens_out=0,
        seconds=3.5,
    ),
)


@pytest.fixture
def hub(settings: Any) -> Iterator[FaultyServer]:
    with running() as server:
        add(server, REPO, read_folder(ROOT / "demo" / "checkpoints" / "small"))
        settings.HUB_ENDPOINT = server.address
        yield server


@pytest.fixture
def programs(pair: Any) -> Any:
    """The pair, with a protocol that has a verifier."""
    pair.also = [PROTOCOL]
    pair.save()
    return pair


def ask(pair: Any, **fields: Any) -> Ask:
    facts = {"pair": pair.slug, "model": "pairing", "kind": "checkpoint", "checkpoint": "writer"}
    return Ask(**{**facts, "protocol": PROTOCOL, "verifier": "reader", **fields})  # type: ignore[arg-type]


def submit(user: Any, asked: Ask, key: str = "k") -> Run:
    return actions.submit(user=user, key=key, ask=asked).runs.get()


def test_a_system_is_sent_as_one_job_of_two_parts(programs: Any, user: Any) -> None:
    run = submit(user, ask(programs))
    spec = JobSpec.from_dict(Outbox.objects.get(run=run).payload)
    assert spec.system == System(
        generator=Checkpoint(name="writer"), verifier=Checkpoint(name="reader")
    )


def test_a_verifier_on_the_hub_is_resolved_once_to_a_commit(
    programs: Any, user: Any, hub: FaultyServer
) -> None:
    asked = hub.repositories[REPO].refs["main"]
    run = submit(user, ask(programs, verifier=REPO))
    hub.repositories[REPO].commit({"README.md": b"moved"})
    assert submit(user, ask(programs, verifier=REPO)) == run
    spec = JobSpec.from_dict(Outbox.objects.get(run=run).payload)
    assert isinstance(spec.system, System) and isinstance(spec.system.verifier, HubModel)
    verifier = spec.system.verifier
    assert (verifier.repo, verifier.commit) == (REPO, asked)
    assert {file.name for file in verifier.files} >= {"config.json", "model.safetensors"}
    assert run.submission.verifier == f"{REPO}@{asked}"


@pytest.mark.parametrize(
    ("verifier", "code"),
    [
        ("no/such", Code.HUB_NOT_FOUND),
        (f"{REPO}@v9", Code.HUB_REVISION_GONE),
        ("a/../b", Refusal.INVALID_FIELD),
        (f"{REPO}@", Refusal.INVALID_FIELD),
        (f"{REPO}@../x", Refusal.INVALID_FIELD),
        (f"{REPO}\0", Refusal.INVALID_FIELD),
    ],
)
def test_a_verifier_that_the_hub_has_not_is_refused(
    programs: Any, user: Any, hub: FaultyServer, verifier: str, code: Any
) -> None:
    with pytest.raises(SiteError) as refused:
        submit(user, ask(programs, verifier=verifier))
    assert refused.value.code is code
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    ("fields", "code", "detail"),
    [
        ({"verifier": ""}, Refusal.VERIFIER_MISSING, ""),
        ({"protocol": ""}, Refusal.VERIFIER_UNUSED, ""),
        ({"verifier": "../x"}, Refusal.INVALID_FIELD, "verifier"),
        ({"verifier": "https://models.example/v1"}, Code.VERIFIER_ENDPOINT, ""),
        (
            {
                "kind": "endpoint",
                "checkpoint": "",
                "url": "https://models.example/v1",
                "served_model": "m",
                "api": "chat",
            },
            Refusal.INVALID_FIELD,
            "verifier",
        ),
    ],
    ids=["none", "of no use", "no name", "an endpoint", "of an endpoint"],
)
def test_refusals_store_nothing(
    programs: Any, user: Any, fields: dict[str, Any], code: Any, detail: str
) -> None:
    with pytest.raises(SiteError) as refused:
        submit(user, ask(programs, **fields))
    assert (refused.value.code, refused.value.detail) == (code, detail)
    assert not Run.objects.exists()


def test_the_official_form_of_a_practised_system_names_its_verifier(
    programs: Any, user: Any, client: Client
) -> None:
    practice = practice_pair(programs)
    practice.also = [PROTOCOL]
    practice.save()
    order = ask(practice)
    run = actions.submit(user=user, key="k1", ask=order).runs.get()
    client.force_login(user)
    form = client.get(f"/submit/?run={run.pk}").context["form"]
    filled = [form[name].value() for name in ("pair", "checkpoint", "verifier", "protocol")]
    assert filled == [programs.slug, "writer", order.verifier, PROTOCOL]
    programs.also = []
    programs.save()
    form = client.get(f"/submit/?run={run.pk}").context["form"]
    assert form["verifier"].value() is None, "the benchmark's protocol has none"


def test_another_verifier_is_another_request(programs: Any, user: Any) -> None:
    submit(user, ask(programs))
    with pytest.raises(SiteError) as refused:
        submit(user, ask(programs, verifier="other"))
    assert refused.value.code is Refusal.KEY_REUSED
    assert ask(programs).fingerprint() != replace(ask(programs), verifier="").fingerprint()


def begun(run: Run, evaluator: FakeEvaluator) -> Any:
    evaluator.register()
    attempt = evaluator.begin(run)
    for report in attempt.story()[:-1]:
        record_report(envelope=report)
    return attempt


def test_candidates_that_are_written_are_shown_as_progress(
    programs: Any, user: Any, evaluator: FakeEvaluator, client: Client
) -> None:
    run = submit(user, ask(programs))
    evaluator.register()
    attempt = evaluator.begin(run)
    record_report(envelope=attempt.started())
    client.force_login(user)
    address = f"/api/v1/runs/{run.pk}"
    assert client.get(address).json()["written_percent"] is None
    everything = 48 * (PUBLIC_N + PRIVATE_N)
    for written, percent in ((0, 0), (everything * 47 // 100, 40), (everything + 1, 100)):
        record_report(envelope=attempt.progress(written=written))
        told = client.get(address).json()
        assert (told["written_percent"], told["percent"]) == (percent, 0)
        page = text_of(client.get(f"/runs/{run.pk}/"))
        assert f"The generator has written <span data-run-written>{percent}%</span>" in page


SUMMARY = {
    "parts": PARTS,
    "candidates": (candidates("public", PUBLIC_N), candidates("private", PRIVATE_N)),
}


@pytest.fixture
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leaderboard.submissions.actions.finishing.MIN_CELL_SIZE", 1)


@pytest.mark.usefixtures("small_cells")
def test_parts_and_candidates_are_stored_and_shown(
    programs: Any, user: Any, evaluator: FakeEvaluator, client: Client
) -> None:
    run = submit(user, ask(programs))
    record_report(envelope=begun(run, evaluator).finished(**SUMMARY))
    run.refresh_from_db()
    assert run.state == RunState.GRADED
    client.force_login(user)
    before = client.get(f"/api/v1/runs/{run.pk}").json()
    assert [one["set"] for one in before["sets"]] == ["public"], (
        "the sealed set waits for the close"
    )
    publish(pair=programs)
    run.refresh_from_db()
    found = client.get(f"/api/v1/runs/{run.pk}").json()
    assert [part["name"] for part in found["parts"]] == ["writer", "reader"]
    told = [found["verifier"][name] for name in ("name", "parameters", "artefact")]
    assert told == ["reader", PARTS[1].parameters, PARTS[1].artefact]
    assert Candidates.from_dict(found["sets"][0]["candidates"]) == SUMMARY["candidates"][0]
    page = text_of(client.get(f"/runs/{run.pk}/"))
    for words in ("Parts of the system", "writer", "reader", "867,745", "85,000", "16.0"):
        assert words in page
    for words in ("4 candidates for each item of public", 'class="candidates"', "100.0", "+75.0"):
        assert words in page
    run.outcomes.filter(item_set__sealed=False).update(votes=VOTES.to_dict())
    page = text_of(client.get(f"/runs/{run.pk}/"))
    assert "The verifier's choice is graded" in page and "majority answer is graded" not in page


@pytest.mark.usefixtures("small_cells")
@pytest.mark.parametrize(
    "summary_of",
    [
        {**SUMMARY, "parts": PARTS[:1]},
        {**SUMMARY, "parts": PARTS[::-1]},
        {**SUMMARY, "candidates": (changed(candidates("public", PUBLIC_N), n=PUBLIC_N - 1),)},
        {**SUMMARY, "candidates": (changed(candidates("public", PUBLIC_N), right=10_000),)},
        {**SUMMARY, "candidates": (candidates("elsewhere", PUBLIC_N),)},
    ],
    ids=["one part", "other roles", "other items", "too many right", "another set"],
)
def test_a_summary_that_does_not_fit_is_refused(
    programs: Any, user: Any, evaluator: FakeEvaluator, summary_of: dict[str, Any]
) -> None:
    attempt = begun(submit(user, ask(programs)), evaluator)
    with pytest.raises(EvaluatorError) as refused:
        record_report(envelope=attempt.finished(**summary_of))
    assert refused.value.code is Code.BAD_MESSAGE


def test_candidates_of_few_sealed_items_are_refused(
    programs: Any, user: Any, evaluator: FakeEvaluator
) -> None:
    attempt = begun(submit(user, ask(programs)), evaluator)
    with pytest.raises(EvaluatorError):
        record_report(envelope=attempt.finished(**SUMMARY))


def test_a_model_alone_has_neither_parts_nor_candidates(run: Any, evaluator: FakeEvaluator) -> None:
    attempt = begun(run, evaluator)
    for summary_of in ({"parts": PARTS}, {"candidates": SUMMARY["candidates"][:1]}):
        with pytest.raises(EvaluatorError):
            record_report(envelope=attempt.finished(**summary_of))
