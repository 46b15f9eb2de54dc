"""The demo's benchmarks and its published tables: sealing, registration, submissions.

Two are there always. The third, whose answers are programs and which ranks a system of two models,
comes on demand: its run takes minutes.
"""

import os
from collections.abc import Callable, Sequence
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

    ``blocks`` are options that divide the private set. It ranks what is asked by ``protocol``;
    ``also`` may be chosen too.
    """

    slug: str
    title: str
    public_rows: Callable[[], list[Row]]
    private_rows: Callable[[], list[Row]]
    blocks: tuple[str, ...]
    checkpoints: tuple[str, ...]
    protocol: str = PROTOCOL
    also: tuple[str, ...] = ()

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
PROGRAMS = Benchmark(
    slug="demo-programs",
    title="Word problems answered by programs",
    public_rows=lambda: problems.program_sets()[0],
    private_rows=lambda: problems.program_sets()[1],
    # No endpoint is asked: the one block is the whole set.
    blocks=("--local", "0", "--spare", "0", "--blocks", "1"),
    checkpoints=(),
    protocol="demo-verify-48",
    also=("demo-program-1",),
)
WRITER = "writer"
VERIFIER = "verifier"
"""Checkpoints of the system."""


def seal(place: Installation) -> None:
    """Make the keys of the first evaluator, and seal the private sets that are always there."""
    prepare.make_keys(place)
    for benchmark in BENCHMARKS:
        _seal(place, benchmark)
    prepare.trust_shipped_checkpoints(place, CHECKPOINTS)


def _seal(place: Installation, benchmark: Benchmark) -> None:
    """Write the public set, and seal the private one in the maintainers' names."""
    people = prepare.make_maintainers(place)
    prepare.make_public_set(place, benchmark.public, benchmark.public_rows())
    twin = place.sets / benchmark.public / "items.jsonl"
    options = [*people, "--protocol", benchmark.protocol]
    options += ["--release-after", RELEASE_AFTER, *benchmark.blocks]
    options += ["--twin-of", str(twin), "--twins-by", "generator"]
    prepare.make_sealed_set(place, benchmark.private, benchmark.private_rows(), options=options)


def register(place: Installation) -> None:
    """Register the evaluator, and the benchmarks that are always there, with the site."""
    prepare.register_evaluator(place)
    # Pages list the newest benchmark first.
    for benchmark in reversed(BENCHMARKS):
        _register(place, benchmark)


def _register(place: Installation, benchmark: Benchmark) -> None:
    prepare.register_benchmark(
        place,
        slug=benchmark.slug,
        title=benchmark.title,
        public=benchmark.public,
        private=benchmark.private,
        protocol=benchmark.protocol,
        also=benchmark.also,
    )


def add_programs(place: Installation) -> None:
    """Seal and register the benchmark of programs. The evaluators are enrolled for it later."""
    _seal(place, PROGRAMS)
    _register(place, PROGRAMS)


def add_practice(place: Installation) -> None:
    """Make two small public sets, and register them as a pair to practise on."""
    names = ("demo-practice-1", "demo-practice-2")
    for name, rows in zip(names, problems.practice_sets(), strict=True):
        prepare.make_public_set(place, name, rows)
    prepare.register_practice(
        place,
        slug="demo-practice",
        title="Practice: short word problems",
        sets=names,
        protocol=PROTOCOL,
    )


def list_endpoint(place: Installation) -> None:
    """List the provider's model as an endpoint under contract."""
    address = f"http://127.0.0.1:{place.provider_port}/v1"
    place.allow_endpoints(
        [(address, provider.MODEL)],
        api="chat",
        provider=provider.PROVIDER,
    )


def import_tables(place: Installation) -> None:
    """Import the published tables that are here."""
    commands = []
    for path, about in ((zoo.TABLE, ABOUT_ZOO), (PAPER, ABOUT_PAPER)):
        if path.is_file():
            commands.append(("import_published", str(path), *about))
    place.manage_each(commands)


def submit(
    place: Installation, benchmark: Benchmark, checkpoint: str, token: str, **fields: str
) -> str:
    """Submit a checkpoint through the API and return its run; again, the run that is there.

    ``fields`` are others of the submission, as the verifier of a system.
    """
    submission = {
        "model": f"demo-{checkpoint}",
        "pair": benchmark.slug,
        "kind": "checkpoint",
        "checkpoint": checkpoint,
        "open_weights": True,
        **fields,
    }
    key = "-".join([benchmark.slug, checkpoint, *fields.values()])
    answer = place.post("/api/v1/submissions", submission, token=token, key=key)
    return str(answer["run"])


def submit_all(
    place: Installation,
    shown: Sequence[Benchmark],
    token: str,
) -> dict[str, str]:
    """Submit what is evaluated on the benchmarks that are shown; return the runs by their names."""
    runs = {}
    for benchmark in shown:
        for checkpoint in benchmark.checkpoints:
            run = submit(place, benchmark, checkpoint, token)
            runs[f"{checkpoint}, {benchmark.slug}"] = run
    if PROGRAMS in shown:
        # The writer alone is asked for its likeliest program.
        alone = submit(place, PROGRAMS, WRITER, token, protocol=PROGRAMS.also[0])
        system = submit(place, PROGRAMS, WRITER, token, model="demo-system", verifier=VERIFIER)
        runs["writer, greedy"] = alone
        runs["writer and verifier"] = system
    return runs
