"""A sealed set with all that a set can have, runs of it that count for its rule, and what was shown of it."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.utils import timezone

from evaluator import grading, protocols
from evaluator.contract import Outcome, canonical_json, pack_bits
from evaluator.ledger import signatures
from evaluator.ledger.entries import GENESIS
from evaluator.ledger.manifests import Block, Identity, Manifest, Party, Terms
from evaluator.ledger.notes import cosign, sign_head
from evaluator.ledger.notices import Notice, notice_hash, sign_notice
from evaluator.ledger.releases import SignedStatement, make_statement, vote
from evaluator.ledger.rules import Date, Lineages, Rule, moment_of, read_evidence
from evaluator.ledger.tree import leaf_hash, root
from leaderboard.accounts.models import User
from leaderboard.benchmarks import actions as benchmarks
from leaderboard.benchmarks.models import ItemSet, Release, SetPair, SetStep
from leaderboard.ledger.actions import store_entries
from leaderboard.submissions import actions
from leaderboard.submissions.models import Model, Run
from tests.leaderboard.conftest import FakeEvaluator
from tests.leaderboard.ruled import artefact_of, list_tensors, tensors_of
from tests.leaderboard.sample import make_run

N, PROTOCOL = 120, protocols.get("demo-0shot").digest
EXPOSED, LOCAL, SPARE = 8, 24, 16
MOMENT = "2026-01-02T03:04:05Z"
RULE = Rule(
    any_of=(Lineages(models=2, numerator=95, denominator=100), Date(moment="2030-01-01T00:00:00Z"))
)


@dataclass
class Sealed:
    """A manifest with its signed head, and the keys of those whom it names."""

    manifest: Manifest
    head: str
    keys: dict[str, Ed25519PrivateKey]

    def notice(self, before: Notice | None, **fields: Any) -> Notice:
        """The notice after another one, signed by the first maintainer."""
        chain = {
            "index": before.index + 1 if before else 0,
            "previous": notice_hash(before) if before else GENESIS,
        }
        about = {
            "set": self.manifest.name,
            "root": self.manifest.root,
            "moment": "2026-03-04T05:06:07Z",
        }
        return sign_notice(
            self.keys["maintainer-1"], **about, **chain, maintainer="maintainer-1", **fields
        )


def seal(name: str = "twin", *, rule: Rule | None = RULE, **changes: Any) -> Sealed:
    """A set of 120 items: eight exposed blocks of ten, two of them for seasons, a local and a spare one."""
    people = [*(f"maintainer-{number}" for number in range(1, 4)), "witness-1"]
    keys = {
        one: Ed25519PrivateKey.from_private_bytes(hashlib.sha256(one.encode()).digest())
        for one in people
    }
    parties = [Party(name=one, public=signatures.public_hex(key)) for one, key in keys.items()]
    blocks = [Block(id=k, stratum="exposed", start=10 * k, n=10) for k in range(EXPOSED)]
    blocks += [
        Block(id=8, stratum="local", start=80, n=LOCAL),
        Block(id=9, stratum="spare", start=104, n=SPARE),
    ]
    leaves = [leaf_hash(f"{name} {number}".encode()) for number in range(N)]
    fields: dict[str, Any] = {
        "name": name, "n": N, "root": root(leaves).hex(), "leaves": tuple(leaf.hex() for leaf in leaves),
        "created": MOMENT, "seed_hash": "5e" * 32, "key_check": "c4" * 32, "blocks": tuple(blocks), "seasons": (6, 7),
        "cap": 20, "cell": 10, "rule": rule, "maintainers": tuple(parties[:3]), "quorum": 2, "witnesses": (parties[3],),
        "terms": Terms(protocol="demo-0shot", protocol_digest=PROTOCOL, grader="numeric-1", grader_digest=grading.digest("numeric-1")),
    }  # fmt: skip
    manifest = Manifest(**fields | changes)
    head = sign_head(manifest.head(), name="maintainer-1", private_key=keys["maintainer-1"])
    head = cosign(
        head,
        name="witness-1",
        private_key=keys["witness-1"],
        moment=moment_of("2026-01-03T00:00:00Z"),
    )
    return Sealed(manifest, head, keys)


def register(sealed: Sealed, *, slug: str = "twins") -> SetPair:
    """The pair of the set and a public one, registered as maintainers do it."""
    public = {"name": f"{slug}-public", "n": N, "digest": "a" * 64, "sealed": False}
    benchmarks.register_set(data=public, sealed=False)
    benchmarks.register_set(data=sealed.manifest.to_dict(), sealed=True, head=sealed.head)
    return benchmarks.register_pair(
        slug=slug, title=f"The {slug}", public=f"{slug}-public", private=sealed.manifest.name,
        protocol="demo-0shot", grader="numeric-1",
    )  # fmt: skip


def count_run(
    pair: SetPair, evaluator: FakeEvaluator, model: str, *, right: int, lineage: str
) -> Run:
    """A complete run of open weights that stands on the log, so that it counts for the rule."""
    from leaderboard.ledger.models import Evaluator

    run = make_run(pair, model, public=100, private=right)
    known = Evaluator.objects.get(name=evaluator.name)
    weights = {"artefact": artefact_of(model), "weights": list_tensors(tensors_of(model))}
    Run.objects.filter(pk=run.pk).update(
        evaluator=known, protocol_digest=PROTOCOL, state="ranked", **weights
    )
    actions.register_lineage(name=lineage, parents=[])
    Model.objects.filter(name=model).update(open_weights=True)
    actions.assign_lineage(model=model, lineage=lineage)
    outcomes = [Outcome.RIGHT] * right + [Outcome.WRONG] * (N - right)
    about = {"run": str(run.pk), "set": pair.private.name, "root": pair.private.digest, **weights}
    store_entries(evaluator=known, entries=[evaluator.close(outcomes, **about)])
    return run


def show(pair: SetPair, evaluator: FakeEvaluator, items: list[int], **changes: Any) -> None:
    """A line of the log: these items were shown, to the jail unless told otherwise."""
    from leaderboard.ledger.models import Evaluator

    fields: dict[str, Any] = {
        "set": pair.private.name,
        "root": pair.private.digest,
        "count": len(items),
    }
    line = evaluator.expose(**fields | {"items": pack_bits(items, pair.private.n)} | changes)
    store_entries(evaluator=Evaluator.objects.get(name=evaluator.name), entries=[line])


def meet(pair: SetPair, evaluator: FakeEvaluator) -> None:
    """Two models of distinct lineages meet the rule, a third is short; the pair follows."""
    count_run(pair, evaluator, "north-1", right=118, lineage="north")
    count_run(pair, evaluator, "south-1", right=114, lineage="south")
    count_run(pair, evaluator, "west-1", right=101, lineage="west")
    assert actions.follow_rule(slug=pair.slug) == "releasable"


def heir(pair: SetPair) -> ItemSet:
    """A registered successor, named."""
    sealed = seal(f"{pair.private.name}-2")
    known = benchmarks.register_set(data=sealed.manifest.to_dict(), sealed=True, head=sealed.head)
    benchmarks.name_successor(slug=pair.slug, successor=known.name)
    return known


FILES = {
    "README.md": b"# twin, released\n", "LICENSE.txt": b"CC-BY-4.0\n", "verify_release.py": b"print('ok')\n",
    "statement.json": b"{}\n", "items.jsonl": b'{"index":0}\n' * 500,
    "completions/0c0c0c0c-0c0c-4c0c-8c0c-0c0c0c0c0c0c.jsonl": b'{"index":0}\n',
}  # fmt: skip


def released(pair: SetPair, sealed: Sealed, by: User) -> Release:
    """Make a proposed pair released, with a bundle of a few files: whether one holds is tested elsewhere."""
    evidence = read_evidence(pair.evidence)
    evaluator = Identity(name="evaluator-1", host_pub="1" * 64, report_pub="2" * 64)
    statement = make_statement(sealed.manifest, evidence, evaluator, moment="2026-11-20T10:00:00Z")
    signed = SignedStatement(statement=statement)
    for name in ("maintainer-1", "maintainer-3"):
        signed = vote(signed, maintainer=name, private_key=sealed.keys[name])
    contents = {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}
    folder = Path(settings.RELEASES) / f"{pair.slug}-bundle"
    shutil.rmtree(folder, ignore_errors=True)
    for name, data in {
        **FILES,
        "contents.json": canonical_json(contents) + b"\n",
        "contents.sig": b"00\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    row = Release.objects.create(
        item_set=pair.private, folder=folder.name, statement=json.loads(canonical_json(signed.to_dict())), contents=contents,
        published_by=by,
    )  # fmt: skip
    ItemSet.objects.filter(pk=pair.private_id, state="proposed").update(state="released")
    SetStep.objects.create(
        item_set=pair.private, old="proposed", new="released", by=by, moment=timezone.now()
    )
    pair.refresh_from_db()
    return row
