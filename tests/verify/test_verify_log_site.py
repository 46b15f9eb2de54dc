"""The stranger's verifier against the real site over HTTP: the API's answers are what it reads."""

import json
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from evaluator import grading, protocols
from evaluator.contract import Outcome, pack_bits, unpack_bits
from evaluator.errors import Code, EvaluatorError
from evaluator.ledger.manifests import Manifest, Party, Terms
from evaluator.ledger.notes import cosign, sign_head
from evaluator.ledger.notices import sign_notice
from evaluator.ledger.rules import default_rule
from evaluator.ledger.signatures import public_hex
from leaderboard.accounts.actions import sign_up
from leaderboard.benchmarks.actions import post_notices, register_pair, register_set
from leaderboard.benchmarks.models import SetPair
from leaderboard.board.models import Snapshot, SnapshotRow
from leaderboard.celery import app
from leaderboard.errors import Refusal, SiteError
from leaderboard.ledger.actions import store_log
from leaderboard.ledger.models import Entry, Evaluator, Grant
from leaderboard.submissions import actions
from leaderboard.submissions.admission import Ask
from leaderboard.submissions.models import Run
from tests.leaderboard.closing import publish
from tests.leaderboard.conftest import MANIFEST, PRIVATE_N, PUBLIC_N, FakeEvaluator, truth
from tests.leaderboard.ruled import make_maintainer
from tests.verify.test_verify_log import VERIFIER
from tests.verify.world import key

TERMS = Terms(
    protocol="demo-0shot",
    protocol_digest=protocols.get("demo-0shot").digest,
    grader="numeric-1",
    grader_digest=grading.digest("numeric-1"),
)


def covenant() -> Manifest:
    """The set of the site's tests, with people who answer for it."""
    people = [
        Party(name=name, public=public_hex(key(name))) for name in ("grace", "hedy", "witness")
    ]
    rule = default_rule("2030-01-01T00:00:00Z")
    more = {
        "terms": TERMS,
        "rule": rule,
        "maintainers": people[:2],
        "quorum": 2,
        "witnesses": people[2:],
    }
    return Manifest.from_dict(
        MANIFEST.to_dict() | {name: _plain(value) for name, value in more.items()}
    )


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [one.to_dict() for one in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


class Site:
    """A site with one pair and one evaluator, which works off whatever is submitted."""

    def __init__(self) -> None:
        self.manifest, self.evaluator = covenant(), FakeEvaluator()
        head = sign_head(self.manifest.head(), name="grace", private_key=key("grace"))
        head = cosign(head, name="witness", private_key=key("witness"), moment=datetime.now(UTC))
        register_set(
            data={"name": "public", "n": PUBLIC_N, "digest": "a" * 64, "sealed": False},
            sealed=False,
        )
        register_set(data=self.manifest.to_dict(), sealed=True, head=head)
        facts = {"protocol": "demo-0shot", "grader": "numeric-1"}
        self.pair = register_pair(
            slug="pair", title="A pair", public="public", private="private", **facts
        )
        self.evaluator.register()
        self.user = sign_up(username="ada", password=None, organisation="Analytical")

    def submit(self, model: str, **changes: Any) -> Run:
        asked = {
            "pair": "pair",
            "model": model,
            "kind": "checkpoint",
            "checkpoint": "honest",
        } | changes
        return actions.submit(user=self.user, key=uuid.uuid4().hex, ask=Ask(**asked)).runs.get()

    def evaluate(self, run: Run, *, tier: str = "T0", closed: bool = True) -> None:
        """An attempt as an evaluator would make it: it says what it shows, grades, closes, and finishes."""
        attempt = self.evaluator.begin(run)
        grant = Grant.objects.get(run=run.pk, token=run.token)
        (asked,) = [one for one in grant.sets if one["sealed"]]
        shown = sorted(unpack_bits(asked["items"], PRIVATE_N))
        about = {"run": str(run.pk), "token": run.token}
        seen = {
            "items": pack_bits(shown, PRIVATE_N),
            "count": len(shown),
            "recipient": grant.recipient,
            "tier": tier,
        }
        lines = [self.evaluator.expose(**about | seen)]
        if closed:
            outcomes: list[Outcome] = [truth("private", index) for index in shown]
            lines.append(self.evaluator.close(outcomes, **about))
        tell = [
            attempt.started(),
            attempt.exposed(*lines, head=self.evaluator.head()),
            *attempt.graded(),
        ]
        for report in [*tell, attempt.finished()]:
            actions.record_report(envelope=report)

    def notice(self, item: int) -> None:
        told = [one.to_dict() for one in self.pair.private.signed_notices()]
        about = {
            "set": "private",
            "root": self.manifest.root,
            "index": len(told),
            "previous": "0" * 64,
        }
        facts = {"kind": "erratum", "item": item, "reason": "wrong_gold", "maintainer": "hedy"}
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        post_notices(
            data=[*told, sign_notice(key("hedy"), moment=moment, **about | facts).to_dict()]
        )


@pytest.fixture
def site(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(app, "send_task", lambda *args, **options: None)
    return Site()


@pytest.fixture
def visit(live_server: LiveServer, tmp_path: Path, capsys: Any) -> Callable[..., tuple[int, Any]]:
    def make(state: str = "state") -> tuple[int, Any]:
        capsys.readouterr()
        cache.clear()  # the site caches pages; what a test writes into the database must be seen
        code = VERIFIER.main(
            ["--site", live_server.url, "--state", str(tmp_path / state), "--json"]
        )
        return code, json.loads(capsys.readouterr().out)

    return make


def codes(told: Any) -> set[str]:
    return {code for code, _ in told["findings"]}


def test_the_site_is_watched(
    site: Site, visit: Callable[..., tuple[int, Any]], tmp_path: Path
) -> None:
    code, told = visit()
    assert (code, told["findings"]) == (0, [])
    weights = site.submit("Alpha")
    endpoint = site.submit(
        "Beta",
        kind="endpoint",
        checkpoint="",
        url="https://models.example/v1",
        served_model="b",
        api="chat",
    )
    site.submit("Gamma")
    site.evaluate(weights)
    site.evaluate(endpoint, tier="T2")
    publish(pair=site.pair)
    code, told = visit()
    assert (code, told["findings"]) == (0, [])
    verified = told["verified"]
    assert verified["rows of the board, by their logs"] == 2
    assert (verified["grants, by their hashes"], verified["runs listed"]) == (3, 3)
    assert (
        verified["exposures, by grant and order"] == verified["closings, by grant and order"] == 2
    )
    assert verified["evaluator-1: lines, signed and chained"] == 4
    site.notice(1)
    publish(pair=site.pair)
    code, told = visit()
    assert (code, told["findings"]) == (0, [])
    rows = json.loads((tmp_path / "state" / "files" / "board" / "pair.json").read_bytes())["rows"]
    assert sorted((row["version"], row["private"]["n"]) for row in rows) == [(1, 2), (1, 8)]
    assert visit("somebody else")[0] == 0
    _dishonest(site, visit)


def _dishonest(site: Site, visit: Callable[..., tuple[int, Any]]) -> None:
    """The same site, whose operator now writes into its database. Each line is undone before the next."""
    grant = Grant.objects.order_by("pk")[0]
    Grant.objects.filter(pk=grant.pk).update(recipient="friend.example")
    code, told = visit()
    assert code == 2 and {"grant_hash_wrong", "grant_changed", "exposure_beyond_grant"} <= codes(
        told
    )
    Grant.objects.filter(pk=grant.pk).update(recipient=grant.recipient)
    first = Snapshot.objects.latest("pk").rows.filter(position=0)
    [true] = first
    better = json.loads(true.body)
    better["private"] |= {"right": better["private"]["n"], "wrong": 0, "accuracy": 1.0}
    first.update(body=json.dumps(better))
    assert "score_differs" in codes(visit()[1])
    first.delete()
    assert codes(visit()[1]) == {"run_withheld"}
    SnapshotRow.objects.bulk_create([true])
    SetPair.objects.update(protocol="demo-8shot")
    assert codes(visit()[1]) == {"terms_differ", "pair_changed"}
    SetPair.objects.update(protocol="demo-0shot")
    Entry.objects.filter(index=3).update(status="pending")
    Evaluator.objects.update(head_index=2)
    assert {"log_gone", "head_without_lines"} <= codes(visit()[1])
    Evaluator.objects.update(head_index=3)
    assert "lines_missing" in codes(visit()[1])
    Entry.objects.filter(index=3).update(status="chained")
    assert visit()[0] == 0


def test_what_is_graded_again_is_granted_and_changes_no_row(
    site: Site, visit: Callable[..., tuple[int, Any]]
) -> None:
    """Of an endpoint: its answers are graded again in our own jail, after its run was closed."""
    about = {
        "checkpoint": "",
        "url": "https://models.example/v1",
        "served_model": "b",
        "api": "chat",
    }
    run = site.submit("Beta", kind="endpoint", **about)
    site.evaluate(run, tier="T2")
    publish(pair=site.pair)
    keeper = make_maintainer("keeper")
    order = actions.ask_again(run=run.pk, grader="lm-eval-strict-3", by=keeper)
    grant = Grant.objects.latest("pk")
    assert (grant.run, grant.token, grant.recipient) == (run.pk, order.exposure_token, "jail")
    (sealed,) = [one for one in grant.sets if one["sealed"]]
    seen = {
        "items": sealed["items"],
        "count": len(unpack_bits(sealed["items"], PRIVATE_N)),
        "run": str(run.pk),
    }
    line = site.evaluator.expose(**seen, token=order.exposure_token, recipient="jail", tier="T0")
    store_log(evaluator=Evaluator.objects.get(), lines=[line], notes=[site.evaluator.head()])
    code, told = visit()
    assert (code, told["findings"]) == (0, [])
    assert told["verified"]["exposures, by grant and order"] == 2
    again = site.evaluator.expose(**seen, token=run.token, recipient="jail", tier="T0")
    store_log(evaluator=Evaluator.objects.get(), lines=[again], notes=[site.evaluator.head()])
    assert "attempt_closed" in codes(visit()[1]), "under the token of the run itself"


def test_a_run_that_the_log_does_not_know(
    site: Site, visit: Callable[..., tuple[int, Any]]
) -> None:
    site.evaluate(site.submit("Alpha"), closed=False)
    publish(pair=site.pair)
    assert codes(visit()[1]) == {"row_without_closing"}


def test_o03_a_host_with_new_keys_and_the_log_of_its_old_ones(
    site: Site, visit: Callable[..., tuple[int, Any]]
) -> None:
    """New keys begin a log of their own. The old one stays as it is, with its key, and verifies."""
    site.evaluate(site.submit("Alpha"))
    publish(pair=site.pair)
    assert visit()[0] == 0
    old, site.evaluator = site.evaluator, FakeEvaluator(name="evaluator-2")
    site.evaluator.register()
    site.evaluate(site.submit("Beta", checkpoint="other"))
    publish(pair=site.pair)
    for observer in ("state", "new-observer"):
        code, told = visit(observer)
        assert (code, told["findings"]) == (0, [])
        for name in ("evaluator-1", "evaluator-2"):
            assert told["verified"][f"{name}: lines, signed and chained"] == 2
    listed = Client().get("/api/v1/evaluators").json()["evaluators"]
    keys = {one["name"]: one["report_pub"] for one in listed}
    assert keys == {one.name: public_hex(one.key) for one in (old, site.evaluator)}


def test_o03_new_keys_under_the_old_name_are_refused_and_no_line_of_them_is_taken(
    site: Site, visit: Callable[..., tuple[int, Any]]
) -> None:
    site.evaluate(site.submit("Alpha"))
    impostor = FakeEvaluator(name=site.evaluator.name)
    with pytest.raises(SiteError) as refused:
        impostor.register()
    assert refused.value.code is Refusal.ALREADY_REGISTERED
    with pytest.raises(EvaluatorError) as forged:
        store_log(evaluator=Evaluator.objects.get(), lines=[impostor.expose()])
    assert forged.value.code is Code.BAD_MESSAGE
    publish(pair=site.pair)
    assert visit()[0] == 0


def test_o03_a_site_that_changes_the_key_of_a_log_is_found(
    site: Site, visit: Callable[..., tuple[int, Any]]
) -> None:
    site.evaluate(site.submit("Alpha"))
    publish(pair=site.pair)
    assert visit()[0] == 0
    Evaluator.objects.update(public_key=public_hex(FakeEvaluator().key))
    code, told = visit()
    assert code == 2 and told["findings"]
