"""The bound shown beside the release rule. The committed rule itself counts in integers and is not decided here."""

from leaderboard.evidence.statistics.intervals import LEVEL, check_share, wilson


def is_surely_above(k: int, n: int, threshold: float, level: float = LEVEL) -> bool:
    """Whether Wilson's lower bound of ``k`` of ``n`` reaches ``threshold``. Raises ``ValueError`` as Wilson's does."""
    return wilson(k, n, level).low >= threshold


def release_bound(n: int, threshold: float, level: float = LEVEL) -> int | None:
    """The fewest right answers of ``n`` whose lower Wilson bound reaches ``threshold``; ``None`` if even n do not.

    Raises ``ValueError`` unless n > 0 and 0 < threshold < 1.
    """
    check_share(0, n)
    if not 0 < threshold < 1:
        raise ValueError("a threshold lies between 0 and 1")
    if not is_surely_above(n, n, threshold, level):
        return None
    low, high = 0, n  # the bound grows with k
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (low, middle) if is_surely_above(middle, n, threshold, level) else (middle + 1, high)
        )
    return high
