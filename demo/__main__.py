"""``make demo``: the whole house on one machine, from nothing to a board with three real
checkpoints.

Starts a PostgreSQL and a broker, seals a small private set, starts the site, the recorder and an
evaluator, submits the three checkpoints of ``demo/checkpoints`` through the API as any author
would, shows how they get on, prints the board and serves it until Ctrl-C. With ``--once`` it ends
there.
"""

import argparse
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from demo import prepare, zoo
from demo.problems import private_set, public_set
from demo.programs import ROOT, Installation, Process, free_port, has_bubblewrap
from demo.progress import display
from demo.services import (
    EmbeddedPostgres,
    ServiceFailed,
    filesystem_broker,
    has_redis,
    start_redis,
    stop,
)

PAIR = "demo"
PUBLIC, PRIVATE = "demo-public", "demo-private"
PROTOCOL = "demo-0shot"
CHECKPOINTS = ("honest", "contaminated", "small")
RELEASE_AFTER = "2030-01-01T00:00:00Z"
"""Date from which the demo's private set may be released if no three models of distinct lineages
have solved it before."""
LINES_SHOWN = 6
MOST_EVALUATORS = 8
MADE_HERE = "The demo trained and asked these models itself, outside the evaluator, and knows how each was made."
ZOO = "The zoo: models of which it is known who saw the public set"
PAPER = (
    Path(os.environ.get("HOLDFAST_DATA", ROOT.parent / "shared" / "data"))
    / "published"
    / "gsm1k_table.csv"
)
ABOUT_PAPER = (
    *("--slug", "gsm1k", "--title", "GSM8K and GSM1k", "--public", "GSM8K", "--private", "GSM1k"),
    *(
        "--source",
        "H. Zhang et al. (2024), arXiv 2405.00332v4, Appendix F",
        "--url",
        "https://arxiv.org/abs/2405.00332",
    ),
    *("--equally-hard", "written by hand to match; annotators could not tell the sets apart"),
)


def main() -> int:
    """Run the demo. Exit status 0 after the table or Ctrl-C, 1 if a part did not come up or a run
    failed."""
    options = _options()
    for ending in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # a shell starts background jobs with SIGINT ignored
        signal.signal(ending, _interrupt)
    with contextlib.ExitStack() as stack:
        try:
            return _story(options, stack)
        except KeyboardInterrupt:
            print("\nEnding every program.", file=sys.stderr)
            return 0
        except ServiceFailed as failure:
            print(f"The demo could not go on: {failure}", file=sys.stderr)
            return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make demo", description="Every program of Holdfast on one machine."
    )
    parser.add_argument(
        "--once", action="store_true", help="end after the table instead of serving"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the board's rows as one JSON object, last"
    )
    parser.add_argument(
        "--port", type=int, default=0, help="the site's port (default: 8000, or a free one)"
    )
    parser.add_argument(
        "--evaluators",
        type=int,
        choices=range(1, MOST_EVALUATORS + 1),
        default=1,
        metavar="N",
        help=f"evaluators that serve the same pool, each with its own keys (1 to {MOST_EVALUATORS}; default: 1)",
    )
    parser.add_argument(
        "--folder", type=Path, default=ROOT / ".demo", help="folder of the demo's state"
    )
    return parser.parse_args()


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _story(options: argparse.Namespace, stack: contextlib.ExitStack) -> int:
    say = _narrator()
    place = _installation(options, stack, say)
    say("Preparing keys, the public set and its sealed twin")
    prepare.once(place.folder / "prepared", lambda: _prepare(place))
    prepare.enrol_evaluators(place, PRIVATE)
    number = "an evaluator" if place.evaluators == 1 else f"{place.evaluators} evaluators"
    say(f"Starting the site, the recorder and {number}")
    programs = {}
    for name, begin in place.starts.items():
        programs[name] = begin()
        stack.callback(stop, [programs[name]])
    if not has_bubblewrap():
        say(
            "bubblewrap is missing: checkpoints run without a jail, so only the three shipped ones do"
        )
    token = place.manage("create_token", "demo").strip().splitlines()[-1]
    runs = _submit(place, token)
    _watch(place, runs, token, say, programs)
    say(f"Closing the board: {place.manage('close_cohort', PAIR).strip()}")
    board = place.get(f"/api/v1/board?pair={PAIR}")
    print(place.manage("board", "--pair", PAIR))
    print(_ledger(place))
    print(f"The board: {place.address}/boards/{PAIR}/")
    for table in reversed(place.get("/api/v1/published")):
        print(
            f"{table['title']}, a table read by the same tests: {place.address}/published/{table['table']}/"
        )
    if options.json:
        print(json.dumps(board), flush=True)
    if any(
        place.get(f"/api/v1/runs/{run}", token=token)["state"] != "ranked" for run in runs.values()
    ):
        return 1
    if not options.once:
        print("Serving until Ctrl-C.", flush=True)
        signal.pause()
    return 0


def _ledger(place: Installation) -> str:
    """Print what was committed to before the first score, and the newest lines of the ledger."""
    private = place.get(f"/api/v1/sets/{PAIR}")["private"]
    newest = place.get(f"/api/v1/ledger?set={private['name']}&limit={LINES_SHOWN}")["entries"]
    words = [_line(line) for line in newest]
    head = f"Sealed {private['n']} items under {private['digest'][:16]}…; who was shown what, newest first:"
    return "\n".join([head, *words, f"  ... all of it: {place.address}/ledger/"])


def _line(line: dict[str, Any]) -> str:
    """An entry of the ledger; an enrolment has neither items nor a run."""
    items = f"{line['count']:>4} items" if "count" in line else " " * 10
    run = f"run {line['run'][:8]}" if line.get("run") else " " * 12
    return f"  {line['index']:>4}  {line['kind']:9} {items}  {run}  {line['entry_hash'][:16]}…"


def _narrator() -> Callable[[str], None]:
    begun = time.monotonic()
    return lambda text: print(f"[{time.monotonic() - begun:5.1f} s] {text}", flush=True)


def _installation(
    options: argparse.Namespace, stack: contextlib.ExitStack, say: Callable[[str], None]
) -> Installation:
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    return Installation(
        folder=folder,
        database_url=os.environ.get("DATABASE_URL") or _embedded_postgres(folder, stack, say),
        broker_url=os.environ.get("BROKER_URL") or _embedded_broker(folder, stack, say),
        port=options.port or _preferred_port(),
        evaluators=options.evaluators,
    )


def _embedded_postgres(
    folder: Path, stack: contextlib.ExitStack, say: Callable[[str], None]
) -> str:
    say("Starting an embedded PostgreSQL (DATABASE_URL would name another)")
    server = EmbeddedPostgres(folder / "postgres")
    url = server.start()
    stack.callback(server.stop)
    return url


def _embedded_broker(folder: Path, stack: contextlib.ExitStack, say: Callable[[str], None]) -> str:
    if not has_redis():
        say("No Redis here: the broker is a folder (BROKER_URL would name another)")
        return filesystem_broker(folder / "broker")
    say("Starting a Redis as broker (BROKER_URL would name another)")
    process, url = start_redis(folder / "redis")
    stack.callback(stop, [process])
    return url


def _preferred_port() -> int:
    with contextlib.closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 8000))
        except OSError:
            return free_port()
    return 8000


def _prepare(place: Installation) -> None:
    prepare.make_keys(place)
    prepare.make_public_set(place, PUBLIC, public_set())
    terms = [
        *prepare.make_maintainers(place),
        "--release-after",
        RELEASE_AFTER,
        "--protocol",
        PROTOCOL,
    ]
    terms += ["--twin-of", str(place.sets / PUBLIC / "items.jsonl"), "--twins-by", "generator"]
    terms += ["--smallest-cell", "36"]  # a block of these 400 problems, which guard nothing
    prepare.make_sealed_set(place, PRIVATE, private_set(), options=terms)
    prepare.trust_shipped_checkpoints(place, CHECKPOINTS)
    prepare.tell_site(
        place,
        slug=PAIR,
        title="Demo problems",
        public=PUBLIC,
        private=PRIVATE,
        protocol=PROTOCOL,
    )
    _bring_tables(place)


def _bring_tables(place: Installation) -> None:
    """The zoo, and the paper's table where the real data are."""
    about = [
        "--slug",
        "zoo",
        "--title",
        ZOO,
        "--source",
        "demo/zoo of this repository",
        "--ran-by",
        MADE_HERE,
    ]
    place.manage("import_published", str(zoo.TABLE), *about)
    if PAPER.is_file():
        place.manage("import_published", str(PAPER), *ABOUT_PAPER)


def _submit(place: Installation, token: str) -> dict[str, str]:
    """Submit the three checkpoints; a second time answers with the submissions that are there."""
    runs = {}
    for name in CHECKPOINTS:
        order = {
            "model": f"demo-{name}",
            "pair": PAIR,
            "kind": "checkpoint",
            "checkpoint": name,
            "open_weights": True,
        }
        answer = place.post("/api/v1/submissions", order, token=token, key=f"demo-{name}")
        runs[name] = answer["run"]
    return runs


def _watch(
    place: Installation,
    runs: dict[str, str],
    token: str,
    say: Callable[[str], None],
    programs: dict[str, Process],
) -> None:
    """Show each run's progress until all are graded or have failed.

    Raises :class:`ServiceFailed` where a program has ended, since nothing would go on then.
    """
    ended: set[str] = set()
    with contextlib.ExitStack() as stack:
        shown = display(runs, stack, say)
        while len(ended) < len(runs):
            for name, run in runs.items():
                now = place.get(f"/api/v1/runs/{run}", token=token)
                shown.show(name, now)
                if now["final"] or now["state"] == "graded":
                    ended.add(name)
            for name, program in programs.items():
                if program.poll() is not None:
                    raise ServiceFailed(f"the {name} has ended (log: {place.log(name)})")
            time.sleep(0.25)


if __name__ == "__main__":
    sys.exit(main())
