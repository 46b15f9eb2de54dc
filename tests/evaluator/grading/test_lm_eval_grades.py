"""The harness's two graders give what lm-evaluation-harness 0.4.13 gives: on all recorded outputs, and on any text."""

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evaluator.contract import Outcome
from evaluator.grading import Grade, harness

pytest.importorskip("lm_eval", reason="lm-eval is not installed")
pytestmark = pytest.mark.slow

OURS: dict[str, Callable[..., Grade]] = {
    "strict-match": harness.strict,
    "flexible-extract": harness.flexible,
}
INVALID = "[invalid]"
"""What the harness extracts where nothing matches."""


def test_the_harness_is_the_version_that_was_read() -> None:
    assert version("lm-eval") == "0.4.13"


def by_ours(response: str, gold: str) -> dict[str, list[Any]]:
    """In the shape of lm_eval_grades.py."""
    grades = {name: grader(response, gold, cut=False) for name, grader in OURS.items()}
    assert all(
        bool(grade.extracted) is (grade.outcome is not Outcome.NO_ANSWER)
        for grade in grades.values()
    )
    return {
        name: [grade.extracted or INVALID, float(grade.outcome is Outcome.RIGHT)]
        for name, grade in grades.items()
    }


def by_harness(cases: list[tuple[str, str]], folder: Path) -> list[dict[str, list[Any]]]:
    """The grades of lm-eval's own task over these responses and gold answers, from its own process."""
    path = folder / "cases.jsonl"
    lines = [
        json.dumps({"question": str(i), "response": r, "answer": g})
        for i, (r, g) in enumerate(cases)
    ]
    path.write_text("\n".join(lines))
    environment = os.environ | {
        "HOME": str(folder),
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_OFFLINE": "1",
    }
    environment |= {
        "HF_DATASETS_OFFLINE": "1",
        "TQDM_DISABLE": "1",
        "LM_HARNESS_CACHE_PATH": str(folder / "lm"),
    }
    script = Path(__file__).with_name("lm_eval_grades.py")
    done = subprocess.run(
        [sys.executable, str(script), str(path)], env=environment, cwd=folder, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def recorded(data: Path) -> list[tuple[str, str]]:
    """Every recorded output there is, with its gold answer: texts, tool use and programs, numbers and LaTeX."""
    outputs = data / "outputs"
    found = [
        (r["response"], str(r["gold"]))
        for path in sorted((outputs / "rho1").glob("*.gz"))
        for r in rows(path)
    ]
    for row in rows(outputs / "openai" / "example_model_solutions.jsonl.gz"):
        found += [
            (row[k]["solution"], row["ground_truth"]) for k in row if isinstance(row[k], dict)
        ]
    for row in (row for path in sorted((outputs / "pot").glob("*.gz")) for row in rows(path)):
        programs = row["generated"] if isinstance(row["generated"], list) else [row["generated"]]
        found += [(program, str(row["answer"])) for program in programs]
    cases = [
        json.loads(line) for line in (data / "grading" / "cases.jsonl").read_bytes().splitlines()
    ]
    return found + [(case["response"], case["gold"]) for case in cases]


@pytest.mark.data
def test_recorded_outputs(data_dir: Path, tmp_path: Path) -> None:
    cases = recorded(data_dir)
    assert len(cases) == 13_217
    theirs = by_harness(cases, tmp_path)
    ours = [by_ours(response, gold) for response, gold in cases]
    assert [i for i, pair in enumerate(zip(ours, theirs, strict=True)) if pair[0] != pair[1]] == []
    scores = {name: sum(line[name][1] for line in theirs) for name in OURS}
    assert 0 < scores["strict-match"] < scores["flexible-extract"], (
        "the comparison compares something"
    )


@pytest.fixture(scope="module")
def apply() -> Callable[[str, str], dict[str, list[Any]]]:
    """The filters and the metric of lm-eval's own task, as its ``Task`` puts them together, in this process."""
    import lm_eval.filters.extraction
    import lm_eval.filters.selection
    import lm_eval.tasks
    import yaml
    from lm_eval.api.metrics import exact_match_fn
    from lm_eval.api.registry import get_filter

    config = yaml.safe_load(
        (Path(lm_eval.tasks.__file__).parent / "gsm8k" / "gsm8k.yaml").read_text()
    )
    options = {
        k: v for k, v in config["metric_list"][0].items() if k.startswith(("ignore", "regexes"))
    }
    steps = {
        chain["name"]: [get_filter(step.pop("function"))(**step) for step in chain["filter"]]
        for chain in config["filter_list"]
    }

    def graded(response: str, gold: str) -> dict[str, list[Any]]:
        found = {}
        for name, chain in steps.items():
            passed: Any = [[response]]
            for step in chain:
                passed = list(step.apply(passed, [{}]))
            [extracted] = passed
            score = exact_match_fn(references=[gold], predictions=[extracted], **options)[
                "exact_match"
            ]
            found[name] = [extracted, float(score)]
        return found

    return graded


PIECES = st.sampled_from(
    [
        "#### ",
        "####",
        "-",
        "--",
        "$",
        ".",
        ",",
        "18",
        "1,234",
        "0",
        "\n",
        " ",
        "is ",
        "a",
        "−",
        "１",
        "\u0661",
        "$.",
        "18.00",
        "-.",
        "\r",
    ]
)
TEXTS = st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=14).map("".join))
GOLDS = st.one_of(
    st.sampled_from(
        [
            "18",
            "-18",
            "1,234",
            "6 * 3\n#### 18",
            "#### 18\n#### 0",
            "$18.",
            "18.",
            ".",
            "####18",
            "##,## 0",
        ]
    ),
    TEXTS,
)


@settings(max_examples=500, deadline=None)
@given(response=TEXTS, gold=GOLDS)
def test_any_text(
    apply: Callable[[str, str], dict[str, list[Any]]], response: str, gold: str
) -> None:
    # NumPy, with which the harness compares, drops NULs at the end of a text.
    if "\0" not in gold:
        assert by_ours(response, gold) == apply(response, gold)


def test_a_last_point_alone_and_a_comma_alone_are_matches_that_say_nothing(
    apply: Callable[[str, str], dict[str, list[Any]]],
) -> None:
    for response in ["#### .", "#### ,", "it is ..", "so $.", "#### -.", "18..", "-18.\n"]:
        for gold in ["18", "#### 18", "-18."]:
            assert by_ours(response, gold) == apply(response, gold)
