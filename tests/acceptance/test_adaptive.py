"""Listed endpoints on an adaptive pair, with real programs: a third of the items, a kill, a verdict."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from demo import prepare
from demo.problems import private_set, public_set
from demo.programs import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.timeout(420)]

N = 150
ROWS = (public_set()[:N], private_set()[:N])
PAIR = "adaptive"
REFERENCES = [f"able.{ability}.0" for ability in range(-120, 240, 30)]
OVERFIT, CLEAN = "able.0.350", "able.60.-60"
MOST = round(0.35 * N)
NAME_REFERENCES = f"""
from leaderboard.benchmarks.models import SetPair
from leaderboard.evidence.actions import name_reference
pair = SetPair.objects.get(slug={PAIR!r})
for model in {REFERENCES!r}:
    name_reference(pair=pair, model=model, why="older than the set")
"""


def test_an_endpoint_is_shown_a_third_of_the_items_and_gets_a_verdict(
    make_house: Callable[..., Any], serve: Callable[..., Any], tmp_path: Path
) -> None:
    prepare.write_rows(tmp_path / "gold.jsonl", [*ROWS[0], *ROWS[1]])
    prepare.write_rows(tmp_path / "public.jsonl", ROWS[0])
    files = ("--gold", str(tmp_path / "gold.jsonl"), "--public", str(tmp_path / "public.jsonl"))
    endpoint = serve("abilities.py", *files, "--latency", "0.02")
    house = make_house(rows=ROWS)
    facts = ("--title", "Adaptive", "--public", "open", "--private", "twin")
    house.place.manage(
        "register_pair", PAIR, *facts, "--protocol", "demo-0shot", "--adaptive", "adaptive-1"
    )
    list_endpoints(house, endpoint.url)
    house.begin("recorder", "evaluator", "site")

    def submit(model: str) -> str:
        run: str = house.submit_endpoint(model, endpoint, served=model, pair=PAIR)
        return run

    for run in [submit(model) for model in REFERENCES]:
        assert house.ranked(run, seconds=200)["adaptive"] is None, "no panel yet: asked everything"
    house.place.manage("shell", "--command", NAME_REFERENCES)

    clean, overfit = submit(CLEAN), submit(OVERFIT)
    plan = house.run(overfit)["adaptive"]["digest"]
    house.wait(overfit, lambda state: state["adaptive"]["look"] == 1, seconds=120)
    house.kill("evaluator")
    house.begin("evaluator")
    states = {run: house.ranked(run, seconds=200) for run in (clean, overfit)}
    assert states[overfit]["adaptive"]["digest"] == plan

    received = endpoint.get("/received")
    sealed = {row["question"] for row in ROWS[1]}
    rows = {row["model"]: row for row in board(house)}
    for model, run in ((CLEAN, clean), (OVERFIT, overfit)):
        shown = sealed & received[model].keys()
        assert len(shown) == states[run]["adaptive"]["asked"] == rows[model]["adaptive"]["asked"]
        assert 0 < len(shown) <= MOST
        assert rows[model]["private"]["n"] == len(shown)
        assert exposed(house, run) == (len(shown), {states[run]["adaptive"]["digest"]})
    assert rows[OVERFIT]["evidence"] in ("overfit", "watch")
    assert rows[CLEAN]["evidence"] in ("no_evidence", "cannot_tell")
    assert {rows[model]["adaptive"] for model in REFERENCES} == {None}

    assert_no_sealed_text(house, plan)

    state = tmp_path / "watched"
    command = [sys.executable, str(ROOT / "verify" / "verify_log.py"), "--state", str(state)]
    site = f"http://127.0.0.1:{house.place.port}"
    checked = subprocess.run(
        [*command, "--site", site], check=False, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    assert "2 plans of adaptive runs" in checked.stdout


def list_endpoints(house: Any, url: str) -> None:
    """List all models of an endpoint as T1, on the evaluator and in one command on the site."""
    house.place.allow_endpoints([(url, OVERFIT)])
    others = [*REFERENCES, CLEAN]
    options = 'api = "completions"\nno_key = true\nallow_private = true\n'
    with house.place.recipients.open("a") as listed:
        for model in others:
            listed.write(f'\n[[endpoint]]\nurl = "{url}"\nmodel = "{model}"\n{options}')
    command = f"""
from leaderboard.ledger.actions import list_endpoint
for model in {others!r}:
    list_endpoint(url={url!r}, model=model, api="completions")
"""
    house.place.manage("shell", "--command", command)


def board(house: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = house.place.get(f"/api/v1/board?pair={PAIR}")["rows"]
    return rows


def assert_no_sealed_text(house: Any, plan: str) -> None:
    """No question of the sealed set is in a message, a plan, the ledger or a log; plans are."""
    texts = [
        text
        for query in (
            "SELECT payload::text FROM submissions_outbox",
            "SELECT body::text || easiness::text || result::text FROM submissions_runplan",
            "SELECT line::text FROM ledger_entry",
            "SELECT plan || sets::text FROM ledger_grant",
        )
        for (text,) in house.query(query)
    ]
    logs = [path.read_text(errors="replace") for path in house.place.folder.rglob("*.log")]
    assert logs
    assert sum(plan in text for text in texts) >= 3, "the control: messages, grants, the ledger"
    for row in ROWS[1]:
        assert not [text for text in (*texts, *logs) if row["question"] in text]


def exposed(house: Any, run: str) -> tuple[int, set[str]]:
    """Items that the ledger says were shown in a run, and the plans that its lines name."""
    lines = house.query(
        "SELECT count, line->>'plan' FROM ledger_entry WHERE run = %s AND kind = 'exposure'", run
    )
    return sum(count for count, _ in lines), {plan for _, plan in lines}
