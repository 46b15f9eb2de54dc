"""Closing of attempts that ended without a closing: their answers may count on the board.

A process that is killed writes no closing, and neither does one whose disk is full. Where another
evaluator ends the run, the outcomes that were recorded before would stand on no log, and nobody
could verify the row.

- A worker closes them when it starts.
- Its ``Upkeep`` closes those that end while it runs: of another process of the same evaluator that
  has died, and of its own, once its disk can be written again.
"""

import logging
import threading
from collections.abc import Callable, Iterator

from evaluator.contract import Closing, Exposure
from evaluator.errors import Code, EvaluatorError
from evaluator.pipeline.context import Context
from evaluator.pipeline.leases import Standing
from evaluator.policy import JAIL

_log = logging.getLogger(__name__)

UPKEEP_SECONDS = 5.0
"""Seconds between two looks at what dead processes have left."""
WRITABLE_AGAIN = frozenset({Code.DISK_FULL, Code.OUT_UNWRITABLE})
"""Codes of failures that pass: the closing is tried again."""


def close_interrupted(context: Context) -> int:
    """Commit in the journal to what ended attempts have answered and not closed.

    Returns how many closings were written; ``Context.ship_lines`` sends them. A closing of weights
    names what the attempt had read of them. Sets ``unclosed`` where one could not be written.
    """
    written = 0
    for run, token, name, artefact, weights in _unclosed(context):
        if context.claims.standing(run, token) is not Standing.OVER:
            continue
        try:
            if closed := context.completions.closed(run, name):
                context.vault.close_run(
                    name,
                    closed,
                    run=run,
                    token=token,
                    artefact=artefact,
                    weights=weights,
                )
                written += 1
        except EvaluatorError as failure:
            _log.warning("not closed: run=%s token=%s code=%s", run, token, failure.code)
            if failure.code in WRITABLE_AGAIN:
                context.unclosed.set()
    return written


def _unclosed(context: Context) -> Iterator[tuple[str, int, str, str, str]]:
    """Yield run, token, set, artefact and weights of each run's newest attempt without a closing.

    Our jail is also shown items of a run to grade its answers again. That reads no weights, and so
    is told from an attempt.
    """
    # By run and set: the token of the newest attempt, and true once it is closed.
    newest: dict[tuple[str, str], tuple[int, bool]] = {}
    # By run and token: the digests of artefact and weights; empty ones of an endpoint.
    identified: dict[tuple[str, int], tuple[str, str] | None] = {}
    for line in context.entries():
        if not isinstance(line, Exposure | Closing):
            continue
        run_on_set = line.run, line.set
        if isinstance(line, Closing):
            if run_on_set in newest:
                newest[run_on_set] = line.token, True
            continue
        attempt = line.run, line.token
        if attempt not in identified:
            identified[attempt] = "", ""
            if line.recipient == JAIL:
                identified[attempt] = context.claims.identified(*attempt)
        is_closed = newest.get(run_on_set) == (line.token, True)
        if identified[attempt] is not None and not is_closed:
            newest[run_on_set] = line.token, False
    for (run, name), (token, is_closed) in newest.items():
        digests = identified[run, token]
        if digests is not None and not is_closed:
            yield run, token, name, *digests


class Upkeep:
    """Thread that finishes what dead processes and failed attempts of this evaluator have left.

    ``take_over`` takes over the reports of processes that have died and returns how many there
    were. The journal is read only where one has died or an attempt could not be closed.
    """

    def __init__(self, context: Context, take_over: Callable[[], int]) -> None:
        self._context = context
        self._take_over = take_over
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=self._run,
            name="upkeep",
            daemon=True,
        )

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self, *, seconds: float) -> None:
        """Stop looking, and wait up to ``seconds`` for that."""
        self._stop.set()
        self._thread.join(timeout=seconds)

    def look(self) -> None:
        """Take over what is left, close attempts that are not closed, and report the lines."""
        if self._take_over():
            self._context.unclosed.set()
        if not self._context.unclosed.is_set():
            return
        self._context.unclosed.clear()
        try:
            close_interrupted(self._context)
            self._context.ship_lines()
        except EvaluatorError:
            self._context.unclosed.set()
            raise

    def _run(self) -> None:
        while not self._stop.wait(UPKEEP_SECONDS):
            try:
                self.look()
            except EvaluatorError as failure:
                _log.warning("not finished: code=%s", failure.code)
            except Exception as surprise:  # noqa: BLE001 - the next look may succeed
                _log.error("unexpected %s", type(surprise).__name__)
