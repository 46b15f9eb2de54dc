"""Makes an installation ready: keys, a public set, a sealed twin, and their registration.

Everything is done once; a second call finds it there and is quick.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from demo.programs import Installation
from evaluator.artefacts import inspect_checkpoint
from evaluator.artefacts.weights import served_files
from evaluator.sealing.formats import WRAPS

Rows = Sequence[dict[str, str]]


def make_keys(place: Installation, *, name: str = "demo") -> None:
    """Make the evaluator's keys unless they are there. They are never overwritten."""
    if not place.keys.exists():
        place.engine("keygen", str(place.keys), "--name", name)


def migrate(place: Installation) -> None:
    """Make the site's tables, or bring them up to date."""
    place.manage("migrate", "--verbosity", "0")


def register_evaluator(place: Installation) -> None:
    """Register the first evaluator's public keys with the site."""
    place.manage("register_evaluator", str(place.keys / "identity.json"))


def enrol_evaluators(
    place: Installation,
    private: str,
    *,
    name: str = "demo",
) -> None:
    """Make keys for every evaluator after the first, wrap the sealed set's key to each and register
    it.

    The first evaluator enrols them, and its journal records it, so none of them may be running.
    Does nothing for those that are enrolled already.
    """
    identities = []
    for number, evaluator in enumerate(place.evaluator_names[1:], start=2):
        keys = place.keys_of(evaluator)
        identity = str(keys / "identity.json")
        party = f"{name}-{number}"
        if not keys.exists():
            place.engine("keygen", str(keys), "--name", party)
        if not (place.sets / private / WRAPS / f"{party}.json").exists():
            home = place.home_of("evaluator")
            home.mkdir(parents=True, exist_ok=True, mode=0o700)
            opened_by = [
                "--set",
                str(place.sets / private),
                "--keys",
                str(place.keys),
                "--home",
                str(home),
            ]
            place.engine("enrol", identity, *opened_by)
        identities.append(identity)
    place.manage_each(("register_evaluator", identity) for identity in identities)


def make_public_set(
    place: Installation, name: str, rows: Rows, *, shots: Path | None = None
) -> None:
    """Write a public set where the evaluator looks for it, with its shot pool if it has one."""
    folder = place.sets / name
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / "items.jsonl", rows)
    if shots:
        (folder / "shots.jsonl").write_bytes(shots.read_bytes())


def make_maintainers(place: Installation, count: int = 3) -> list[str]:
    """Make keys for maintainers and for a witness, and return the options that seal a set in their
    names.

    The first maintainer signs the set's tree head; a majority of them releases it.
    """
    options = []
    names = [f"maintainer-{number}" for number in range(1, count + 1)]
    for name in [*names, "witness"]:
        folder = place.folder / "people" / name
        role = name.partition("-")[0]
        if not folder.exists():
            place.engine("keygen", str(folder), "--role", role, "--name", name)
        options += [f"--{role}", str(folder / "party.json")]
    return [*options, "--sign", str(place.folder / "people" / "maintainer-1")]


def make_sealed_set(
    place: Installation,
    name: str,
    rows: Rows,
    *,
    shots: Path | None = None,
    options: Sequence[str] = (),
) -> None:
    """Seal a private set to the evaluator's key. Its plaintext exists only while it is sealed."""
    folder = place.sets / name
    if folder.exists():
        return
    with tempfile.TemporaryDirectory() as plain:
        items = Path(plain) / "items.jsonl"
        write_rows(items, rows)
        names = ["--keys", str(place.keys)]
        names += ["--out", str(folder), "--name", name]
        if shots:
            names += ["--shots", str(shots)]
        place.engine("seal", str(items), *names, *options)
    witness = place.folder / "people" / "witness"
    if "--witness" in options:
        place.engine("cosign", str(folder / "head.txt"), "--keys", str(witness))


def trust_shipped_checkpoints(place: Installation, names: Sequence[str]) -> None:
    """Note the digests of our own checkpoints: where there is no bubblewrap, only these may run."""
    digests = []
    for name in names:
        with tempfile.TemporaryDirectory() as temporary:
            fetched = Path(temporary)  # from the hub, without files that no engine reads
            for path in served_files(place.checkpoints / name):
                shutil.copy(path, fetched)
            digests.append(inspect_checkpoint(fetched).digest)
        digests.append(inspect_checkpoint(place.checkpoints / name).digest)
    place.trusted.write_text("\n".join(digests) + "\n")


def write_rows(path: Path, rows: Rows) -> None:
    """Write rows as JSON lines."""
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), encoding="utf-8")


def register_benchmark(
    place: Installation,
    *,
    slug: str,
    title: str,
    public: str,
    private: str,
    protocol: str,
    also: Sequence[str] = (),
) -> None:
    """Register both sets and their pair. The database has its tables already.

    A submission may choose one of the protocols in ``also``.
    """
    manifest = place.sets / private / "manifest.json"
    head = place.sets / private / "head.txt"
    signed = ["--head", str(head)] if head.exists() else []
    names = ["--title", title, "--public", public, "--private", private]
    others = [option for name in also for option in ("--also", name)]
    place.manage_each(
        [
            ["register_set", str(describe_public_set(place, public))],
            ["register_set", str(manifest), "--sealed", *signed],
            ["register_pair", slug, *names, "--protocol", protocol, *others],
        ]
    )


def register_practice(
    place: Installation,
    *,
    slug: str,
    title: str,
    sets: Sequence[str],
    protocol: str,
) -> None:
    """Register two public sets and the practice pair of them."""
    commands = []
    for name in sets:
        facts = describe_public_set(place, name)
        commands.append(["register_set", str(facts)])
    first, second = sets
    names = ["--title", title, "--public", first, "--private", second]
    commands.append(["register_pair", slug, *names, "--protocol", protocol, "--practice"])
    place.manage_each(commands)


def describe_public_set(place: Installation, name: str) -> Path:
    """Write what the site registers of a public set, its size, digest and kind of items, and return
    the file."""
    items = place.sets / name / "items.jsonl"
    facts = json.loads(place.engine("inspect", str(items), "--json"))
    registered = {"name": name}
    for key in ("n", "digest", "kind"):
        registered[key] = facts[key]
    note = place.folder / "site" / f"{name}.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(json.dumps(registered))
    return note


def once(marker: Path, work: Callable[[], None]) -> None:
    """Do ``work`` unless ``marker`` says that it was done."""
    if not marker.exists():
        work()
        marker.touch()
