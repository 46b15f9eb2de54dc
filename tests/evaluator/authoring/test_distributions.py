"""Steps, magnitudes and lengths of two sets: the test finds what differs and leaves alone what does not."""

import random
from pathlib import Path
from xml.etree import ElementTree

import pytest
from scipy import stats

from evaluator.authoring.distributions import MEASURES, UNLIKE, Comparison, compare
from evaluator.items import Item, load_items
from tests.evaluator.authoring.problems import item, mixed

SVG = "{http://www.w3.org/2000/svg}"


def test_what_is_measured() -> None:
    one = Item(
        "Tom has 3 apples.", "He has <<3+4=7>>7, then <<7*200=1400>>1400.\n#### -1,400.5", "-1400.5"
    )
    assert {name: measure(one) for name, measure in MEASURES.items()} == {
        "steps": 2,
        "magnitude": 4,
        "length": 3,
    }


def test_two_samples_of_one_kind_are_alike() -> None:
    found = compare(mixed(300), mixed(450, start=1000))
    assert [one.name for one in found] == ["steps", "magnitude", "length"]
    assert not any(one.unlike for one in found)


@pytest.mark.parametrize(
    ("change", "name"),
    [({"steps": 4}, "steps"), ({"digits": 5}, "magnitude")],
)
def test_another_kind_is_found_in_its_own_measure_only(change: dict[str, int], name: str) -> None:
    public = [item(k) for k in range(100)]
    new = [item(1000 + k, **change) for k in range(100)]
    assert [one.name for one in compare(new, public) if one.unlike] == [name]


def test_the_p_is_that_of_the_kolmogorov_smirnov_test() -> None:
    new, public = mixed(40), mixed(60, start=500)
    steps = compare(new, public)[0]
    expected = stats.ks_2samp(
        [MEASURES["steps"](one) for one in new], [MEASURES["steps"](one) for one in public]
    )
    assert steps.p == pytest.approx(expected.pvalue, abs=0.02)
    assert (len(steps.new), len(steps.public)) == (40, 60)


def test_sets_without_any_difference_have_p_1() -> None:
    same = [item(k, steps=3) for k in range(9)]
    assert compare(same, same[:1])[0].p == 1.0


@pytest.mark.parametrize(
    ("new", "public"),
    [
        ((1,), (1,)),
        ((0, 0, 1), (1, 1)),
        (tuple(range(100)), (3,)),
        ((5, 17, 4000), (2, 2)),
        ((0,), (12,)),
    ],
)
def test_bins_and_picture_hold_every_item_once(
    new: tuple[int, ...], public: tuple[int, ...]
) -> None:
    shown = Comparison("steps", new, public, 0.5)
    rows = shown.bins()
    assert len(rows) <= 12
    assert sum(one for _, one, _ in rows) == pytest.approx(1) and sum(
        other for *_, other in rows
    ) == pytest.approx(1)
    picture = ElementTree.fromstring(shown.svg())
    bars = picture.findall(f"{SVG}rect")
    assert len(bars) == 2 * len(rows) == 2 * len(picture.findall(f"{SVG}text"))
    assert all(
        float(bar.get("y", "-1")) >= 0 and float(bar.get("height", "-1")) >= 0 for bar in bars
    )
    title = picture.find(f"{SVG}title")
    assert title is not None and title.text and "p = 0.500" in title.text
    assert "steps" in shown.line() and "p = 0.500" in shown.line()


# --- on GSM8K: its test set as the public one, samples of its training set as a new one


@pytest.fixture(scope="module")
def train(data_dir: Path) -> list[Item]:
    return list(load_items(data_dir / "gsm8k" / "train.jsonl"))


@pytest.fixture(scope="module")
def public(data_dir: Path) -> tuple[Item, ...]:
    return load_items(data_dir / "gsm8k" / "test.jsonl")


@pytest.mark.slow
@pytest.mark.data
def test_random_samples_are_called_unlike_no_oftener_than_promised(
    train: list[Item], public: tuple[Item, ...]
) -> None:
    """200 random splits of one population: 600 tests at 1%. More than 14 would have a chance below 0.5%."""
    draw = random.Random(20261124)
    whole = [*train, *public]
    false = 0
    for _ in range(200):
        sample = draw.sample(whole, 900)
        false += sum(one.unlike for one in compare(sample[:400], sample[400:]))
    assert stats.binom.sf(14, 600, UNLIKE) < 0.005
    assert false <= 14


@pytest.mark.data
def test_a_sample_of_train_is_like_test(train: list[Item], public: tuple[Item, ...]) -> None:
    sample = random.Random(1).sample(train, 400)
    assert not any(one.unlike for one in compare(sample, public))


@pytest.mark.data
@pytest.mark.parametrize("name", list(MEASURES))
def test_a_selection_that_leans_is_found(
    train: list[Item], public: tuple[Item, ...], name: str
) -> None:
    """The harder half preferred three to one, as an author might without noticing."""
    draw = random.Random(2)
    middle = sorted(map(MEASURES[name], train))[len(train) // 2]
    weights = [3 if MEASURES[name](one) > middle else 1 for one in train]
    leaning = draw.choices(train, weights, k=400)
    assert {one.name: one.unlike for one in compare(leaning, public)}[name]
