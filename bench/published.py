"""Published tables whose truth is known, judged by counts: ``python -m bench.published DATA``.

DATA is the folder that holds ``published/gap_*.csv``; see its notes on sources.

- 65 models on two halves of GSM8K's test set, 18 of them fine-tuned on the first half by the
  authors of ConStat: judged against the 47 others (a clean panel), and against all (a blind one);
- LiveCodeBench's models before and after September 2023, ten samples a problem: four DeepSeek
  coders are known to fall;
- EvalPlus's models, original against stricter tests of the same problems: no overfitting. What it
  finds stands next to the number that chance finds at most.

Exits 1 where a promise is broken.
"""

import argparse
import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from leaderboard.evidence.statistics import Sides
from leaderboard.evidence.statistics.counts import Peers, peers

LEVELS = (0.05, 0.01, 0.001)
KNOWN = "gap_constat_known_contamination.csv"
LIVE_CODE_BENCH = "gap_livecodebench_2024_02.csv"
EVAL_PLUS = "gap_evalplus.csv"
FALLEN = {
    "deepseek-ai/deepseek-coder-33b-instruct",
    "deepseek-ai/deepseek-coder-6.7b-instruct",
    "deepseek-ai/deepseek-coder-1.3b-instruct",
    "ise-uiuc/Magicoder-S-DS-6.7B",
}
FEWEST_FOUND_CLEAN = 17
FEWEST_FOUND_BLIND = 14
MOST_OTHERS = 3


class Judgement(NamedTuple):
    """Models of a table, by name, and the p-value of each; NaN for one that is not tested."""

    models: tuple[str, ...]
    p: tuple[float, ...]

    def flagged(self, level: float) -> set[str]:
        """Return the models with p at most ``level``."""
        flagged = set()
        for model, p in zip(self.models, self.p, strict=True):
            if p <= level:
                flagged.add(model)
        return flagged

    @property
    def tested(self) -> int:
        """Number of models with a test."""
        return int(np.isfinite(self.p).sum())


class Known(NamedTuple):
    """Numbers found at .05, .01 and .001: of the 18 contaminated models, and of the 47 others."""

    contaminated: tuple[int, ...]
    others: tuple[int, ...]


def known_contamination(data: Path, *, blind: bool) -> Known:
    """Judge the 65 models against the 47 that are not contaminated, or against all (``blind``)."""
    rows = _read(data, KNOWN)
    bad = [row["contaminated_by_design"] == "1" for row in rows]
    clean = [place for place, contaminated in enumerate(bad) if not contaminated]
    models = [row["model"] for row in rows]
    found = _judged(models, _sides(rows), () if blind else clean)
    is_bad = np.array(bad)
    contaminated = []
    others = []
    for level in LEVELS:
        flagged = np.array(found.p) <= level
        contaminated.append(int(flagged[is_bad].sum()))
        others.append(int(flagged[~is_bad].sum()))
    return Known(tuple(contaminated), tuple(others))


def live_code_bench(data: Path) -> Judgement:
    """Judge LiveCodeBench's models by samples, each against those of other organisations."""
    rows = _read(data, LIVE_CODE_BENCH)
    columns = (
        "public_samples_right",
        "public_samples",
        "private_samples_right",
        "private_samples",
    )
    models = []
    organisations = []
    for row in rows:
        model = row["model"]
        owner = model.split("/")[0]
        models.append(model)
        organisations.append(owner.split("-")[0])
    return _with_p(models, peers(_sides(rows, columns), organisations))


def eval_plus(data: Path) -> Iterator[tuple[str, Judgement]]:
    """Judge EvalPlus's models on each of its two sets."""
    rows = _read(data, EVAL_PLUS)
    for name in ("humaneval", "mbpp"):
        own = [row for row in rows if row["public_set"] == name]
        yield name, _judged([row["model"] for row in own], _sides(own))


def _read(data: Path, name: str) -> list[dict[str, str]]:
    path = data / "published" / name
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _sides(
    rows: Sequence[dict[str, str]],
    columns: Sequence[str] = ("public_correct", "public_n", "private_correct", "private_n"),
) -> list[Sides]:
    sides = []
    for row in rows:
        counts = [int(row[column]) for column in columns]
        sides.append(Sides(*counts))
    return sides


def _judged(
    models: Sequence[str],
    sides: Sequence[Sides],
    known: Sequence[int] = (),
) -> Judgement:
    """Judge each model as one of its own lineage."""
    lineages = [str(place) for place in range(len(sides))]
    return _with_p(models, peers(sides, lineages, known))


def _with_p(models: Sequence[str], compared: Peers) -> Judgement:
    p = tuple(gap.p if gap else float("nan") for gap in compared.gaps)
    return Judgement(tuple(models), p)


def broken_promises(data: Path) -> Iterator[str]:
    """Print what each table shows; yield the promises that it breaks."""
    print("found at .05, .01 and .001")
    for blind, fewest in ((False, FEWEST_FOUND_CLEAN), (True, FEWEST_FOUND_BLIND)):
        found = known_contamination(data, blind=blind)
        panel = "a blind" if blind else "a clean"
        print(f"18 contaminated on purpose, {panel} panel: {found.contaminated}")
        print(f"  and of the 47 others {found.others}")
        if found.contaminated[0] < fewest or found.others[0] > MOST_OTHERS:
            yield f"{panel} panel finds {found}"
    fallen = live_code_bench(data)
    for level in LEVELS:
        print(f"LiveCodeBench at {level}: {', '.join(sorted(fallen.flagged(level))) or 'none'}")
    if fallen.flagged(0.01) != FALLEN:
        yield "LiveCodeBench's known models are not those flagged"
    for name, judgement in eval_plus(data):
        print(f"EvalPlus, {name}: {judgement.tested} of {len(judgement.models)} models tested")
        for level in LEVELS:
            names = ", ".join(sorted(judgement.flagged(level))) or "none"
            print(f"  at {level}: {names}; chance finds at most {level * judgement.tested:.2g}")
        if judgement.flagged(LEVELS[-1]):
            yield f"EvalPlus's {name} has overfit models"


def main(arguments: list[str] | None = None) -> int:
    """Print what each table shows; exit 1 where a promise is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    broken = list(broken_promises(parser.parse_args(arguments).data))
    for sentence in broken:
        print(f"BROKEN: {sentence}", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
