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
    if facts is None:
        return ""
    kind = "hub" if isinstance(facts, HubFacts) else "upload"
    digests = {file.name: file.digest for file in facts.files}
    for name in TOKENIZERS:
        if name in digests:
            return f"{kind}:{digests[name]}"
    return ""


def closeness(relative: Relative) -> tuple[float, bool, str]:
    """Return the sort key of relatives: the closest one first."""
    return (-relative.shared, not relative.same_tokenizer, relative.model)


def relatives_of(model: Model) -> list[Relative]:
    """Return the models that share tensors or the tokenizer with a model, the closest first.

    A whole fine-tune shares the tokenizer alone, a partial one or a merge some tensors. Only the
    largest tensors of weights are listed (``contract.Weights``), and tokenizers are compared within
    the hub and within uploads. It reads every list: a matter of seconds.
    """
    shared = _shares(model)
    own_tokenizers: set[tuple[str, str, str]] = set()
    for submission in model.submissions.all():
        own_tokenizers |= _tokenizers(submission)
    # The models with the tokenizer of one of this model's submissions.
    alike: set[int] = set()
    if own_tokenizers:
        of_others = Submission.objects.exclude(model=model)
        for submission in of_others.filter(kind__in=("hub", "upload")):
            if own_tokenizers & _tokenizers(submission):
                alike.add(submission.model_id)
    keys = shared.keys() | alike
    others = Model.objects.filter(pk__in=keys).exclude(pk=model.pk)
    relatives = []
    for key, name in others.values_list("pk", "name"):
        share = shared.get(key, 0.0)
        relatives.append(Relative(name, share, key in alike))
    return sorted(relatives, key=closeness)


def _shares(model: Model) -> dict[int, float]:
    """Return the largest share of tensors in common, by model."""
    owners: dict[str, set[int]] = {}
    with_weights = Run.objects.exclude(weights="")
    pairs = with_weights.values_list("weights", "submission__model")
    for digest, owner in pairs.distinct():
        owners.setdefault(digest, set()).add(owner)
    own_digests = []
    for digest, models in owners.items():
        if model.pk in models:
            own_digests.append(digest)
    own_lists = TensorList.objects.filter(digest__in=own_digests)
    own = [Weights.from_dict(row.data) for row in own_lists]
    shares: dict[int, float] = {}
    if not own:
        return shares
    lists = TensorList.objects.filter(digest__in=owners)
    for row in lists.iterator(chunk_size=20):
        other = Weights.from_dict(row.data)
        share = max(weights.shared_with(other) for weights in own)
        if not share:
            continue
        for owner in owners[row.digest]:
            shares[owner] = max(share, shares.get(owner, 0.0))
    return shares


def _tokenizers(submission: Submission) -> set[tuple[str, str, str]]:
    """Return kind, file and digest of each tokenizer of a submission."""
    facts = submission.hub_facts or submission.upload_facts
    tokenizers = set()
    for file in facts.files if facts else ():
        if file.name in TOKENIZERS:
            tokenizers.add((submission.kind, file.name, file.digest))
    return tokenizers
