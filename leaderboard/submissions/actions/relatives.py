"""Hints that a model was made of another, for maintainers: tensors and tokenizers in common."""

from dataclasses import dataclass

from evaluator.contract import Weights
from evaluator.contract.adapters import UploadedAdapter
from evaluator.contract.hub import HubFacts
from evaluator.contract.uploads import UploadFacts
from leaderboard.submissions.models import Model, Run, Submission, TensorList

TOKENIZERS = ("tokenizer.json", "tokenizer.model")


@dataclass(frozen=True)
class Relative:
    """Another model with tensors or the tokenizer of a model.

    ``shared`` is the share of the bytes which the smaller of both lists that the other lists too:
    0 where they list no tensor alike, or where one of them lists none.
    """

    model: str
    shared: float
    same_tokenizer: bool


def tokenizer_name(facts: HubFacts | UploadFacts | UploadedAdapter | None) -> str:
    """Return kind and digest of the tokenizer's file, by which equal ones are found; "" for none.

    Digests of the hub and of uploads are of different kinds, so they are compared apart.
    """
    found = {file.name: file.digest for file in facts.files} if facts else {}
    kind = "hub" if isinstance(facts, HubFacts) else "upload"
    return next((f"{kind}:{found[name]}" for name in TOKENIZERS if name in found), "")


def relatives_of(model: Model) -> list[Relative]:
    """Return the models that share tensors or the tokenizer with a model, the closest first.

    A whole fine-tune shares the tokenizer alone, a partial one or a merge some tensors. Only the
    largest tensors of weights are listed (``contract.Weights``), and tokenizers are compared within
    the hub and within uploads. It reads every list: a matter of seconds.
    """
    shared = _shares(model)
    alike = _same_tokenizer(model)
    others = Model.objects.filter(pk__in=shared.keys() | alike).exclude(pk=model.pk)
    names = dict(others.values_list("pk", "name"))
    found = [Relative(name, shared.get(pk, 0.0), pk in alike) for pk, name in names.items()]
    return sorted(found, key=lambda one: (-one.shared, not one.same_tokenizer, one.model))


def _shares(model: Model) -> dict[int, float]:
    """Return the largest share of tensors in common, by model."""
    owners: dict[str, set[int]] = {}
    known = Run.objects.exclude(weights="").values_list("weights", "submission__model")
    for digest, owner in known.distinct():
        owners.setdefault(digest, set()).add(owner)
    own_digests = [digest for digest, found in owners.items() if model.pk in found]
    own_lists = TensorList.objects.filter(digest__in=own_digests)
    own = [Weights.from_dict(row.data) for row in own_lists]
    shares: dict[int, float] = {}
    if not own:
        return shares
    for row in TensorList.objects.filter(digest__in=owners).iterator(chunk_size=20):
        other = Weights.from_dict(row.data)
        share = max(one.shared_with(other) for one in own)
        if not share:
            continue
        for owner in owners[row.digest]:
            shares[owner] = max(share, shares.get(owner, 0.0))
    return shares


def _same_tokenizer(model: Model) -> set[int]:
    """Return the models whose submissions have the tokenizer of one of this model's."""
    own: set[tuple[str, str, str]] = set()
    for submission in model.submissions.all():
        own |= _tokenizers(submission)
    if not own:
        return set()
    alike = set()
    others = Submission.objects.exclude(model=model)
    for submission in others.filter(kind__in=("hub", "upload")):
        if own & _tokenizers(submission):
            alike.add(submission.model_id)
    return alike


def _tokenizers(submission: Submission) -> set[tuple[str, str, str]]:
    """Return kind, file and digest of each tokenizer of a submission."""
    facts = submission.hub_facts or submission.upload_facts
    files = facts.files if facts else ()
    return {(submission.kind, file.name, file.digest) for file in files if file.name in TOKENIZERS}
