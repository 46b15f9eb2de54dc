"""An evaluator as its operator installs it: keys, one public and one sealed set, settings; and its jobs."""

import dataclasses
import json
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from evaluator.contract import Graded, Outcome, Report, pack_bits
from evaluator.items import load_items, set_digest
from evaluator.ledger.envelopes import open_envelope
from evaluator.ledger.manifests import Identity, Manifest
from evaluator.sealing.allocation import Shares, deal
from evaluator.sealing.formats import read_manifest
from evaluator.sealing.keys import generate_keys
from evaluator.sealing.seal import Covenant, seal_set, write_set

NAME = "evaluator-1"
CANARY = "violet-kayak"
"""Stands in every question of the sealed set."""
SEED = bytes(range(32))
ALL = Shares(local=Fraction(0), spare=Fraction(0), blocks=1, cell=1)
"""One block, which every endpoint on the list may see."""
PLAIN = Covenant()


def write_rows(path: Path, rows: Sequence[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows(n: int, word: str) -> list[dict[str, str]]:
    """Questions whose answer is their number."""
    return [
        {"question": f"Which {word} is number {i}?", "answer": f"It is this. #### {i}"}
        for i in range(n)
    ]


@dataclasses.dataclass(frozen=True)
class Installed:
    """The folders of one evaluator and what a site would know of it."""

    folder: Path
    identity: Identity
    sets: dict[str, dict[str, Any]]
    recipients: str = ""
    variables: dict[str, str] = dataclasses.field(default_factory=dict)

    def environ(self, broker_url: str) -> dict[str, str]:
        path = self.folder / "recipients.toml"
        path.write_text(self.recipients)
        return {
            "BROKER_URL": broker_url,
            "HOLDFAST_HOME": str(self.folder / "home"),
            "HOLDFAST_KEYS": str(self.folder / "keys"),
            "HOLDFAST_SETS": str(self.folder / "sets"),
            "HOLDFAST_CHECKPOINTS": str(self.folder / "checkpoints"),
            "HOLDFAST_RECIPIENTS": str(path),
            "HOLDFAST_SELF_TEST": "off",
            **self.variables,
        }

    def allowing(
        self, url: str, *, model: str = "m", api: str = "chat", **about: str
    ) -> "Installed":
        """List an endpoint that takes no key, unless ``about`` says where one is."""
        about = {"url": url, "model": model, "api": api} | about
        lines = [f'{name} = "{value}"' for name, value in about.items()]
        lines += [] if set(about) & {"key_file", "key_env"} else ["no_key = true"]
        table = "\n".join(["[[endpoint]]", *lines, "allow_private = true", ""])
        return dataclasses.replace(self, recipients=self.recipients + table)

    def season(self, number: int) -> "Installed":
        """Open a season of self-declared endpoints. After all that is listed: it is the file's last table."""
        return dataclasses.replace(
            self, recipients=self.recipients + f"[self_declared]\nseason = {number}\n"
        )

    def index(self, name: str, number: int) -> int:
        """Where the question with this number lies in a set."""
        return next(
            i
            for i, row in enumerate(self.sets[name]["rows"])
            if row["answer"].endswith(f"#### {number}")
        )

    def manifest(self) -> Manifest:
        """That of the sealed set."""
        return read_manifest(self.folder / "sets" / "closed")

    def all_rows(self) -> list[dict[str, str]]:
        return [row for name in self.sets for row in self.sets[name]["rows"]]

    def job(
        self,
        system: dict[str, Any],
        *,
        done: dict[str, Sequence[int]] | None = None,
        blocks: Sequence[int] = (),
        **other: Any,
    ) -> dict[str, Any]:
        """A job specification over all sets, as the site would send it; ``blocks`` of the sealed one."""
        asks = [
            {
                "name": name,
                "sealed": facts["sealed"],
                "digest": facts["digest"],
                "n": facts["n"],
                "blocks": list(blocks) if facts["sealed"] else [],
                "done": pack_bits((done or {}).get(name, ()), facts["n"]),
            }
            for name, facts in self.sets.items()
        ]
        job = {
            "version": 3,
            "run": str(uuid.uuid4()),
            "token": 1,
            "lease_seconds": 5.0,
            "system": system,
            "protocol": "demo-0shot",
            "sets": asks,
            "grant": "ab" * 32,
            "limits": {"seconds": 60.0, "concurrency": 8},
        }
        return job | other

    def reports(self, envelopes: Sequence[object]) -> list[Report]:
        """Opened with this evaluator's public key, as the recorder would."""
        return [open_envelope(data, {NAME: self.identity.report_pub}.get) for data in envelopes]


def install(
    folder: Path,
    *,
    n: int = 30,
    shares: Shares = ALL,
    covenant: Covenant = PLAIN,
    make: Callable[[int, str], list[dict[str, str]]] = rows,
) -> Installed:
    """Keys, the public set ``open`` and the sealed set ``closed`` of ``n`` items each."""
    identity = generate_keys(folder / "keys", name=NAME)
    public, sealed = make(n, "boat"), make(n, CANARY)
    write_rows(folder / "sets" / "open" / "items.jsonl", public)
    write_rows(folder / "sealed.jsonl", sealed)
    items = load_items(folder / "sealed.jsonl")
    (folder / "sealed.jsonl").unlink()
    made = seal_set(
        items,
        name="closed",
        hosts=[identity],
        seed=SEED,
        shares=shares,
        covenant=covenant,
        created=datetime.now(UTC),
    )
    write_set(made, folder / "sets" / "closed")
    sealed = [sealed[place] for place in deal(items, SEED, made.manifest.blocks)]
    root = json.loads((folder / "sets" / "closed" / "manifest.json").read_text())["root"]
    digest = set_digest(load_items(folder / "sets" / "open" / "items.jsonl"))
    (folder / "checkpoints").mkdir()
    sets = {
        "open": {"n": n, "digest": digest, "sealed": False, "rows": public},
        "closed": {"n": n, "digest": root, "sealed": True, "rows": sealed},
    }
    return Installed(folder, identity, sets)


def outcomes(reports: Sequence[Report]) -> dict[tuple[str, int], Outcome]:
    """All outcomes of the reports; an item that comes twice is an error."""
    found: dict[tuple[str, int], Outcome] = {}
    for report in reports:
        if isinstance(report.body, Graded):
            for index, outcome in report.body.outcomes:
                assert (report.body.set, index) not in found
                found[report.body.set, index] = outcome
    return found
