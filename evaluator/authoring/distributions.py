"""Is the new set like the public one? Steps, lengths and magnitudes: a test and a picture for each."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evaluator.authoring.near import words
from evaluator.items import Item
from evaluator.sealing.allocation import cell

MEASURES: Mapping[str, Callable[[Item], int]] = {
    "steps": lambda item: cell(item)[0],
    "magnitude": lambda item: cell(item)[1],
    "length": lambda item: len(words(item.question)),
}
"""Calculator steps in the answer, digits of the answer's integer part, words of the question."""
UNLIKE = 0.01
"""Below this p the two sets are called unlike."""
_BINS = 12
_WIDTH, _HEIGHT, _FOOT = 480, 160, 28


@dataclass(frozen=True)
class Comparison:
    """One measure over both sets, as values; ``p`` is that of the two-sample Kolmogorov-Smirnov test.

    With ties, as between counts, the test is conservative: it finds a difference less often than it says.
    """

    name: str
    new: tuple[int, ...]
    public: tuple[int, ...]
    p: float

    @property
    def unlike(self) -> bool:
        """Whether the difference is more than chance."""
        return self.p < UNLIKE

    def line(self) -> str:
        """Both means and the test, with a bar for each bin of the new set against the public one."""
        new, public = (sum(side) / len(side) for side in (self.new, self.public))
        bars = "".join(_bar(one, other) for _, one, other in self.bins())
        return f"{self.name:9} {bars:<12} mean {new:.2f} against {public:.2f}, p = {self.p:.3f}"

    def bins(self) -> list[tuple[str, float, float]]:
        """(label, share of the new set, share of the public one) of at most a dozen equal bins."""
        low, high = min(self.new + self.public), max(self.new + self.public)
        width = -(-(high - low + 1) // _BINS)
        counts = [
            Counter((value - low) // width for value in side) for side in (self.new, self.public)
        ]
        rows = []
        for place in range(-(-(high - low + 1) // width)):
            start = low + place * width
            label = str(start) if width == 1 else f"{start}-{start + width - 1}"
            rows.append(
                (label, counts[0][place] / len(self.new), counts[1][place] / len(self.public))
            )
        return rows

    def svg(self) -> str:
        """Two bars a bin, the new set's filled, the public one's outlined; in the colour of the page's text."""
        rows = self.bins()
        top = max(max(one, other) for _, one, other in rows)
        step, room = _WIDTH / len(rows), _HEIGHT - _FOOT
        title = (
            f"{self.name}: the new set (filled) against the public one (outlined), p = {self.p:.3f}"
        )
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
            f'aria-labelledby="t" fill="currentColor" stroke="currentColor" font-family="sans-serif" font-size="11">',
            f'<title id="t">{title}</title>',
        ]
        for place, (label, one, other) in enumerate(rows):
            left = place * step
            for share, shift, fill in ((one, 0.1, "currentColor"), (other, 0.5, "none")):
                height = room * share / top
                parts.append(
                    f'<rect x="{left + step * shift:.1f}" y="{room - height:.1f}" width="{step * 0.36:.1f}" '
                    f'height="{height:.1f}" fill="{fill}"/>'
                )
            parts.append(
                f'<text x="{left + step / 2:.1f}" y="{_HEIGHT - 10}" text-anchor="middle" stroke="none">{label}</text>'
            )
        return "\n".join([*parts, "</svg>\n"])


def compare(new: Sequence[Item], public: Sequence[Item]) -> tuple[Comparison, ...]:
    """Every measure over two sets of at least one item each."""
    return tuple(_compare(name, new, public) for name in MEASURES)


def _compare(name: str, new: Sequence[Item], public: Sequence[Item]) -> Comparison:
    # Loading it takes longer than most commands take.
    from scipy import stats  # noqa: PLC0415

    one, other = (tuple(MEASURES[name](item) for item in side) for side in (new, public))
    p = (
        float(stats.ks_2samp(one, other, method="asymp").pvalue)
        if set(one) | set(other) != set(one[:1])
        else 1.0
    )
    return Comparison(name, one, other, p)


def _bar(one: float, other: float) -> str:
    """A character that says how the new set's share of a bin stands to the public one's."""
    if other == 0:
        return "·" if one == 0 else "█"
    return "▁▂▃▄▅▆▇█"[min(7, int(4 * one / other))]
