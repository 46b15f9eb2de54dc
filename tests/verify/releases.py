"""A small set that is sealed, asked, corrected and released by the evaluator's own commands, for the tests of release.

Twenty items in five exposed blocks, a local and a spare one. Four models were asked: ``ant``, ``bee`` and ``cat`` got
everything right that still counts, ``dog`` did not; of ``ant`` there are two closings, and one more run is not in
the evidence. Item 3 has an erratum, item 4's answers hold half a surrogate pair.
"""

import contextlib
import hashlib
import importlib.util
import io
import json
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.cli import main
from evaluator.contract import Outcome, Weights, canonical_json
from evaluator.items import parse_items
from evaluator.ledger.entries import entry_hash
from evaluator.ledger.manifests import Manifest
from evaluator.ledger.rules import Evidence, LineageFact, Lineages, Rule, RunFact
from evaluator.sealing import formats
from evaluator.sealing.allocation import Shares
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import (
    Keys,
    generate_keys,
    generate_party_keys,
    load_keys,
    load_party_keys,
)
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.seal import Covenant, seal_set, write_set
from evaluator.sealing.vault import Vault

VERIFIER = Path(__file__).parents[2] / "verify" / "verify_release.py"
PEOPLE = ("ada", "ben", "cleo", "dora", "eve")
MODELS = ("ant", "bee", "cat", "dog")
N, SHARES, ERRATUM = 20, Shares(local=Fraction(1, 5), spare=Fraction(1, 10), blocks=5, cell=1), 3
RULE = Rule(any_of=(Lineages(models=3, numerator=95, denominator=100),))
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SEED = bytes(range(32))


def command(*arguments: object) -> tuple[int, dict[str, Any]]:
    """A command's exit code and the object that it prints with ``--json``."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = main([*map(str, arguments), "--json"])
    found: dict[str, Any] = json.loads(out.getvalue().splitlines()[-1])
    return code, found


def done(*arguments: object) -> dict[str, Any]:
    """What a command prints that succeeds."""
    code, found = command(*arguments)
    assert code == 0, found
    return found


def refused(*arguments: object) -> str:
    """The code that a command is refused with."""
    code, found = command(*arguments)
    assert code == 2, found
    return str(found["error"])


def load_verifier(text: str | None = None) -> ModuleType:
    """The verifier as a module of its own, or one with this source."""
    spec = importlib.util.spec_from_file_location("verifier", VERIFIER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if text is None:
        spec.loader.exec_module(module)
    else:
        exec(compile(text, "verifier", "exec"), module.__dict__)
    return module


@dataclass(frozen=True)
class World:
    """The folders of a set on its way to release: keys by name, the evaluator's home, the set, the files to sign."""

    folder: Path

    def keys(self, name: str) -> Path:
        return self.folder / "keys" / name

    def signer(self, name: str) -> Ed25519PrivateKey:
        return load_party_keys(self.keys(name))[1]

    @property
    def evaluator(self) -> Keys:
        return load_keys(self.keys("host-a"))

    @property
    def identity(self) -> Path:
        return self.keys("host-a") / "identity.json"

    @property
    def set(self) -> Path:
        return self.folder / "set"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def evidence(self) -> Path:
        return self.folder / "evidence.json"

    @property
    def manifest(self) -> Manifest:
        return formats.read_manifest(self.set)

    def journal(self) -> Journal:
        return Journal(self.home / "journal.jsonl", "host-a", self.evaluator.report)

    def openings(self) -> int:
        """How often the journal says that the set was opened."""
        return (self.home / "journal.jsonl").read_bytes().count(b'"kind":"opening"')

    def sign(self, out: Path, *names: str) -> Path:
        """A statement with these maintainers' votes, made by the commands."""
        about = ("--set", self.set, "--evidence", self.evidence)
        first, *others = names
        done("sign", *about, "--evaluator", self.identity, "--keys", self.keys(first), "--out", out)
        for name in others:
            done("countersign", out, *about, "--keys", self.keys(name))
        return out

    def release(self, statement: Path, out: Path) -> tuple[object, ...]:
        """The arguments that release the set under a statement."""
        about = (
            "--statement",
            statement,
            "--evidence",
            self.evidence,
            "--keys",
            self.keys("host-a"),
        )
        return ("release", self.set, *about, "--home", self.home, "--out", out)


def items_of(kind: str = "number") -> list[bytes]:
    if kind != "number":
        return [canonical_json({"kind": kind, **_record(kind, k)}) for k in range(N)]
    steps = ("<<1+1=2>> #### 2", "<<2+2=4>><<4+4=8>> #### 1,234", "#### 77", "#### -5")
    return [
        canonical_json({"question": f"How many of {k} é?", "answer": f"{k} {steps[k % 4]}"})
        for k in range(N)
    ]


def _record(kind: str, k: int) -> dict[str, Any]:
    """The fields of an item of another kind than a number."""
    more = {
        "expression": {"answer": f"so it is\n#### \\frac{{{k}}}{{7}}"},
        "choice": {"answer": "#### B", "choices": ["up", f"{k} é"]},
        "program": {"answer": f"[{k}, 2.5]", "entry": "solve"},
        "tests": {
            "answer": f"def f(x):\n    y = x + {k}\n" + "    y += 1\n" * (k % 3) + "    return y\n",
            "entry": "f",
            "tests": f"assert f(1) == {k + 1 + k % 3}\nassert f({k}) == {2 * k + k % 3}\n",
            "prelude": "import math",
        },
    }
    return {"question": f"How many of {k} é?", **more[kind]}


def make_world(
    folder: Path, *, people: tuple[str, ...] = PEOPLE, quorum: int = 3, kind: str = "number"
) -> World:
    """Seal, ask and correct the set, and write the evidence; all by the engine's own code."""
    world = World(folder)
    host = generate_keys(world.keys("host-a"), name="host-a")
    parties = {
        name: generate_party_keys(world.keys(name), name=name)
        for name in (*people, "wit", "mallory")
    }
    covenant = Covenant(
        rule=RULE,
        maintainers=tuple(parties[name] for name in people),
        quorum=quorum,
        witnesses=(parties["wit"],),
        signer=(people[0], world.signer(people[0])),
    )
    items = parse_items(items_of(kind))
    sealed = seal_set(
        items,
        name="twin",
        hosts=[host],
        seed=SEED,
        created=CREATED,
        shares=SHARES,
        covenant=covenant,
    )
    write_set(sealed, world.set)
    done("cosign", world.set / "head.txt", "--keys", world.keys("wit"))
    ask(world)
    done(
        "notice",
        world.set,
        "--kind",
        "erratum",
        "--item",
        ERRATUM,
        "--reason",
        "wrong_gold",
        "--keys",
        world.keys(people[-1]),
    )
    return world


def ask(world: World) -> None:
    """Runs of every model and one run beside them; then the evidence about them."""
    journal = world.journal()
    vault = Vault(world.evaluator, {"twin": world.set}.get, journal, Recipients())
    store = CompletionStore(world.home / "completions", world.evaluator.completions)
    asked = sorted(world.manifest.indices(vault.allowed("twin", to="jail")))
    facts = []
    for number, model in enumerate((*MODELS, "stray")):
        run = str(uuid.UUID(int=number))
        halves = (asked[:7], asked) if model == "ant" else (asked,)
        closings = []
        for token, part in enumerate(halves, start=1):
            vault.reveal("twin", part, to="jail", run=run, token=token)
            for index in part:
                wrong = index == ERRATUM or (model == "dog" and index % 4 == 0)
                text = f"{model} says {index} " + ("\ud800" if index == 4 else "é")
                store.append(run, "twin", index, Outcome.WRONG if wrong else Outcome.RIGHT, text)
            asked_of = {"artefact": artefact(model), "weights": weights(model).digest()}
            line = vault.close_run(
                "twin", store.closed(run, "twin"), run=run, token=token, **asked_of
            )
            closings.append(entry_hash(line))
        active = [one for one in store.closed(run, "twin") if one.index != ERRATUM]
        right = sum(one.outcome is Outcome.RIGHT for one in active)
        facts.append(fact(run, model, n=len(active), right=right, closings=tuple(closings)))
    journal.close()
    manifest = world.manifest
    lineages = tuple(LineageFact(name=model) for model in MODELS)
    about = {"set": manifest.name, "root": manifest.root, "moment": "2026-02-01T00:00:00Z"}
    evidence = Evidence(**about, runs=tuple(facts[: len(MODELS)]), lineages=lineages)
    world.evidence.write_bytes(formats.to_line(evidence))


def artefact(model: str) -> str:
    """The digest of a model's files."""
    return hashlib.sha256(model.encode()).hexdigest()


def weights(model: str) -> Weights:
    """A model's two tensors, which no other model has."""
    tensors = sorted((artefact(f"{model} {number}")[:32], 1000) for number in range(2))
    return Weights(bytes=2000, count=2, tensors=tuple(tensors))


def fact(run: str, model: str, *, n: int, right: int, closings: tuple[str, ...] = ()) -> RunFact:
    return RunFact(
        run=run,
        model=model,
        lineage=model,
        base_model=f"{model}-base",
        artefact=artefact(model),
        weights=weights(model),
        open_weights=True,
        tier="T0",
        n=n,
        assigned=n,
        right=right,
        complete=True,
        closings=closings,
    )
