"""Hints to maintainers: models that share tensors or the tokenizer."""

from typing import Any

import pytest
from django.test import Client

from evaluator.contract import Weights
from evaluator.contract.hub import HubFacts, HubFile
from leaderboard.accounts.actions import enrol, set_maintainer
from leaderboard.submissions.actions import relatives_of
from leaderboard.submissions.actions.relatives import Relative
from leaderboard.submissions.models import Model, Run, Submission, TensorList

BASE = {"a": 600, "b": 300, "c": 100}


def has_weights(run: Run, **sizes: int) -> None:
    """Let a run have been of these tensors."""
    tensors = sorted((name * 32, size) for name, size in sizes.items())
    weights = Weights(bytes=sum(sizes.values()), count=len(sizes), tensors=tuple(tensors))
    data = weights.to_dict()
    TensorList.objects.get_or_create(digest=weights.digest(), defaults={"data": data})
    Run.objects.filter(pk=run.pk).update(weights=weights.digest())


def is_on_hub(run: Run, tokenizer: str) -> None:
    """Let a run have been of a model on the hub with this tokenizer."""
    facts = HubFacts(
        architecture="LlamaForCausalLM", parameters=1, weights=2, cached=1, context=8, chat=False,
        endpoint="https://hub.example", repo="lab/one", revision="main", commit="c" * 40,
        files=(HubFile(name="tokenizer.json", size=9, digest=tokenizer * 40),),
    )  # fmt: skip
    Submission.objects.filter(runs=run).update(
        kind="hub", checkpoint="", repo=facts.repo, commit=facts.commit, hub=facts.to_dict()
    )


@pytest.fixture
def model(run: Run, make_run: Any) -> Model:
    """A model; a merge with half of its bytes, a tune with its tokenizer, and one of its own."""
    tuned, merged, other, endpoint = (
        make_run(model=name, checkpoint=name.lower())
        for name in ("Tuned", "Merged", "Other", "Unlisted")
    )  # fmt: skip
    has_weights(run, **BASE)
    has_weights(merged, b=300, d=300, e=9000)
    has_weights(tuned, f=600, c=100)
    has_weights(other, f=600)
    for one, tokenizer in ((run, "1"), (tuned, "1"), (other, "2")):
        is_on_hub(one, tokenizer)
    assert endpoint.weights == ""
    return Model.objects.get(name="Model-1")


def test_models_with_tensors_or_a_tokenizer_in_common_are_found(model: Model) -> None:
    assert relatives_of(model) == [
        Relative("Merged", 0.3, same_tokenizer=False),
        Relative("Tuned", pytest.approx(1 / 7), same_tokenizer=True),
    ]
    assert [one.model for one in relatives_of(Model.objects.get(name="Other"))] == ["Tuned"]
    assert relatives_of(Model.objects.get(name="Unlisted")) == []


def test_the_console_names_them_without_a_reason(model: Model) -> None:
    enrol(username="keeper")
    client = Client()
    client.force_login(set_maintainer(username="keeper", maintains=True))
    chosen = [str(model.pk), str(Model.objects.get(name="Unlisted").pk)]
    form = {"action": "find_relatives", "_selected_action": chosen}
    page = client.post("/manage/submissions/model/", form, follow=True).content.decode()
    assert "Model-1 and Merged share 30.0% of the bytes of the smaller one" in page
    assert "Model-1 and Tuned share 14.3% of" in page and "tensors and the tokenizer." in page
    assert "Unlisted: no model has its tensors or its tokenizer." in page
