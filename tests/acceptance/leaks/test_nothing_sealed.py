"""Sealed means sealed: a set full of canaries is used in every way there is, and none turns up anywhere.

One house, one planted set, one success and failure after the other, then one scan of every surface. Each surface
holds a control, a canary that was put there on purpose: where it is not found, nobody looked.
"""

import json
from collections.abc import Callable, Iterable

import pytest

from demo.programs import ROOT
from tests.leaks import drive, processes, surfaces
from tests.leaks.canaries import token
from tests.leaks.crawl import routes
from tests.leaks.drive import Used
from tests.leaks.grading import grade_again
from tests.leaks.notifications import notify_everybody
from tests.leaks.scanner import ENCODINGS, VIEWS, Scanner
from tests.services import SAID

pytestmark = pytest.mark.timeout(1200)

TOKENIZERS = sorted((ROOT / "demo" / "checkpoints").glob("*/tokenizer.json"))
UNRELEASED = ("/release/files/", "/release/bundle.tar")
"""Routes that answer nobody before the release."""
UNCONFIGURED = ("/accounts/github/", "/accounts/oidc/", "/accounts/providers/error/")
"""Routes of other sites' accounts, of which this site has none: they answer 404, and the error page 401."""
UNREACHED = (
    "/api/v1/",
    "/chunks/<int:number>",
    *(f"{route}<path:name>" if route.endswith("/") else route for route in UNRELEASED),
)
"""Routes that answer no visitor here: a root without a page, chunks for evaluators, and what is not released."""
COUNTED = {
    "right",
    "wrong",
    "no_answer",
    "accuracy",
    "interval",
    "gap",
    "rank",
    "rank_range",
    "evidence",
    "private_right",
    "smallest_visible_gap",
    "worst",
    "efficient",
    "efficient_in_tokens",
}
"""Fields of the public JSON in which two runs may differ that differ in one private item: counts, and what is
computed of them."""
NAMED = {"id", "run", "model", "queued_at", "started_at", "ended_at", "attempts"}
"""Fields in which any two runs differ."""
SHOWN = {"extent", "before", "fresh", "since"}
"""Fields that the public log gives: what an endpoint's provider had been shown before the run."""


class Report:
    """What was looked at so far."""

    def __init__(self, used: Used) -> None:
        self.secrets = used.secrets
        self.seen: list[surfaces.Seen] = []
        self.scanners: list[Scanner] = []

    def look(self, found: Iterable[surfaces.Surface]) -> None:
        for surface in found:
            one, scanner = surfaces.scan(surface, self.secrets, TOKENIZERS)
            self.seen.append(one)
            self.scanners.append(scanner)

    def __str__(self) -> str:
        """The lines to publish: one for each surface, then the sum."""
        lines = [
            f"  {one.surface.name}: bytes {one.bytes}, hits {len(one.leaks)}" for one in self.seen
        ]
        found, hits = sum(one.found for one in self.seen), sum(len(one.leaks) for one in self.seen)
        unopened = sum(len(scanner.unopened) for scanner in self.scanners)
        total = (
            f"surfaces {len(self.seen)}, bytes {sum(one.bytes for one in self.seen)}, canaries {len(self.secrets)}, "
            f"encodings {len(ENCODINGS)} in {len(VIEWS)} views, unopened {unopened}, hits {hits}, "
            f"positive controls found {found}/{len(self.seen)}"
        )
        return "\n".join([*lines, total])


def search_after(used: Used) -> Report:
    """End every program of a story without pages, and scan what was said and what is left."""
    used.wiretap.check()
    report = Report(used)
    report.look(surfaces.of_broker(used))
    report.look(surfaces.of_database(used))
    shown = token("control")
    told = json.dumps([used.states, used.house.board(), shown.text]).encode()
    report.look([surfaces.blob("answers of the API", lambda: told, shown)])
    used.house.end()
    report.look(surfaces.of_logs(used))
    report.look(surfaces.of_disk(used))
    return report


@pytest.fixture
def used(begin: Callable[..., Used]) -> Used:
    return begin()


def live(used: Used, *steps: Callable[[Used], object]) -> Report:
    """Drive the house, then scan all that is still running."""
    shown = token("control")
    drive.lay_out_a_bundle(used)
    with processes.cores_allowed():
        drive.open_the_doors(used)
        used.change("UPDATE benchmarks_setpair SET title = %s", shown.text)
        for step in steps:
            step(used)
        calls = notify_everybody(used)
        drive.crawl_everything(used)
    assert_one_item_tells_little(used)
    used.wiretap.check()
    assert used.wiretap.missed() == []
    report = Report(used)
    with processes.holder(used.control.text, folder=used.releases.parent) as keeper:
        report.look(surfaces.of_processes(used, keeper))
    report.look(surfaces.of_broker(used))
    report.look(surfaces.of_pages(used, shown))
    report.look(surfaces.of_notifications(used, calls))
    report.look(surfaces.of_database(used))
    return report


def finish(used: Used, report: Report, show: Callable[[str], None]) -> None:
    """Let every program crash, look at what they left, and judge."""
    report.look(surfaces.of_cores(used, used.releases.parent / "cores"))
    report.look(surfaces.of_logs(used))
    report.look(surfaces.of_disk(used))
    show(str(report))
    assert {one.surface.name: one.leaks[:3] for one in report.seen if one.leaks} == {}
    assert [one.surface.name for one in report.seen if not one.found] == []
    assert [scanner.unopened for scanner in report.scanners if scanner.unopened] == []
    assert_told_in_tenths(used)
    assert_everything_was_crawled(used)


@pytest.fixture
def show(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says something at the end of the whole run, whichever process the test runs in."""
    return lambda text: record_property(SAID, text)


@pytest.mark.slow
def test_nothing_sealed_anywhere(used: Used, show: Callable[[str], None]) -> None:
    drive.break_checkpoint(used)
    report = live(
        used,
        drive.forge_messages,
        drive.run_weights,
        drive.run_practice,
        drive.run_gated_weights,
        drive.run_uploaded_weights,
        drive.run_broken_weights,
        drive.run_endpoints,
        grade_again,
        drive.provoke_pages,
        drive.provoke_database_errors,
        drive.kill_in_flight,
        drive.queue_again,
        drive.disturb,
        drive.cancel_in_flight,
    )
    with processes.cores_allowed():
        folder = drive.use_a_folder_as_broker(used)
    report.look([surfaces.of_folder_broker(folder)])
    finish(used, report, show)


def assert_told_in_tenths(used: Used) -> None:
    """L28: a submitter's progress moves by tenths, whatever the evaluator reports."""
    told = {(state["done"], state["total"], state["percent"]) for state in used.states}
    assert len({percent for _, _, percent in told}) > 2, "nothing was seen to move"
    assert all(
        percent % 10 == 0 and done == total * percent // 100 for done, total, percent in told
    )


def assert_everything_was_crawled(used: Used) -> None:
    """Every route was reached by somebody; L12: nothing a known visitor saw may be kept by a cache."""
    met = {
        route: set().union(*(crawl.statuses[route] for crawl in used.crawls.values()))
        for route in routes()
    }
    # 405 is a route that only takes forms; 422 one that wants a query, which the crawl sends besides.
    missed = [route for route, statuses in met.items() if not statuses & {200, 301, 302, 405, 422}]
    assert [
        route
        for route in missed
        if not route.endswith(UNREACHED) and not route.startswith(UNCONFIGURED)
    ] == []
    early = {
        route: statuses
        for route, statuses in met.items()
        if any(part in route for part in UNRELEASED)
    }
    assert all(statuses <= {404} for statuses in early.values()), (
        "a file was served before the release"
    )
    assert {name: crawl.kept for name, crawl in used.crawls.items() if crawl.kept} == {}
    assert all(crawl.count > len(met) for crawl in used.crawls.values())


def assert_one_item_tells_little(used: Used) -> None:
    """L27: two runs that differ in one private item differ in counts only, on the board and in their own JSON."""
    board = {row["run"]: row for row in used.house.place.get("/api/v1/board?pair=twins")["rows"]}
    right, slip = used.runs["right"], used.runs["slip"]
    assert differing(board[right], board[slip]) <= COUNTED | NAMED | SHOWN
    one, other = used.house.run(right), used.house.run(slip)
    assert "right" in differing(one, other) <= COUNTED | NAMED, (one["sets"], other["sets"])
    lost = sum(counts["right"] for counts in one["sets"]) - sum(
        counts["right"] for counts in other["sets"]
    )
    assert lost == 1


def differing(one: object, other: object, name: str = "") -> set[str]:
    """Names of the fields in which two JSON values differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            field
            for key in one.keys() | other.keys()
            for field in differing(one.get(key), other.get(key), key)
        }
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return {field for pair in zip(one, other, strict=True) for field in differing(*pair, name)}
    return set() if json.dumps(one) == json.dumps(other) else {name}
