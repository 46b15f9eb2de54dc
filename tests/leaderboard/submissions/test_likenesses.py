"""Hints on tensors and tokenizers reach maintainers by themselves, once weights are known."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from evaluator.contract import Weights
from leaderboard.accounts.actions import enrol, set_maintainer
from leaderboard.submissions.actions import compare_weights, hints_of, likenesses
from leaderboard.submissions.actions.relatives import Relative, tokenizer_name
from leaderboard.submissions.models import (
    Likeness,
    Model,
    Run,
    SampledTensor,
    Submission,
    TensorList,
)
from leaderboard.submissions.tasks import drain
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.submissions.test_relatives import has_weights, is_on_hub

BASE = {"a": 600, "b": 300, "c": 100}


@pytest.fixture
def merged(run: Run, make_run: Any) -> Run:
    """A run whose weights share a tensor with those of Model-1, and an unrelated one."""
    merged, other = (make_run(model=name, checkpoint=name.lower()) for name in ("Merged", "Other"))
    has_weights(run, **BASE)
    has_weights(merged, b=300, d=300, e=9000)
    has_weights(other, f=600)
    found: Run = Run.objects.get(pk=merged.pk)
    return found


@pytest.fixture
def console() -> Client:
    enrol(username="keeper")
    client = Client()
    client.force_login(set_maintainer(username="keeper", maintains=True))
    return client


def pairs() -> set[tuple[str, str, float]]:
    found = Likeness.objects.values_list("model__name", "other__name", "shared")
    return {(model, other, round(shared, 3)) for model, other, shared in found}


def test_weights_are_compared_once_they_are_known(merged: Run, bell: Any) -> None:
    assert not pairs()
    drain()
    assert pairs() == {("Model-1", "Merged", 0.3), ("Merged", "Model-1", 0.3)}
    assert compare_weights() == 0, "nothing is new"
    with CaptureQueriesContext(connection) as queries:
        compare_weights()
    assert len(queries) == 1


def test_the_recorder_has_finished_weights_compared(
    run: Run, evaluator: FakeEvaluator, make_run: Any
) -> None:
    """Also where another model brings weights that are known already."""
    from leaderboard.submissions import actions

    has_weights(make_run(model="Copy", checkpoint="copy"), **BASE)
    assert compare_weights() == 1 and not pairs()
    attempt = evaluator.begin(run)
    known = TensorList.objects.get()
    assert known.compared
    weights = Weights.from_dict(known.data)
    for report in (*attempt.story()[:-1], attempt.finished(weights=weights)):
        actions.record_report(envelope=report)
    assert Run.objects.get(pk=run.pk).weights == weights.digest()
    assert compare_weights() == 1
    assert pairs() == {("Model-1", "Copy", 1.0), ("Copy", "Model-1", 1.0)}


def test_the_greatest_share_of_two_models_stays(merged: Run, make_run: Any) -> None:
    has_weights(merged, a=600, b=300)
    while compare_weights():
        pass
    assert ("Merged", "Model-1", 1.0) in pairs()
    has_weights(merged, c=100, d=9000)
    TensorList.objects.update(compared=False)
    while compare_weights():
        pass
    assert ("Merged", "Model-1", 1.0) in pairs()


def test_few_lists_are_read_for_one(
    merged: Run, make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likenesses, "MOST_READ", 1)
    monkeypatch.setattr(likenesses, "SAMPLED", 2)
    monkeypatch.setattr(likenesses, "AT_ONCE", 1)
    has_weights(make_run(model="Tuned", checkpoint="tuned"), a=600, b=300, d=1)
    calls = 0
    while compare_weights():
        calls += 1
    assert calls == TensorList.objects.count() == 4
    assert SampledTensor.objects.count() <= 2 * calls
    assert ("Tuned", "Model-1", 0.999) in pairs(), "the one with most in common was read"


def test_the_console_shows_them_unasked(merged: Run, make_run: Any, console: Client) -> None:
    tuned = make_run(model="Tuned", checkpoint="tuned")
    runs = [merged.pk, tuned.pk]
    Submission.objects.filter(runs__in=runs).update(tokenizer="hub:" + "1" * 40)
    compare_weights()
    model = Model.objects.get(name="Merged")
    assert hints_of(model) == [
        Relative("Model-1", pytest.approx(0.3), same_tokenizer=False),
        Relative("Tuned", 0.0, same_tokenizer=True),
    ]
    for address in (f"model/{model.pk}", f"run/{merged.pk}"):
        page = console.get(f"/manage/submissions/{address}/change/").content.decode()
        assert "Model-1: 30.0% of the bytes" in page and "Tuned: the tokenizer" in page
    listed = console.get("/manage/submissions/model/?alike=yes").content.decode()
    assert ">Merged<" in listed and ">Model-1<" in listed and ">Other<" not in listed
    others = console.get("/manage/submissions/model/?alike=no").content.decode()
    assert ">Merged<" not in others and ">Other<" in others


def test_a_page_reads_no_lists_of_tensors(merged: Run, console: Client) -> None:
    compare_weights()
    model = Model.objects.get(name="Merged")
    for address in ("model/", f"model/{model.pk}/change/", f"run/{merged.pk}/change/"):
        with CaptureQueriesContext(connection) as queries:
            assert console.get(f"/manage/submissions/{address}").status_code == 200
        assert not [one for one in queries if "submissions_tensorlist" in one["sql"]]


def test_tokenizers_of_earlier_submissions_are_named(run: Run, make_run: Any) -> None:
    is_on_hub(run, "1")
    endpoint = make_run(model="Other", checkpoint="other")
    migration = import_module("leaderboard.submissions.migrations.0020_likenesses")
    migration.fill_tokenizers(apps, None)
    submission = Submission.objects.get(runs=run)
    assert submission.tokenizer == tokenizer_name(submission.hub_facts) == "hub:" + "1" * 40
    assert Submission.objects.get(runs=endpoint).tokenizer == ""
