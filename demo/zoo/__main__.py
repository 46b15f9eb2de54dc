"""Make the zoo: `python -m demo.zoo --work DIR` trains on one core, for an hour or two.

A model that is there is not made again. Once all are there, it writes what is shipped: outcomes and
likelihoods, a table, and how they were made.
"""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import torch
import transformers

from demo.zoo import SHIPPED, Digests, Model, Zoo, sets
from demo.zoo.making import GRADER, make
from demo.zoo.pages import write
from demo.zoo.recipes import RECIPES, digest


def main(arguments: Sequence[str] | None = None) -> None:
    """Make what is not there yet, in the order of the recipes; then, if nothing is missing, write
    what is shipped."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.zoo", description=__doc__.partition(":")[0]
    )
    parser.add_argument(
        "--work", type=Path, required=True, help="the folder of weights and records"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=sorted(RECIPES),
        default=list(RECIPES),
        help="just these models",
    )
    chosen = parser.parse_args(arguments)
    chosen.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # The number of threads changes the order of sums, and so the models.
    for number, name in enumerate(chosen.only, start=1):
        if recorded(name, chosen.work) is None:
            made = make(name, chosen.work, partial(print, flush=True))
            (chosen.work / f"{name}.json").write_bytes(msgspec.json.encode(made))
            scores = f"{made.public.right} public, {made.private.right} private of {made.public.n}"
            print(f"{number} of {len(chosen.only)}: {name}: {scores}, {made.seconds} s", flush=True)
    records = [recorded(name, chosen.work) for name in RECIPES]
    models = [record for record in records if record is not None]
    if len(models) == len(RECIPES):
        ship(models)


def recorded(name: str, work: Path) -> Model | None:
    """Return the record of a model made before.

    None where there is none, or where its recipe or a parent's has changed.
    """
    record = work / f"{name}.json"
    if not record.exists():
        return None
    model = msgspec.json.decode(record.read_bytes(), type=Model)
    return model if model.recipe == digest(name) else None


def ship(models: list[Model]) -> None:
    """Write the files of the zoo into its folder."""
    zoo = Zoo(
        torch=str(torch.__version__),
        transformers=transformers.__version__,
        grader=GRADER,
        sets=Digests(
            public=sets.digest(sets.public_set()),
            private=sets.digest(sets.private_set()),
        ),
        models=models,
    )
    text = msgspec.json.format(msgspec.json.encode(zoo), indent=1)
    SHIPPED.write_bytes(text + b"\n")
    write(zoo)


if __name__ == "__main__":
    main()
