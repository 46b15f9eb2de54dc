"""Make the zoo: `python -m demo.zoo --work DIR` trains on one core, for hours; a model that is there is kept."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch
import transformers

from demo.zoo import FOLDER, Model, Zoo
from demo.zoo.making import make
from demo.zoo.recipes import RECIPES


def main(arguments: Sequence[str] | None = None) -> None:
    """Make what is not there yet, in the order of the recipes; then, if nothing is missing, write what is shipped."""
    parser = argparse.ArgumentParser(prog="python -m demo.zoo", description=__doc__.partition(":")[0])
    parser.add_argument("--work", type=Path, required=True, help="the folder that weights and records are kept in")
    parser.add_argument("--only", nargs="+", choices=sorted(RECIPES), default=list(RECIPES), help="just these models")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)  # The number of threads changes the order of sums, and so the models.
    for number, name in enumerate(chosen.only):
        if not (record := chosen.work / f"{name}.json").exists():
            made = make(name, chosen.work, lambda text: print(text, flush=True))
            record.write_bytes(msgspec.json.encode(made))
            scores = f"{made.public.right} public, {made.private.right} private of {made.public.n}"
            print(f"{number + 1} of {len(chosen.only)}: {name}: {scores}, {made.seconds} s", flush=True)
    records = [chosen.work / f"{name}.json" for name in RECIPES]
    if all(record.exists() for record in records):
        models = [msgspec.json.decode(record.read_bytes(), type=Model) for record in records]
        zoo = Zoo(torch=torch.__version__, transformers=transformers.__version__, models=models)
        (FOLDER / "zoo.json").write_bytes(msgspec.json.format(msgspec.json.encode(zoo), indent=1) + b"\n")


if __name__ == "__main__":
    main()
