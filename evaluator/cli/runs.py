"""``runs``, ``status``, ``watch`` and ``cancel``: runs on a site."""

import argparse
import json
import sys
import time
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any
from uuid import UUID

from evaluator.cli.answers import OwnRun, RunFacts, SiteStatus, read_as
from evaluator.cli.client import Site, site_of
from evaluator.cli.failures import DONE, INTERRUPTED, TRY_LATER, UNSUCCESSFUL, CommandFailed
from evaluator.cli.options import SITE_OPTIONS, Commands
from evaluator.cli.show import columns, printable

POLL_SECONDS = 2.0
PATIENCE = 300.0
"""Seconds that a site may be away before ``watch`` ends. The run goes on meanwhile."""
GRADED = "graded"
RANKED = "ranked"


def add_commands(commands: Commands) -> None:
    """Add ``runs``, ``status``, ``watch`` and ``cancel``."""
    listing = commands.add_parser("runs", parents=[SITE_OPTIONS])
    listing.add_argument(
        "--limit",
        type=int,
        default=20,
        metavar="N",
        help="the newest N",
    )
    listing.set_defaults(handler=runs_command)
    status = commands.add_parser("status", parents=[SITE_OPTIONS])
    status.add_argument(
        "run",
        nargs="?",
        default="",
        metavar="RUN",
        help="its id",
    )
    status.set_defaults(handler=status_command)
    watch = commands.add_parser("watch", parents=[SITE_OPTIONS])
    watch.add_argument("run", metavar="RUN", help="its id")
    watch.add_argument(
        "--ranked", action="store_true", help="also wait until the board is closed and ranks it"
    )
    watch.set_defaults(handler=watch_command)
    cancel = commands.add_parser("cancel", parents=[SITE_OPTIONS])
    cancel.add_argument("run", metavar="RUN", help="its id")
    cancel.set_defaults(handler=cancel_command)


def run_id(text: str) -> str:
    """Return the id that a person names, also as the address of the run's page. Raises
    ``run_unknown``."""
    try:
        _, _, last = text.rstrip("/").rpartition("/")
        return str(UUID(last))
    except ValueError:
        raise CommandFailed(
            "run_unknown", "This is no id of a run.", "Look it up with 'holdfast runs'."
        ) from None


def runs_command(args: argparse.Namespace) -> int:
    """Print one's own runs, newest first. Returns 0."""
    data = site_of(args).get("/mine", limit=args.limit)
    found = read_as(list[OwnRun], data)
    if args.json:
        print(json.dumps(data))
        return DONE
    if not found:
        print("You have no runs here.")
        return DONE
    rows = [("run", "pair", "model", "state", "code", "next")]
    for run in found:
        row = (
            run.run,
            run.pair,
            run.model,
            f"{run.state} {run.percent}%",
            run.code,
            run.next.sentence,
        )
        rows.append(row)
    print(columns(rows))
    return DONE


def status_command(args: argparse.Namespace) -> int:
    """Print the state of a run, or of the site's evaluators. Returns 0."""
    site = site_of(args, token=False)
    if args.run:
        data = site.get(f"/runs/{run_id(args.run)}")
        run = read_as(RunFacts, data)
        _print_run(site, run, data, as_json=args.json)
        return DONE
    data = site.get("/status")
    found = read_as(SiteStatus, data)
    if args.json:
        print(json.dumps(data))
        return DONE
    if found.ok:
        print("The site works.")
    else:
        print("Runs may wait: part of the site is not at work.")
    for pool in found.pools:
        counts = f"{pool.waiting} waiting, {pool.running} running."
        print(printable(f"{pool.name}: {pool.sentence} {counts}"))
    return DONE


def cancel_command(args: argparse.Namespace) -> int:
    """Cancel a run. Returns 0."""
    site = site_of(args)
    data = site.post(f"/runs/{run_id(args.run)}/cancel", {})
    run = read_as(RunFacts, data)
    print(json.dumps(data) if args.json else f"{run.state}: {printable(run.model)}")
    return DONE


def watch_command(args: argparse.Namespace) -> int:
    """Follow a run. Returns 0 for one with a result, 1 for one without."""
    return follow(
        site_of(args, token=False),
        run_id(args.run),
        as_json=args.json,
        ranked=args.ranked,
    )


def follow(
    site: Site,
    run: str,
    *,
    as_json: bool,
    ranked: bool = False,
) -> int:
    """Show a run's progress until it has a result, and print that.

    Graded is a result, unless ``ranked``: the board's next close may be days away.
    """
    try:
        with Progress() as progress:
            while True:
                data = _ask_again(site, run)
                facts = read_as(RunFacts, data)
                if facts.final or (facts.state == GRADED and not ranked):
                    break
                progress.show(facts)
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        print(f"The run goes on: 'holdfast watch {run}' follows it again.", file=sys.stderr)
        return INTERRUPTED
    _print_run(site, facts, data, as_json=as_json)
    return DONE if facts.state in (GRADED, RANKED) else UNSUCCESSFUL


def _ask_again(site: Site, run: str) -> Any:
    """Return the run's facts; a site that is away is asked again for ``PATIENCE`` seconds."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return site.get(f"/runs/{run}")
        except CommandFailed as failure:
            if failure.exit_code != TRY_LATER or time.monotonic() > until:
                raise
        time.sleep(POLL_SECONDS)


class Progress(AbstractContextManager["Progress"]):
    """Progress of a run on standard error: a bar at a terminal, else a line for each change."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._line = ""
        if sys.stderr.isatty():
            from tqdm import tqdm  # noqa: PLC0415 - only for a terminal

            layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed}"
            self._bar = tqdm(total=100, bar_format=layout, file=sys.stderr)

    def show(self, run: RunFacts) -> None:
        """Show the state and, while items are asked, the part that is done."""
        line = _state(run)
        if self._bar is not None:
            self._bar.set_description_str(line, refresh=False)
            self._bar.n = run.percent
            self._bar.refresh()
        elif line != self._line:
            print(line, file=sys.stderr, flush=True)
        self._line = line

    def __exit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar where it stands."""
        if self._bar is not None:
            self._bar.close()


def _state(run: RunFacts) -> str:
    words = run.state
    if run.state == "running" and run.phase:
        words = run.phase
    if run.held_up:
        words += f": {run.held_up.message}"
    elif run.waiting:
        words += f", place {run.waiting.position}"
    return printable(words)


def _print_run(
    site: Site,
    run: RunFacts,
    data: object,
    *,
    as_json: bool,
) -> None:
    """Print a run's state, its result, and after a failure the next step."""
    if as_json:
        print(json.dumps(data))
        return
    lines = [f"{run.model} on {run.pair}: {_state(run)}"]
    if not run.final and run.state != GRADED:
        lines[0] += f", {run.percent}%"
    if run.expected_start:
        lines.append(f"  expected to begin {run.expected_start:%Y-%m-%d %H:%M} UTC")
    for counts in run.sets:
        about = "about " if counts.step else ""
        lines.append(f"  {counts.set}: {about}{counts.right} of {counts.n} right")
    if run.practised:
        gap = 100 * run.practised.gap
        low = 100 * run.practised.low
        high = 100 * run.practised.high
        lines.append(f"  gap {gap:+.1f} points, 95% interval {low:+.1f} to {high:+.1f}")
        lines.append("Practice, not ranked. The run's page has the prompts and answers.")
    elif run.state == GRADED:
        lines.append("The score on the sealed set is published at the board's next close.")
    if run.failure:
        lines.append(f"{run.failure.code}: {run.failure.message}")
        lines.append(f"Next: {run.failure.advice}")
    if run.same_as:
        lines.append(f"The run of these weights: {site.page(f'/runs/{run.same_as.run}/')}")
    lines.append(site.page(f"/runs/{run.id}/"))
    print("\n".join(printable(line) for line in lines))
