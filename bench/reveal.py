"""Cost of opening sealed items, as a share of its wall time: ``python -m bench.reveal``.

Whole attempts are run by the real evaluator, with its journal, spool and model server, over a
sealed set of 1,205 items: against an endpoint on this machine that takes so many seconds for each
answer, and on one of the demo's checkpoints.

- *opening* is all time spent in ``Vault.reveal`` (journal, its wait for the disk, unwrapping,
  decryption, checks) over
the attempt's wall time. It is an upper bound, since requests are on their way meanwhile.
- *lost* is the attempt's wall time over that of one whose items had been opened before it began,
  less one: what a run
really loses. It is as noisy as the machine, so the median of several pairs is printed.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from bench.seal import machine, write_problems
from demo.problems import generate
from evaluator.artefacts import inspect_checkpoint
from evaluator.config import Config
from evaluator.contract import Finished
from evaluator.items import load_items
from evaluator.pipeline.attempt import run_job
from evaluator.pipeline.leases import GrantedLeases
from evaluator.pipeline.plan import Policy
from evaluator.sealing.allocation import Shares
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import generate_keys, load_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.seal import seal_set, write_set
from evaluator.sealing.vault import Revealed, Vault
from evaluator.worker import open_context
from tests.evaluator.endpoints import steady_endpoints
from tests.evaluator.installed import NAME, Installed, write_rows

ITEMS = 1205
LIMIT = 0.01
CHECKPOINTS = Path(__file__).parents[1] / "demo" / "checkpoints"


@dataclass
class Watched:
    """A vault whose revealing is timed. Batches that are ``ready`` were opened before."""

    vault: Any
    ready: dict[tuple[int, ...], Revealed]
    opening: float = 0.0
    wall: float = 0.0
    batches: list[int] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.vault, name)

    def reveal(
        self,
        set_name: str,
        indices: Sequence[int],
        **about: Any,
    ) -> Revealed:
        """As the vault does, or what was opened before."""
        opened = self.ready.get(tuple(indices))
        if opened is not None:
            return opened
        begin = time.perf_counter()
        revealed: Revealed = self.vault.reveal(set_name, indices, **about)
        self.opening += time.perf_counter() - begin
        self.batches.append(len(indices))
        return revealed


def install(folder: Path, items: Path) -> Installed:
    """An evaluator that holds the items as one exposed block of the set ``closed``."""
    identity = generate_keys(folder / "keys", name=NAME)
    nothing = Fraction(0)
    sealed = seal_set(
        load_items(items),
        name="closed",
        hosts=[identity],
        created=datetime.now(UTC),
        shares=Shares(local=nothing, spare=nothing, blocks=1),
    )
    write_set(sealed, folder / "sets" / "closed")
    facts = {
        "n": ITEMS,
        "digest": sealed.manifest.root,
        "sealed": True,
        "rows": [],
    }
    (folder / "checkpoints").symlink_to(CHECKPOINTS)
    return Installed(folder, identity, {"closed": facts})


def open_before(
    place: Installed, recipient: Recipients, to: str, size: int
) -> dict[tuple[int, ...], Revealed]:
    """Every batch that an attempt will ask for, by its indices, entered in the journal as any
    other."""
    keys = load_keys(place.folder / "keys")
    path = place.folder / "home" / "journal.jsonl"
    sets = {"closed": place.folder / "sets" / "closed"}
    ready = {}
    with closing(Journal(path, keys.name, keys.report)) as journal:
        vault = Vault(keys, sets.get, journal, recipient)
        for start in range(0, ITEMS, size):
            indices = tuple(range(start, min(start + size, ITEMS)))
            ready[indices] = vault.reveal(
                "closed",
                indices,
                to=to,
                run="00000000-0000-0000-0000-000000000001",
                token=1,
            )
    return ready


def attempt(
    place: Installed,
    system: dict[str, Any],
    concurrency: int,
    *,
    policy: Policy,
    before: str = "",
) -> Watched:
    """One attempt at a new run; ``before`` names the recipient for whom all is opened before the
    time begins."""
    digests = ""
    for folder in CHECKPOINTS.iterdir():
        if folder.is_dir():
            digests += f"{inspect_checkpoint(folder).digest}\n"
    trusted = place.folder / "trusted"
    trusted.write_text(digests)
    environ = place.environ("memory://")
    config = Config.from_env(environ | {"HOLDFAST_TRUSTED": str(trusted)})
    ready = {}
    if before:
        recipients = Recipients.from_dict(config.recipients)
        ready = open_before(place, recipients, before, max(policy.batch, concurrency))
    sent: list[dict[str, Any]] = []
    context, spool = open_context(
        config,
        sent.extend,
        leases=GrantedLeases(),
        stopping=lambda: False,
    )
    spool.start()
    watched = Watched(context.vault, ready)
    limits = {"seconds": 3600.0, "concurrency": concurrency}
    job = place.job(system, limits=limits)
    begin = time.perf_counter()
    run_job(job, replace(context, vault=watched, policy=policy))
    watched.wall = time.perf_counter() - begin
    spool.close(seconds=30)
    last = place.reports(sent)[-1].body
    if not isinstance(last, Finished):
        raise SystemExit(f"the run did not finish: {last}")
    return watched


def measure(
    label: str,
    place: Installed,
    system: dict[str, Any],
    *,
    policy: Policy,
    pairs: int,
) -> None:
    """Print both readings for one system; the second only where there are pairs."""
    concurrency = policy.concurrency
    to = "jail"
    if system["kind"] != "checkpoint":
        to = system["url"].split("/")[2]
    found = []
    lost = []
    for _ in range(max(pairs, 1)):
        opening_on_the_way = attempt(place, system, concurrency, policy=policy)
        found.append(opening_on_the_way)
        if pairs:
            opened = attempt(place, system, concurrency, policy=policy, before=to)
            lost.append(opening_on_the_way.wall / opened.wall - 1)
    opening = statistics.median(one.opening for one in found)
    wall = statistics.median(one.wall for one in found)
    line = (
        f"{label:34} {len(found[0].batches):3} batches, {opening * 1000:5.0f} ms of {wall:6.1f} s: "
    )
    line += f"opening {opening / wall:6.2%}, {opening / wall / LIMIT:4.2f} of the limit"
    print(line + (f"; lost {statistics.median(lost):+.2%}" if lost else ""), flush=True)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--latency", type=float, nargs="*", default=[0.2, 1.0], help="seconds for each answer"
    )
    parser.add_argument("--concurrency", type=int, default=64, help="requests in flight")
    parser.add_argument("--pairs", type=int, default=3, help="attempts with and without opening")
    parser.add_argument(
        "--checkpoint", default="small", help="one of demo/checkpoints, empty for none"
    )
    parser.add_argument(
        "--batch",
        type=int,
        default=Policy().batch,
        help="items opened at a time (default: as usual)",
    )
    options = parser.parse_args()
    policy = Policy(concurrency=options.concurrency, batch=options.batch)
    print(
        f"{ITEMS} items, {options.concurrency} in flight, {machine()}; limit {LIMIT:.0%}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as name, steady_endpoints() as begin:
        items = Path(name) / "items.jsonl"
        write_problems(items, ITEMS, seed=1)
        place = install(Path(name) / "endpoint", items)
        for latency in options.latency:
            server = begin(items, latency)
            listed = place.allowing(server.url, model="steady", api="completions")
            measure(
                f"endpoint, {latency} s an answer",
                listed,
                server.system,
                policy=policy,
                pairs=options.pairs,
            )
        if options.checkpoint:
            write_rows(items, generate(seed=7, n=ITEMS))
            place = install(Path(name) / "weights", items)
            system = {"kind": "checkpoint", "name": options.checkpoint}
            measure(
                f"checkpoint {options.checkpoint} of the demo",
                place,
                system,
                policy=policy,
                pairs=0,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
