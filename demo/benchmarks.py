"""The demo's two benchmarks and its published tables: sealing, registration, submissions."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from demo import prepare, problems, provider, zoo
from demo.problems import Row
from demo.programs import ROOT, Installation

PROTOCOL = "demo-0shot"
RELEASE_AFTER = "2030-01-01T00:00:00Z"
"""Date from which the private sets may be released if no three models of distinct lineages have
solved them before."""
CHECKPOINTS = ("honest", "contaminated", "small")
PAPER = (
    Path(os.environ.get("HOLDFAST_DATA", ROOT.parent / "shared" / "data"))
    / "published"
    / "gsm1k_table.csv"
)
ABOUT_PAPER = (
    *("--slug", "gsm1k", "--title", "GSM8K and GSM1k"),
    *("--public", "GSM8K", "--private", "GSM1k"),
    *("--source", "H. Zhang et al. (2024), arXiv 2405.00332v4, Appendix F"),
    *("--url", "https://arxiv.org/abs/2405.00332"),
    *("--equally-hard", "written by hand to match; annotators could not tell the sets apart"),
)
ABOUT_ZOO = (
    *("--slug", "zoo", "--title", "The zoo: models of which it is known who saw the public set"),
    *("--source", "demo/zoo of this repository", "--ran-by", zoo.MADE_HERE),
)


@dataclass(frozen=True)
class Benchmark:
    """A public set and its private twin from one generator, and the checkpoints submitted to them.

    ``blocks`` are options that divide the private set.
    """

    slug: str
    title: str
    public_rows: Callable[[], list[Row]]
    private_rows: Callable[[], list[Row]]
    blocks: tuple[str, ...]
    checkpoints: tuple[str, ...]

    @property
    def public(self) -> str:
        """Name of the public set."""
        return f"{self.slug}-public"

    @property
    def private(self) -> str:
        """Name of the private set."""
        return f"{self.slug}-private"


SHORT = Benchmark(
    slug="demo",
    title="Word problems of one and two steps",
    public_rows=problems.public_set,
    private_rows=problems.private_set,
    blocks=("--blocks", "7"),
    checkpoints=CHECKPOINTS,
)
LONG = Benchmark(
    slug="demo-long",
    title="Word problems of three and four steps",
    public_rows=problems.long_public_set,
    private_rows=problems.long_private_set,
    # A block of these 400 problems has 36, which guard nothing.
    blocks=("--smallest-cell", "36"),
    checkpoints=("honest", "contaminated"),
)
BENCHMARKS = (SHORT, LONG)


def seal(place: Installation) -> None:
    """Make the keys of the first evaluator and of the maintainers, and seal the private sets."""
    prepare.make_keys(place)
    people = prepare.make_maintainers(place)
    for benchmark in BENCHMARKS:
        prepare.make_public_set(place, benchmark.public, benchmark.public_rows())
        terms = ["--protocol", PROTOCOL, "--release-after", RELEASE_AFTER, *benchmark.blocks]
        twin = ["--twin-of", str(place.sets / benchmark.public / "items.jsonl")]
        options = [*people, *terms, *twin, "--twins-by", "generator"]
        prepare.make_sealed_set(place, benchmark.private, benchmark.private_rows(), options=options)
    prepare.trust_shipped_checkpoints(place, CHECKPOINTS)


def register(place: Installation) -> None:
    """Register the evaluator and both benchmarks with the site."""
    prepare.register_evaluator(place)
    # Pages list the newest benchmark first.
    for benchmark in reversed(BENCHMARKS):
        prepare.register_benchmark(
            place,
            slug=benchmark.slug,
            title=benchmark.title,
            public=benchmark.public,
            private=benchmark.private,
            protocol=PROTOCOL,
        )


def list_endpoint(place: Installation) -> None:
    """List the provider's model as an endpoint under contract."""
    address = f"http://127.0.0.1:{place.provider_port}/v1"
    place.allow_endpoints([(address, provider.MODEL)], api="chat", provider=provider.PROVIDER)


def import_tables(place: Installation) -> None:
    """Import the published tables that are here."""
    for path, about in ((zoo.TABLE, ABOUT_ZOO), (PAPER, ABOUT_PAPER)):
        if path.is_file():
            place.manage("import_published", str(path), *about)


def submit(place: Installation, benchmark: Benchmark, checkpoint: str, token: str) -> str:
    """Submit a checkpoint through the API and return its run; again, the run that is there."""
    submission = {
        "model": f"demo-{checkpoint}",
        "pair": benchmark.slug,
        "kind": "checkpoint",
        "checkpoint": checkpoint,
        "open_weights": True,
    }
    key = f"{benchmark.slug}-{checkpoint}"
    answer = place.post("/api/v1/submissions", submission, token=token, key=key)
    return str(answer["run"])
