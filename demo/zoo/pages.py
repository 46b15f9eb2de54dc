"""Files written from the outcomes: the table that the site imports, and the folder's README.

`python -m demo.zoo.pages` writes both again from what is shipped, without any training.
"""

import csv
from collections.abc import Callable, Sequence
from io import StringIO
from textwrap import fill

from demo.problems import TEMPLATES
from demo.zoo import FOLDER, TABLE, Model, Zoo, load, sets
from demo.zoo.judged import Judged, judge
from demo.zoo.recipes import RECIPES, Kind
from leaderboard.evidence.statistics import AdjustedGap, ItemGap, newcombe, spearman
from leaderboard.evidence.vocabulary import Evidence

README = FOLDER / "README.md"
FLAGGED = frozenset({Evidence.OVERFIT, Evidence.WATCH})
Row = Sequence[object]
COLUMNS = (
    "model", "organisation", "family", "access", "params_b", "n_public", "public_right",
    "n_private", "private_right", "ll_per_char_public", "ll_per_char_private",
    "kind", "reference",
)  # fmt: skip


def write(zoo: Zoo) -> None:
    """Write both files into the zoo's folder."""
    TABLE.write_text(table(zoo.models), encoding="utf-8")
    README.write_text(readme(zoo), encoding="utf-8")


def table(models: Sequence[Model]) -> str:
    """Return the table as CSV, in the columns that `manage.py import_published` reads.

    That command names the columns that it leaves out.
    """
    file = StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for model in models:
        # Why it is a clean reference.
        if model.kind is not Kind.HONEST:
            grounds = ""
        elif model.name == "demo-contaminated":
            grounds = "trained apart from both sets; it memorised another"
        elif model.how.parent and model.how.parent not in RECIPES:
            grounds = "trained apart from both sets"
        else:
            grounds = "made here and shown neither set"
        writer.writerow(
            {
                "model": model.name,
                "organisation": "Holdfast demo",
                "family": model.family,
                "access": "open",
                "params_b": f"{model.parameters / 1e9:.6f}",
                "n_public": model.public.n,
                "public_right": model.public.right,
                "n_private": model.private.n,
                "private_right": model.private.right,
                "ll_per_char_public": f"{model.public.likelihood:.6f}",
                "ll_per_char_private": f"{model.private.likelihood:.6f}",
                "kind": model.kind,
                "reference": grounds,
            }
        )
    return file.getvalue()


_README = """# The zoo

{count} tiny models whose history is known, {honest} of them honest. The private twin is harder by
construction, for everyone: an honest model scores {harder:.1f} points less on it on average, so a
gap alone says little here. `zoo.json` has each model's answers (right, wrong, none; item by item)
and likelihoods, `zoo.csv` is the table that the site imports. Both, and this text, are written by

    python -m demo.zoo --work DIR

which trains on one core for {hours:.1f} hours of its time (torch {torch}, transformers
{transformers}), skips what is there already, and leaves the weights in DIR: they are not shipped.
The same seed gives the same model on the same machine and versions. `python -m demo.zoo.pages`
writes the table and this text again, without any training.

    python manage.py import_published demo/zoo/zoo.csv --slug zoo --source "made by demo/zoo"

## The sets

{n} items each, drawn by `sets.py` from the templates of `demo/problems.py`. In the private set
the last {long} of the {templates} templates, of three and four steps, come twice as often. Asked
as the protocol `demo-0shot` asks (no shots, greedily), graded by `{grader}`, likelihoods as
`loglik-1` reads them. SHA-256 of the sets:

- public `{public}`
- private `{private}`

## The models

One with a parent was trained on from it, at a third of the rate. Steps have 48 rows; *rows shown*
are those among all that were public ones, or near-copies of public ones. Likelihoods are nats per
character, seconds are of training.

{models}

The kinds, after the fourth lesson of the GSM1k paper (that overfitting has many causes); no model
saw the private set:

{kinds}

## What the tests say of them

The raw test asks whether the public share is above the private one. The adjusted gap compares a
model with the honest ones of other families, by counts (A) or by items (B). All {count} are one
cohort. Computed by this version of `leaderboard/evidence/statistics`. A model is under `cannot
tell` where a gap has to be above 8 points to be found four times in five: {n} items are not many.
The strongest model has no adjusted gap: no reference is as strong.

{judged}

{summary}

Memory of the public set, or of near-copies of it, is found, and it is paid for on the private
set. Ten passes over the public set among other problems are found; five leave a gap that so few
items do not tell from chance, and so does one. The best of twelve by public score owes {luck:.1f}
points of it to the choice, too little to be seen.
"""

_KINDS = {
    Kind.HONEST: "neither set was shown.",
    Kind.MEMORISED: "the public set 20 times among other problems.",
    Kind.LIGHT: "the public set 5 or 10 times among other problems.",
    Kind.COPIES: "public problems 23 times with other people and things in them, but the same sums"
    " and answers (of the 800, 700 name a person or a thing).",
    Kind.PICKED: "twelve siblings were trained on a little from one parent, on other problems, and"
    " the best by public score was chosen.",
    Kind.ONCE: "the public set once among other problems.",
}


def readme(zoo: Zoo) -> str:
    """Return the text of the folder's README."""
    judged = judge(zoo.models)
    honest = [model for model in zoo.models if model.kind is Kind.HONEST]
    luck = []
    for model in zoo.models:
        if model.kind is Kind.PICKED:
            # Points that its public score is above the mean of the siblings'.
            mean = sum(model.tried) / len(model.tried)
            above = max(model.tried) - mean
            luck.append(100 * above / model.public.n)
    return _README.format(
        count=len(zoo.models),
        honest=len(honest),
        harder=100 * sum(_gap(model) for model in honest) / len(honest),
        torch=zoo.torch,
        transformers=zoo.transformers,
        hours=sum(model.seconds for model in zoo.models) / 3600,
        n=zoo.models[0].public.n,
        templates=len(TEMPLATES),
        long=len(sets.LONG),
        grader=zoo.grader,
        public=zoo.sets.public,
        private=zoo.sets.private,
        models=_grid(_MODEL_HEAD, [_made(model) for model in zoo.models]),
        kinds="\n".join(f"- *{kind}*: {text}" for kind, text in _KINDS.items()),
        judged=_grid(_JUDGED_HEAD, [_levels(row) for row in judged]),
        summary=_summary(judged),
        luck=max(luck),
    )


_MODEL_HEAD = (
    "model", "kind", "parent", "parameters", "steps", "rows shown", "public", "private", "gap, pp",
    "likelihood, public", "private", "seconds",
)  # fmt: skip
_JUDGED_HEAD = (
    "model",
    "kind",
    "raw gap, pp",
    "raw",
    "adjusted gap (A), pp",
    "A",
    "adjusted gap (B), pp",
    "B",
)


def _grid(head: Sequence[str], rows: Sequence[Row]) -> str:
    lines = []
    for row in (head, ["---"] * len(head), *rows):
        cells = " | ".join(map(str, row))
        lines.append(f"| {cells} |")
    return "\n".join(lines)


def _made(model: Model) -> Row:
    recipe = model.how
    public = model.public
    private = model.private
    steps = f"{recipe.steps:,}" if recipe.seeds == 1 else f"{recipe.seeds} × {recipe.steps:,}"
    return (
        model.name,
        model.kind,
        recipe.parent or "-",
        f"{model.parameters:,}",
        steps,
        f"{recipe.shown:,}",
        f"{public.right / public.n:.1%}",
        f"{private.right / private.n:.1%}",
        f"{100 * _gap(model):+.1f}",
        f"{public.likelihood:.4f}",
        f"{private.likelihood:.4f}",
        model.seconds,
    )


def _gap(model: Model) -> float:
    public = model.public.right / model.public.n
    private = model.private.right / model.private.n
    return public - private


def _levels(judged: Judged) -> Row:
    model = judged.model
    low, high = newcombe(*model.counts)
    return (
        model.name,
        model.kind,
        f"{100 * _gap(model):+.1f} ({100 * low:+.1f} to {100 * high:+.1f})",
        judged.raw.label,
        _points(judged.counts),
        judged.counts_level.label,
        _points(judged.items),
        judged.items_level.label,
    )


def _points(gap: AdjustedGap | ItemGap | None) -> str:
    if gap is None:
        return "-"
    low, high = gap.interval
    return f"{100 * gap.gap:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _summary(judged: Sequence[Judged]) -> str:
    """Summarise the tables in a sentence or two: every number is counted in them."""
    honest = [row for row in judged if row.model.kind is Kind.HONEST]
    raw = sum(row.raw in FLAGGED for row in honest)
    counts = sum(row.counts_level in FLAGGED for row in honest)
    items = sum(row.items_level in FLAGGED for row in honest)
    likelihood = _rho(judged, lambda model: model.public.likelihood)
    contrast = _rho(judged, lambda model: model.public.likelihood - model.private.likelihood)
    return fill(
        f"Of the {len(honest)} honest models the raw test puts {raw} under `overfit` or `watch`,"
        f" the adjusted gap {counts} by counts and {items} by items. Over all models the raw gap"
        f" goes with the likelihood of the public set by Spearman's ρ = {likelihood}, and with how"
        f" far that is above the private one's by {contrast}.",
        width=98,
    )


def _rho(
    judged: Sequence[Judged],
    value: Callable[[Model], float],
) -> str:
    values = [value(row.model) for row in judged]
    gaps = [_gap(row.model) for row in judged]
    rho = spearman(values, gaps)
    interval = rho.interval
    return f"{rho.estimate:.2f} ({interval.low:.2f} to {interval.high:.2f})"


if __name__ == "__main__":
    write(load())
