"""Comparison of the new set with the public one in steps, lengths and magnitudes."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from evaluator.authoring.near import words
from evaluator.items import Item
from evaluator.sealing.allocation import cell

MEASURES: Mapping[str, Callable[[Item], int]] = {
    "steps": lambda item: cell(item)[0],
    "magnitude": lambda item: cell(item)[1],
    "length": lambda item: len(words(item.question)),
}
"""Calculator steps of the answer, digits of its integer part, words of the question."""
OTHER_MEASURES: Mapping[str, Callable[[Item], int]] = {
    "lines": lambda item: cell(item)[0],
    "length": MEASURES["length"],
}
"""Measures of items that are no numbers: line ends of the answer, words of the question."""
UNLIKE = 0.01
"""Significance level below which two sets are called unlike."""
_BINS = 12
_WIDTH = 480
_HEIGHT = 160
_FOOT = 28


@dataclass(frozen=True)
class Comparison:
    """Values of a measure over both sets, and the p of the two-sample Kolmogorov-Smirnov test.

    With ties, as between counts, the test is conservative.
    """

    name: str
    new: tuple[int, ...]
    public: tuple[int, ...]
    p: float

    @property
    def unlike(self) -> bool:
        """True if the difference is significant."""
        return self.p < UNLIKE

    def line(self) -> str:
        """Return both means and p, with a bar for the ratio of shares in each bin."""
        new_mean = sum(self.new) / len(self.new)
        public_mean = sum(self.public) / len(self.public)
        bars = ""
        for _, new, public in self.bins():
            bars += _bar(new, public)
        means = f"mean {new_mean:.2f} against {public_mean:.2f}"
        return f"{self.name:9} {bars:<12} {means}, p = {self.p:.3f}"

    def bins(self) -> list[tuple[str, float, float]]:
        """Return (label, share of the new set, share of the public one) of up to 12 equal bins."""
        low = min(self.new + self.public)
        high = max(self.new + self.public)
        values = high - low + 1
        width = -(-values // _BINS)  # rounded up
        new_counts = Counter((value - low) // width for value in self.new)
        public_counts = Counter((value - low) // width for value in self.public)
        rows: list[tuple[str, float, float]] = []
        bins = -(-values // width)
        for number in range(bins):
            start = low + number * width
            label = str(start)
            if width > 1:
                label = f"{start}-{start + width - 1}"
            new_share = new_counts[number] / len(self.new)
            public_share = public_counts[number] / len(self.public)
            rows.append((label, new_share, public_share))
        return rows

    def svg(self) -> str:
        """Return a chart: two bars a bin, the new set's solid, the public one's hollow."""
        rows = self.bins()
        largest = max(max(new, public) for _, new, public in rows)
        step = _WIDTH / len(rows)
        top = _HEIGHT - _FOOT
        title = f"{self.name}: the new set (solid) against the public one (hollow)"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            'aria-labelledby="t" fill="currentColor" stroke="currentColor" '
            'font-family="sans-serif" font-size="11">',
            f'<title id="t">{title}, p = {self.p:.3f}</title>',
        ]
        for number, (label, new, public) in enumerate(rows):
            left = number * step
            bars = (
                (new, 0.1, "currentColor"),
                (public, 0.5, "none"),
            )
            for share, shift, fill in bars:
                height = top * share / largest
                parts.append(
                    f'<rect x="{left + step * shift:.1f}" y="{top - height:.1f}" '
                    f'width="{step * 0.36:.1f}" height="{height:.1f}" fill="{fill}"/>'
                )
            parts.append(
                f'<text x="{left + step / 2:.1f}" y="{_HEIGHT - 10}" text-anchor="middle" '
                f'stroke="none">{label}</text>'
            )
        return "\n".join([*parts, "</svg>\n"])


def compare(new: Sequence[Item], public: Sequence[Item]) -> tuple[Comparison, ...]:
    """Return the comparison of two sets, of at least one item each, by every measure."""
    # Loading it takes longer than most commands take.
    from scipy import stats  # noqa: PLC0415

    measures = MEASURES if new[0].kind == "number" else OTHER_MEASURES
    comparisons: list[Comparison] = []
    for name, measure in measures.items():
        new_values = tuple(measure(item) for item in new)
        public_values = tuple(measure(item) for item in public)
        p = 1.0
        if len({*new_values, *public_values}) > 1:
            test = stats.ks_2samp(new_values, public_values, method="asymp")
            p = float(test.pvalue)
        comparison = Comparison(
            name=name,
            new=new_values,
            public=public_values,
            p=p,
        )
        comparisons.append(comparison)
    return tuple(comparisons)


def p_values(comparisons: Iterable[Comparison]) -> dict[str, float]:
    """Return the p of each comparison by its measure, rounded for a report."""
    return {comparison.name: round(comparison.p, 4) for comparison in comparisons}


def _bar(new: float, public: float) -> str:
    """Return a character for the ratio of the new set's share of a bin to the public one's."""
    if public == 0:
        return "·" if new == 0 else "█"
    height = int(4 * new / public)
    return "▁▂▃▄▅▆▇█"[min(7, height)]
