"""A copy of the source in which a program dies at a chosen place, once, when a file asks for it.

Every program of a fleet runs from such a copy. No failpoint does anything before it is armed.
"""

import shutil
from pathlib import Path

from demo.programs import ROOT
from tests.planting import Fault

REACH = '__import__("failpoint").reach("{name}")'
MODULE = '''"""Written into a copy of the source by tests/faults/failpoints.py."""

import os
import signal
from pathlib import Path

ARMED = Path(__file__).parent / "armed"


def reach(name: str) -> None:
    """Die here if the failpoint is armed; the file goes first, so that it happens once."""
    try:
        (ARMED / name).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)
'''

FAILPOINTS: dict[str, Fault] = {
    "W08": (
        "evaluator/sealing/vault.py",
        "            entry = self._journal.record(\n                Exposure,",
        "            REACH\n            entry = self._journal.record(\n                Exposure,",
    ),
    "W09": (
        "evaluator/sealing/vault.py",
        "            return Revealed(self._decrypt(",
        "            REACH\n            return Revealed(self._decrypt(",
    ),
    "W10": (
        "evaluator/pipeline/sink.py",
        "        self.reporter.send(Graded(",
        "        REACH\n        self.reporter.send(Graded(",
    ),
    "W11": (
        "leaderboard/submissions/tasks.py",
        "            record_each(envelopes)\n    except",
        "            record_each(envelopes)\n        REACH\n    except",
    ),
    "W12-a": (
        "leaderboard/board/actions.py",
        "    newest = evidence.decide_cohort(pair=pair)\n",
        "    REACH\n    newest = evidence.decide_cohort(pair=pair)\n",
    ),
    "W12-b": (
        "leaderboard/board/actions.py",
        "    submissions.mark_ranked(run_ids=graded)\n",
        "    REACH\n    submissions.mark_ranked(run_ids=graded)\n",
    ),
    "W12-c": (
        "leaderboard/board/actions.py",
        "    submissions.mark_closed(pair=pair)\n",
        "    REACH\n    submissions.mark_closed(pair=pair)\n",
    ),
    "W12-d": (
        "leaderboard/board/actions.py",
        "    rebuild(pair=pair)\n    return newest\n",
        "    REACH\n    rebuild(pair=pair)\n    return newest\n",
    ),
    "W12-e": (
        "leaderboard/submissions/actions/recording.py",
        "    run.hold_step(RunState.GRADED, done=run.total)\n",
        "    REACH\n    run.hold_step(RunState.GRADED, done=run.total)\n",
    ),
    "W12-f": (
        "leaderboard/submissions/actions/recording.py",
        "    order_board_grader(run)\n",
        "    REACH\n    order_board_grader(run)\n",
    ),
}
"""By name: the passage before or after which a program dies."""


def copy_source(folder: Path, *faults: Fault) -> Path:
    """Copy what the programs run, with all failpoints, and with these faults for a build broken on purpose."""
    for name in ("leaderboard", "evaluator", "demo", "templates", "static"):
        shutil.copytree(
            ROOT / name, folder / name
        )  # with what is compiled: a start takes seconds less
    shutil.copy(ROOT / "manage.py", folder)
    (folder / "failpoint.py").write_text(MODULE)
    (folder / "armed").mkdir()
    for name, (file, passage, replacement) in FAILPOINTS.items():
        replace(folder / file, passage, replacement.replace("REACH", REACH.format(name=name)))
    for file, passage, replacement in faults:
        replace(folder / file, passage, replacement)
    return folder


def replace(path: Path, passage: str, replacement: str) -> None:
    text = path.read_text()
    assert text.count(passage) == 1, f"{path.name} has changed: mend this failpoint"
    path.write_text(text.replace(passage, replacement))


def arm(source: Path, name: str) -> None:
    """Let the next program that comes by a failpoint die there."""
    assert name in FAILPOINTS
    (source / "armed" / name).touch()


def is_armed(source: Path, name: str) -> bool:
    """Return True while no program has come by."""
    return (source / "armed" / name).exists()
