"""The half of a release that the site never sees: keys, a sealed set, a journal, completions, votes, the bundle."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from evaluator.cli import main
from evaluator.contract import Outcome, canonical_json
from evaluator.items import parse_items
from evaluator.ledger import signatures
from evaluator.ledger.manifests import Manifest, Party
from evaluator.ledger.rules import Date, Lineages, Rule
from evaluator.sealing import formats
from evaluator.sealing.allocation import Shares
from evaluator.sealing.completions import CompletionStore
from evaluator.sealing.exposure import Journal
from evaluator.sealing.keys import Keys, generate_keys, load_keys
from evaluator.sealing.recipients import Recipients
from evaluator.sealing.seal import Covenant, seal_set, write_set
from evaluator.sealing.vault import Vault
from leaderboard.benchmarks.models import Release, SetPair
from leaderboard.benchmarks.states import SetState
from leaderboard.errors import SiteError
from leaderboard.ledger.actions import register_evaluator, store_log
from leaderboard.ledger.models import Evaluator
from leaderboard.submissions import actions
from leaderboard.submissions.models import Run
from tests.leaderboard.ruled import (
    FUTURE,
    SIGNERS,
    TERMS,
    grade,
    make_heir,
    make_maintainer,
    make_model,
    make_pair,
    state_of,
)
from tests.leaks.canaries import plant

N = 12
PLANTED = plant(N, seed=7)
SEED = bytes(range(32))


@dataclass(frozen=True)
class Offline:
    """``folder`` holds the set, everybody's keys and the evaluator's home. The same items under the same seed: all
    sets made here have one root, whatever else their manifests say."""

    folder: Path
    signers: Mapping[str, Ed25519PrivateKey]

    @classmethod
    def make(
        cls, folder: Path, rule: Rule, signers: Mapping[str, Ed25519PrivateKey] = SIGNERS
    ) -> "Offline":
        """Make keys and seal the set."""
        generate_keys(folder / "keys", name="host-a")
        for name, key in signers.items():
            _write_party(folder / name, name, key)
        parties = tuple(
            Party(name=name, public=signatures.public_hex(key)) for name, key in signers.items()
        )
        signer = next(iter(signers.items()))
        covenant = Covenant(terms=TERMS, rule=rule, maintainers=parties, quorum=2, signer=signer)
        sealed = seal_set(
            parse_items(PLANTED.jsonl().splitlines()), name="private", hosts=[load_keys(folder / "keys").identity()],
            created=datetime(2026, 1, 2, tzinfo=UTC), seed=SEED, covenant=covenant, shares=Shares(cell=1),
        )  # fmt: skip
        write_set(sealed, folder / "set")
        return cls(folder, signers)

    @property
    def keys(self) -> Keys:
        return load_keys(self.folder / "keys")

    @property
    def manifest(self) -> Manifest:
        return formats.read_manifest(self.folder / "set")

    def register(self) -> Evaluator:
        """Make the evaluator known to the site."""
        return register_evaluator(identity=self.keys.identity().to_dict(), pool="default")

    def close(self, run: Run) -> None:
        """Answer every item of a graded run, close it on the journal, and send the site its lines."""
        journal = Journal(self.folder / "home" / "journal.jsonl", self.keys.name, self.keys.report)
        store = CompletionStore(self.folder / "home" / "completions", self.keys.completions)
        row = run.outcomes.get(item_set__name="private")
        for index in row.closed():
            outcome = Outcome(bytes(row.packed)[index])
            store.append(str(run.pk), "private", index, outcome, f"#### {index}")
        vault = Vault(self.keys, {"private": self.folder / "set"}.get, journal, Recipients())
        weights = {"artefact": run.artefact, "weights": run.weights}
        vault.close_run(
            "private", store.closed(str(run.pk), "private"), run=str(run.pk), token=1, **weights
        )
        evaluator = Evaluator.objects.get(name=self.keys.name)
        Run.objects.filter(pk=run.pk).update(evaluator=evaluator)
        store_log(evaluator=evaluator, lines=journal.entries())
        journal.close()

    def bundle(self, evidence: object, out: Path) -> Path:
        """Let two maintainers sign this evidence and the evaluator open the set for it."""
        file, statement = out.with_suffix(".evidence.json"), out.with_suffix(".statement.json")
        file.write_bytes(canonical_json(evidence) + b"\n")
        (self.folder / "home").mkdir(exist_ok=True)
        first, second = list(self.signers)[:2]
        about = ["--set", str(self.folder / "set"), "--evidence", str(file)]
        identity = ["--evaluator", str(self.folder / "keys" / "identity.json")]
        command(
            "sign", *about, *identity, "--keys", str(self.folder / first), "--out", str(statement)
        )
        command("countersign", str(statement), *about, "--keys", str(self.folder / second))
        host = [
            "--keys",
            str(self.folder / "keys"),
            "--home",
            str(self.folder / "home"),
            "--out",
            str(out),
        ]
        signed = ["--statement", str(statement), "--evidence", str(file)]
        command("release", str(self.folder / "set"), *signed, *host)
        return out

    def resign(self, bundle: Path) -> None:
        """List and sign the contents anew, as whoever has the evaluator's key can."""
        names = [
            path
            for path in bundle.rglob("*")
            if path.is_file() and not path.name.startswith("contents.")
        ]
        listed = {
            path.relative_to(bundle).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in names
        }
        contents = canonical_json(listed) + b"\n"
        (bundle / "contents.json").write_bytes(contents)
        signature = signatures.sign(self.keys.report, b"holdfast/contents/v1\n" + contents)
        (bundle / "contents.sig").write_text(signature + "\n")


def command(*arguments: str) -> None:
    """Run a command of the engine that has to work."""
    assert main(arguments) == 0, arguments[0]


def over_runs(folder: Path) -> tuple[Offline, SetPair, Run]:
    """A pair that is releasable by one run, since that was closed on its evaluator's log."""
    rule = Rule(any_of=(Lineages(models=1, numerator=95, denominator=100), Date(moment=FUTURE)))
    offline = Offline.make(folder, rule)
    offline.register()
    pair = make_pair(sealed=offline.manifest)
    make_heir(pair)
    run = grade(pair, make_model("Alpha", "alpha"), N)
    assert actions.follow_rule(slug="pair") is SetState.SEALED
    offline.close(run)
    assert actions.follow_rule(slug="pair") is SetState.RELEASABLE
    return offline, pair, run


def publish(bundle: Path, by: str = "grace") -> Release:
    """Publish it as this maintainer."""
    return actions.publish(slug="pair", bundle=bundle, by=make_maintainer(by))


def refused(work: Callable[[], object]) -> SiteError:
    """The refusal that the work ends in, which tells nothing of an item."""
    with pytest.raises(SiteError) as caught:
        work()
    assert not tells_an_item(f"{caught.value} {caught.value.detail}")
    return caught.value


def assert_nothing_came_of_it(
    pair: SetPair, releases: Path, state: SetState = SetState.PROPOSED
) -> None:
    """There is no release, no copy of a bundle, and the pair is where it was."""
    assert not Release.objects.exists()
    assert list(releases.iterdir() if releases.exists() else []) == []
    assert state_of(pair) is state


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def tells_an_item(text: str) -> bool:
    """Whether a text holds a word that only an item holds."""
    return any(fragment in text for canary in PLANTED.canaries for fragment in canary.fragments())


def change(path: Path, **fields: object) -> None:
    """Change fields of a file of canonical JSON."""
    data = json.loads(path.read_bytes())
    path.write_bytes(canonical_json(data | fields) + b"\n")


def _write_party(folder: Path, name: str, key: Ed25519PrivateKey) -> None:
    folder.mkdir()
    (folder / "sign.key").write_text(key.private_bytes_raw().hex() + "\n")
    (folder / "sign.key").chmod(0o400)
    (folder / "party.json").write_bytes(
        formats.to_line(Party(name=name, public=signatures.public_hex(key)))
    )
