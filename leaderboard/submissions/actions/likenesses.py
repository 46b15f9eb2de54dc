"""Hints that models are made of one another, found once the tensors of new weights are known.

1. The recorder stores the list of a run's tensors as not compared.
2. ``compare_weights`` compares a few such lists, in the housekeeping: a sample of the largest
   tensors finds the lists that are most alike, and only these are read whole.
3. The console shows what was found; ``relatives.relatives_of`` still reads every list, on demand.

Tensors of equal size are sampled by their digests, so that the samples of two lists with tensors in
common have some in common too: shares below a tenth may be missed.
"""

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef

from evaluator.contract import Weights
from leaderboard.submissions.actions.relatives import Relative, closeness
from leaderboard.submissions.models import Likeness, Model, Run, SampledTensor, TensorList
from leaderboard.submissions.models.systems import ModelQuerySet

SAMPLED = 256
"""Tensors of each list in its sample."""
AT_ONCE = 4
"""Lists that one call compares."""
MOST_READ = 50
"""Lists that are read whole for one that is compared."""
MOST_PAIRS = 200
"""Pairs of models that are stored of one comparison, those with most in common."""
MOST_SHOWN = 20
_LOCK = 0x5EA7


def compare_weights() -> int:
    """Compare some lists of tensors that were not yet. Returns how many.

    One call at a time: two lists that are compared at once would not see each other.
    """
    if not TensorList.objects.filter(compared=False).exists():
        return 0
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK])
            if not cursor.fetchone()[0]:
                return 0
        locking = TensorList.objects.select_for_update(skip_locked=True)
        due = locking.filter(compared=False)
        rows = list(due.order_by("pk")[:AT_ONCE])
        for row in rows:
            own = Weights.from_dict(row.data)
            largest_first = sorted(own.tensors, key=lambda tensor: (-tensor[1], tensor[0]))
            names = [name for name, _ in largest_first[:SAMPLED]]
            sample = [SampledTensor(of=row, tensor=name) for name in names]
            SampledTensor.objects.bulk_create(sample, ignore_conflicts=True)
            alike = SampledTensor.objects.filter(tensor__in=names).exclude(of=row)
            by_list = alike.values("of").annotate(common=Count("pk"))
            closest = by_list.order_by("-common", "-of")
            to_read = [counts["of"] for counts in closest[:MOST_READ]]
            shares = {row.digest: 1.0}
            for other in TensorList.objects.filter(pk__in=to_read):
                weights = Weights.from_dict(other.data)
                shares[other.digest] = own.shared_with(weights)
            _store(row.digest, shares)
            row.compared = True
            row.save(update_fields=["compared"])
    return len(rows)


def _store(digest: str, shares: dict[str, float]) -> None:
    """Store what the models of a list share with those of others, by the digests of these."""
    runs = Run.objects.filter(weights__in=shares)
    pairs = runs.values_list("weights", "submission__model")
    owners = list(pairs.distinct())
    owners.sort(key=lambda owner: -shares[owner[0]])
    mine = [model for weights, model in owners if weights == digest]
    found: dict[tuple[int, int], float] = {}
    for weights, other in owners:
        for model in mine:
            if model != other and len(found) < 2 * MOST_PAIRS:
                so_far = found.get((model, other), 0.0)
                share = max(shares[weights], so_far)
                found[model, other] = share
                found[other, model] = share
    others = {other for _, other in found}
    before = Likeness.objects.filter(model__in=mine, other__in=others)
    for model, other, stored in before.values_list("model", "other", "shared"):
        if (model, other) in found:
            share = max(stored, found[model, other])
            found[model, other] = share
            found[other, model] = share
    rows = []
    for (model, other), share in found.items():
        rows.append(Likeness(model_id=model, other_id=other, shared=share))
    Likeness.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["model", "other"],
        update_fields=["shared"],
    )


def with_hints(models: ModelQuerySet) -> ModelQuerySet:
    """Annotate models with ``alike``: True where tensors in common with another one are known."""
    likenesses = Likeness.objects.filter(model=OuterRef("pk"))
    return models.annotate(alike=Exists(likenesses))


def hints_of(model: Model) -> list[Relative]:
    """Return the models with tensors or the tokenizer of a model, those closest to it first.

    At most ``MOST_SHOWN`` of each kind: two queries by an index.
    """
    close = model.likenesses.select_related("other").order_by("-shared", "other__name")
    shared = {}
    for likeness in close[:MOST_SHOWN]:
        shared[likeness.other.name] = likeness.shared
    own = model.submissions.exclude(tokenizer="").values("tokenizer")
    others = Model.objects.filter(submissions__tokenizer__in=own).exclude(pk=model.pk)
    names = others.order_by("name").values_list("name", flat=True)
    alike = names.distinct()
    tokenizers = set(alike[:MOST_SHOWN])
    tokenizers.update(alike.filter(name__in=shared))
    relatives = []
    for name in shared.keys() | tokenizers:
        share = shared.get(name, 0.0)
        relatives.append(Relative(name, share, name in tokenizers))
    return sorted(relatives, key=closeness)
