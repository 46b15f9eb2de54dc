"""Visible gaps with four samples an item, against one: ``python -m bench.samples [--data DATA]``.

- Recorded samples, if ``--data`` names their folder: CodeGen-16B's 100 samples of each HumanEval
  problem. One model, so that the gap is the raw one.
- The demo's checkpoints, unless ``--no-demo``: each is asked the zoo's two sets by
  ``demo-0shot-k4``, as ``python -m evaluator run`` does. Its gap is raw, and adjusted against the
  zoo's honest models of other families.

Prints the gap that ``watch`` finds in four of five cases, with one sample an item and with the mean
of four, and their ratio.
"""

import argparse
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.zoo import load, sets
from demo.zoo.recipes import Kind, family
from leaderboard.evidence import statistics
from leaderboard.evidence.statistics.power import visible
from leaderboard.evidence.vocabulary import LEVELS

Floats = NDArray[np.float64]
RECORDED = Path("outputs", "codet", "codegen16b_mono__humaneval_n100.jsonl.gz")
PROTOCOL = "demo-0shot-k4"
SAMPLES = 4
DEMO = Path(__file__).parent.parent / "demo" / "checkpoints"
CHECKPOINTS = {
    name: DEMO / name.removeprefix("demo-")
    for name in ("demo-small", "demo-honest", "demo-contaminated")
}


class Visible(NamedTuple):
    """Smallest visible gap, as a fraction, with one sample an item and with four."""

    one: float
    four: float

    @property
    def ratio(self) -> float:
        """Gap with four samples over that with one."""
        return self.four / self.one


def recorded(data: Path) -> Floats:
    """Return the recorded samples (items, 100): 1 is right."""
    rows = []
    with gzip.open(data / RECORDED, "rt", encoding="utf-8") as file:
        for line in file:
            passed = json.loads(line)["passed"]
            rows.append([float(mark) for mark in passed])
    return np.array(rows)


def raw_of_many(marks: Floats) -> Visible:
    """Return the visible raw gap between two sets like this one of many samples an item.

    The variance of an item's mean over k samples is that of the items' chances plus 1/k of that
    within items; both are unbiased.
    """
    items, many = marks.shape
    chances = marks.mean(axis=1)
    biased = float((chances * (1 - chances)).mean())
    within = biased * many / (many - 1)
    between = float(chances.var(ddof=1)) - within / many
    one = np.sqrt(2 * (between + within) / items)
    four = np.sqrt(2 * (between + within / SAMPLES) / items)
    return Visible(
        one=visible(float(one), LEVELS.watch),
        four=visible(float(four), LEVELS.watch),
    )


def raw(public: Floats, private: Floats) -> Visible:
    """Return the visible raw gap of samples (items, 4) of both sets, by items' means.

    With one sample: the mean of the four errors.
    """
    squares = []
    for sample in range(SAMPLES):
        only = slice(sample, sample + 1)
        error = _raw_error(public[:, only], private[:, only])
        squares.append(error**2)
    one = float(np.sqrt(np.mean(squares)))
    four = _raw_error(public, private)
    return Visible(
        one=visible(one, LEVELS.watch),
        four=visible(four, LEVELS.watch),
    )


def _raw_error(public: Floats, private: Floats) -> float:
    variance = 0.0
    for side in (public, private):
        variance += side.mean(axis=1).var(ddof=1) / len(side)
    return float(np.sqrt(variance))


def adjusted(panel: statistics.ItemPanel, public: Floats, private: Floats) -> Visible:
    """Return the visible adjusted gap against a panel, as :func:`raw`."""
    one = []
    for sample in range(SAMPLES):
        on_public = public[:, sample]
        on_private = private[:, sample]
        one.append(_visible(panel, on_public, on_private))
    four = _visible(panel, public.mean(axis=1), private.mean(axis=1))
    return Visible(float(np.mean(one)), four)


def _visible(panel: statistics.ItemPanel, public: Floats, private: Floats) -> float:
    gap = statistics.item_gap_against(panel, public, private)
    return gap.visible_at(LEVELS.watch, LEVELS.power)


def panel_without(name: str) -> statistics.ItemPanel:
    """Return the panel of the zoo's honest models of other families."""
    own_family = family(name)
    models = []
    for model in load().models:
        if model.kind is Kind.HONEST and model.family != own_family:
            models.append(model)
    public = np.array([model.public.marks for model in models])
    private = np.array([model.private.marks for model in models])
    return statistics.item_panel(public, private, [model.family for model in models])


def asked(checkpoint: Path, name: str, work: Path) -> Floats:
    """Ask a checkpoint one of the zoo's sets; return its samples (items, 4)."""
    rows = sets.public_set() if name == "public" else sets.private_set()
    items = work / f"{name}.jsonl"
    lines = [json.dumps(row) + "\n" for row in rows]
    items.write_text("".join(lines), encoding="utf-8")
    out = work / f"{name}-{checkpoint.name}"
    command = [sys.executable, "-m", "evaluator", "run"]
    command += ["--protocol", PROTOCOL, "--json"]
    command += ["--model", str(checkpoint)]
    command += ["--set", str(items), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    marks = np.full((len(rows), SAMPLES), np.nan)
    outcomes = (out / "outcomes.jsonl").read_text(encoding="utf-8")
    for line in outcomes.splitlines():
        answer = json.loads(line)
        if answer["sample"] is not None:
            is_right = answer["outcome"] == "right"
            marks[answer["index"], answer["sample"]] = is_right
    return marks


def measured(
    data: Path | None,
    *,
    demo: bool,
) -> Iterator[tuple[str, Visible]]:
    """Yield what is measured, by name."""
    if data:
        yield "CodeGen-16B on HumanEval, raw", raw_of_many(recorded(data))
    if not demo:
        return
    with TemporaryDirectory() as folder:
        for name, checkpoint in CHECKPOINTS.items():
            public = asked(checkpoint, "public", Path(folder))
            private = asked(checkpoint, "private", Path(folder))
            yield f"{name}, raw", raw(public, private)
            yield f"{name}, adjusted", adjusted(panel_without(name), public, private)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; exit 1 where four samples show no smaller gap than one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the recorded samples")
    parser.add_argument("--no-demo", action="store_true", help="ask no checkpoint")
    options = parser.parse_args(arguments)
    print(f"{'visible gap, pp':36}{'1 sample':>10}{f'{SAMPLES} samples':>12}{'ratio':>8}")
    worst = 0.0
    for name, found in measured(options.data, demo=not options.no_demo):
        print(f"{name:36}{100 * found.one:10.2f}{100 * found.four:12.2f}{found.ratio:8.2f}")
        worst = max(worst, found.ratio)
    return int(worst >= 1)


if __name__ == "__main__":
    sys.exit(main())
