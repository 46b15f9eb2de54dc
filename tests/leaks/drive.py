"""A house that is used in every way there is, with a planted set inside, and what could be seen of it meanwhile.

Each step drives one kind of success or failure; what is seen is kept in :class:`Used` and scanned once, at the end.
"""

import base64
import json
import shutil
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg

from demo import prepare
from demo.problems import public_set
from demo.programs import ROOT
from demo.services import EmbeddedPostgres, filesystem_broker
from evaluator.cli.client import Site
from evaluator.cli.uploads import upload_folder
from evaluator.sealing import formats
from evaluator.sealing.keys import load_keys
from evaluator.sealing.open import open_set_key
from tests.leaks import database, hostile, processes
from tests.leaks.canaries import Canary, Planted, key, token
from tests.leaks.crawl import Crawl
from tests.leaks.wiretap import Wiretap
from tests.servers.hub import FaultyServer

GATED = "demo-org/demo-gated"

QUICK = ("html", "garbled", "redirect", "400", "401", "500", "429", "reset", "torn")
"""Modes of the endpoint that fail soon."""
CODES = {
    "html": {"endpoint_bad_response"},
    "garbled": {"endpoint_bad_response"},
    "redirect": {"endpoint_redirected", "endpoint_refuses_items"},
    "400": {"endpoint_rejected", "endpoint_refuses_items"},
    "401": {"endpoint_unauthorized", "endpoint_refuses_items"},
    "500": {"endpoint_error", "incomplete"},
    "429": {"endpoint_rate_limited", "incomplete"},
    "reset": {"endpoint_unreachable", "incomplete"},
    "torn": {"endpoint_bad_response"},
}
"""The endpoint answers public items, which come between the sealed ones in an order drawn anew: what it does first
decides between the two."""
QUEUES = (
    ("record", "holdfast.record"),
    ("rankings", "holdfast.rebuild"),
    ("housekeeping", "holdfast.reap"),
    ("evaluate.default", "holdfast.evaluate"),
    ("journal.demo", "holdfast.ship"),
    ("journal.demo", "holdfast.rescore"),
    ("probe.demo", "holdfast.probe"),
)
"""What listens, and the task that it listens for."""


@dataclass
class Used:
    """A house in use, and canaries that are in no item: each is for the field that its name says.

    ``typed`` is what visitors write into forms and forgers into messages, ``address`` what they ask for, ``api_key``
    a submitter's, ``provider_key`` the maintainers' for what they listed, ``hub_token`` opens a gated repository, ``forced`` stands in rows that the database refuses, ``bundle`` lies where releases will.
    ``pages`` are answers given while something was wrong, ``states`` what a submitter was told of runs meanwhile,
    ``running`` what could be seen of processes from outside.
    """

    house: Any
    server: EmbeddedPostgres
    planted: Planted
    endpoint: Any
    releases: Path
    hub: FaultyServer
    begun: float = field(default_factory=time.time)
    typed: Canary = field(default_factory=lambda: token("typed"))
    api_key: Canary = field(default_factory=lambda: token("api key"))
    provider_key: Canary = field(default_factory=lambda: token("provider key"))
    hub_token: Canary = field(default_factory=lambda: token("hub token"))
    address: Canary = field(default_factory=lambda: token("address"))
    forced: Canary = field(default_factory=lambda: token("forced"))
    bundle: Canary = field(default_factory=lambda: token("bundle"))
    pages: dict[str, bytes] = field(default_factory=dict)
    states: list[dict[str, Any]] = field(default_factory=list)
    running: dict[str, bytes] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    crawls: dict[str, Crawl] = field(default_factory=dict)
    leftovers: list[Path] = field(default_factory=list)
    control: Canary = field(default_factory=lambda: token("control"))

    def __post_init__(self) -> None:
        self.wiretap = Wiretap(self.house.place.broker_url)
        self.keys = _keys(self.house.place)

    @property
    def secrets(self) -> list[Canary]:
        """All that must be found nowhere."""
        by_hand = [
            self.typed,
            self.address,
            self.api_key,
            self.provider_key,
            self.hub_token,
            self.forced,
            self.bundle,
        ]
        return [*self.planted.canaries, *self.keys, *by_hand]

    @property
    def author(self) -> Crawl:
        """Who submits the runs."""
        return self.crawls["submitter"]

    def submit(self, mode: str, **order: Any) -> str:
        """Submit the endpoint in one of its modes."""
        place = type("Place", (), {"url": f"{self.endpoint.url}/{mode}/v1"})
        self.runs[mode] = self.house.submit_endpoint(f"model-{mode}", place, served=mode, **order)
        return self.runs[mode]

    def wait(
        self, run: str, until: Callable[[dict[str, Any]], bool], *, seconds: float = 90
    ) -> dict[str, Any]:
        """Follow a run, keeping all that is told of it."""

        def kept(state: dict[str, Any]) -> bool:
            self.states.append(state)
            return until(state)

        told: dict[str, Any] = self.house.wait(run, kept, seconds=seconds)
        return told

    def change(self, sql: str, *values: object) -> None:
        """Change the database behind the site's back."""
        with psycopg.connect(self.house.place.database_url) as connection:
            connection.execute(sql, values or None)

    def asked(self) -> dict[str, int]:
        """How often each mode of the endpoint was asked something planted."""
        counts: dict[str, int] = self.endpoint.get("/asked")["asked"]
        return counts

    def await_asked(self, mode: str, count: int = 1) -> None:
        until = time.monotonic() + 60
        while self.asked().get(mode, 0) < count:
            assert time.monotonic() < until, f"{mode} was not asked"
            time.sleep(0.05)

    def look_at_processes(self) -> None:
        """Keep what anybody on the machine could see of every program now, model servers among them."""
        for name, process in self.house.processes.items():
            for place, content in processes.outside(processes.family(process.pid)).items():
                self.running[f"{name}: {place}"] = content

    def page(
        self,
        name: str,
        crawl: Crawl,
        method: str,
        path: str,
        *,
        status: int | None = None,
        **more: Any,
    ) -> None:
        """Keep an answer that may be an error's."""
        answer = crawl.ask(method, path, quiet=True, **more)
        self.pages[f"{name} {answer.status_code}"] = repr(answer.headers).encode() + answer.content
        assert status in (None, answer.status_code), (name, answer.status_code, answer.text[:300])


def _keys(place: Any) -> tuple[Canary, ...]:
    keys = load_keys(place.keys)
    files = [
        key(bytes.fromhex((place.keys / f"{name}.key").read_text()), f"{name}.key")
        for name in _PRIVATE
    ]
    folder = place.sets / "twin"
    manifest = formats.read_manifest(folder)
    opened = open_set_key(
        formats.read_wrap(folder, keys.name, manifest), manifest, keys.host, keys.name
    )
    return (
        *files,
        key(opened._wrap.args[0], "set key"),
    )  # it shows its bytes to nobody, so we reach inside


_PRIVATE = ("host", "report", "completions")


# --- the steps


def open_the_doors(used: Used) -> None:
    """Start every program, and let everybody in: an author, another author, a maintainer."""
    used.wiretap.begin()
    place = used.house.place
    key_file = place.keys / "provider.key"
    key_file.touch(mode=0o600)
    key_file.write_text(used.provider_key.text)
    place.allow_endpoints(
        [(f"{used.endpoint.url}/{mode}/v1", mode) for mode in MODES], key_file=key_file
    )
    with place.recipients.open("a") as listed:
        listed.write("[self_declared]\nseason = 0\n")
    used.house.begin("recorder", "evaluator", "site")
    address = used.house.place.address
    names = {
        "stranger": "",
        "submitter": "author",
        "other submitter": "rival",
        "maintainer": "keeper",
    }
    for role, name in names.items():
        used.crawls[role] = Crawl(address, name)
        if name:
            used.crawls[role].sign_up(place.mails)
    used.change(
        "UPDATE accounts_user SET is_staff = true, is_superuser = true WHERE username = 'keeper'"
    )
    used.author.token = used.house.token
    table = used.house.place.folder / "published.csv"
    table.write_text("model,family,access,n_p,p_right,n_q,q_right\n" + "".join(_TABLE))
    used.house.place.manage(
        "import_published", str(table), "--slug", "twins", "--source", "Somebody (2026)"
    )


_TABLE = [f"m{number},F{number},open,100,{40 + number},100,{38 + number}\n" for number in range(12)]
"""What others published: of the same name as the pair, so that its routes are found."""

MODES = (*QUICK, "two", "right", "slip", "slow", "echo", "babble", "hang")


def run_weights(used: Used) -> None:
    """A checkpoint in the jail, seen from outside while it is asked. What it read comes out as two numbers a set."""
    used.runs["weights"] = run = used.house.submit("weights", kind="checkpoint", checkpoint="small")
    used.wait(run, lambda state: state["state"] == "running")
    [(model,)] = used.house.query("SELECT name FROM submissions_model WHERE name LIKE '%%weights'")
    used.house.place.manage("register_lineage", "a-line", "--model", model)
    used.look_at_processes()
    state = used.wait(run, lambda state: state["state"] == "ranked")
    told = [one["likelihood"] for one in state["sets"]]
    assert [sorted(one) for one in told] == [
        ["definition", "n", "per_character", "standard_error"]
    ] * 2
    assert all(round(one["per_character"], 4) == one["per_character"] < 0 for one in told)


def run_practice(used: Used) -> None:
    """The same checkpoint on two public sets: its prompts and answers are stored by the site, and are of those sets."""
    place = used.house.place
    prepare.make_public_set(place, "warm-up", public_set()[20:30])
    sets = ("open", "warm-up")
    prepare.register_practice(
        place, slug="warm-up", title="Warm-up", sets=sets, protocol="demo-0shot"
    )
    used.runs["practice"] = run = used.house.submit(
        "practised", pair="warm-up", kind="checkpoint", checkpoint="small"
    )
    state = used.wait(run, lambda state: state["final"])
    assert (state["state"], state["practice"]) == ("graded", True), state
    assert state["practised"]["low"] <= state["practised"]["gap"] <= state["practised"]["high"]
    told = place.get(f"/api/v1/runs/{run}/transcripts", token=used.house.token)
    assert [(one["set"], len(one["items"])) for one in told] == [("open", 12), ("warm-up", 10)]
    assert all(one["prompt"] and one["completions"] for of_set in told for one in of_set["items"])


def run_gated_weights(used: Used) -> None:
    """The same checkpoint from a gated repository: its token goes all the way, and the run ends as a copy."""
    used.hub.token = used.hub_token.text
    used.runs["gated"] = run = used.house.submit(
        "gated", kind="hub", repo=GATED, hub_token=used.hub_token.text
    )
    used.look_at_processes()
    state = used.wait(run, lambda state: state["final"])
    assert state["state"] == "cancelled", state
    given = f"Bearer {used.hub_token.text}"
    asked = zip(used.hub.log.paths, used.hub.log.tokens, strict=True)
    assert {"/api/", "/resolve/"} <= {
        kind
        for path, one in asked
        for kind in ("/api/", "/resolve/")
        if kind in path and one == given
    }, "the token was used, by the site and by the evaluator"


def run_uploaded_weights(used: Used) -> None:
    """The same checkpoint as a folder that its author uploads: fetched from the site, it ends as a copy."""
    site = Site(used.house.place.address, used.house.token)
    folder = ROOT / "demo" / "checkpoints" / "small"
    upload = upload_folder(site, folder, lambda phase, done, total: None)["id"]
    used.runs["uploaded"] = run = used.house.submit("uploaded", kind="upload", upload=upload)
    state = used.wait(run, lambda state: state["final"])
    assert state["state"] == "cancelled", state


def run_broken_weights(used: Used) -> None:
    """A checkpoint that its host cannot load."""
    used.runs["broken"] = run = used.house.submit(
        "unloadable", kind="checkpoint", checkpoint="broken"
    )
    assert used.wait(run, lambda state: state["final"])["failure"]["code"] == "host_failed"


def run_endpoints(used: Used) -> None:
    """Endpoints that answer in many ways, one of them with an author's key, and such as fail."""
    answered = [used.submit("babble", api_key=used.api_key.text)]
    answered += [used.submit(mode) for mode in ("right", "slip", "echo", "two")]
    failed = {mode: used.submit(mode) for mode in QUICK}
    for run in answered:
        used.wait(run, lambda state: state["state"] == "ranked")
        used.wiretap.sample()
    for mode, run in failed.items():
        state = used.wait(run, lambda state: state["final"])
        assert state["failure"]["code"] in CODES[mode], (mode, state)
    asked = used.asked()
    assert all(asked[mode] for mode in (*QUICK, "right", "slip", "echo", "babble", "two")), (
        "it failed before it was asked"
    )
    assert used.endpoint.get("/asked")["keys"] == 2


def break_checkpoint(used: Used) -> None:
    """A folder of checkpoints in which one has a tokenizer that is none.

    Its weights are others: weights that have a run get no second one.
    """
    folder = used.house.place.folder / "checkpoints"
    shutil.copytree(used.house.place.checkpoints / "small", folder / "small")
    shutil.copytree(used.house.place.checkpoints / "honest", folder / "broken")
    (folder / "broken" / "tokenizer.json").write_text("{}")
    used.house.place = replace(used.house.place, checkpoints=folder)


def lay_out_a_bundle(used: Used) -> None:
    """Put what looks like a bundle, and a draft of one, where released ones lie."""
    for name in ("twins-00000000", ".twins-00000000.draft", "twins"):
        (used.releases / name).mkdir(parents=True)
        (used.releases / name / "items.jsonl").write_text(
            json.dumps({"question": used.bundle.text})
        )
    (used.releases / "items.jsonl").write_text(used.bundle.text)


GUESSES = (
    "items.jsonl",
    "contents.json",
    "../items.jsonl",
    "..%2fitems.jsonl",
    "../twins-00000000/items.jsonl",
    "../.twins-00000000.draft/items.jsonl",
    "twins/items.jsonl",
    "//items.jsonl",
)


def forge_messages(used: Used) -> None:
    """What a hostile hand could put into the broker, on every queue."""
    place = used.house.place
    assert hostile.publish(place.broker_url, QUEUES, used.typed.text) > 100
    manifest = formats.read_manifest(place.sets / "twin")
    hostile.order_sealed(place.broker_url, manifest.name, manifest.n, manifest.root)


def provoke_pages(used: Used) -> None:
    """Every kind of refusal and failure that a visitor can bring about, with a canary in what they send."""
    typed, address, stranger, author = (
        used.typed.text,
        used.address.text,
        used.crawls["stranger"],
        used.author,
    )
    used.page("no such page", stranger, "GET", f"/no/such/{address}", status=404)
    used.page("no such resource", stranger, "GET", f"/api/v1/runs/{address}", status=404)
    used.page(
        "no such host", stranger, "GET", "/", headers={"Host": f"{address}.example"}, status=400
    )
    used.page("no form token", author, "POST", "/submit/", data={"model": typed}, status=403)
    bearer = {"Authorization": f"Bearer {author.token}", "Idempotency-Key": typed}
    used.page("no token", stranger, "POST", "/api/v1/submissions", json={typed: typed}, status=401)
    for name, body in {
        "no object": f"[{typed}",
        "unknown field": json.dumps({typed: typed, "pair": {typed: typed}, "model": typed}),
        "no such pair": json.dumps(
            {"pair": typed, "model": typed, "kind": "checkpoint", "checkpoint": "small"}
        ),
        "bad address": json.dumps(
            {"pair": "twins", "model": "m", "kind": "endpoint", "url": typed, "api": "chat"}
        ),
        "too large": json.dumps({"pair": typed * 40_000}),
    }.items():
        used.page(name, author, "POST", "/api/v1/submissions", data=body, headers=bearer)
    form = {
        "username": typed,
        "email": f"{typed}@lab.example",
        "organisation": typed,
        "password1": "long enough 7",
        "password2": typed,
    }
    used.crawls["other submitter"].send("/accounts/sign-up/", form)


def provoke_database_errors(used: Used) -> None:
    """Rows that the database refuses, tables that are gone: in the site, with a canary in the row."""
    typed = used.typed.text
    newcomer = Crawl(used.house.place.address)
    form = {
        "username": typed,
        "email": "newcomer@lab.example",
        "organisation": typed,
        "password1": "a long phrase 7",
        "password2": "a long phrase 7",
    }
    used.change(
        "ALTER TABLE accounts_user ADD CONSTRAINT probe CHECK (username !~ '^CNRY') NOT VALID"
    )
    refused = newcomer.send("/accounts/sign-up/", form, quiet=True)
    assert refused.status_code == 500
    used.pages["row refused 500"] = refused.content
    used.change("ALTER TABLE accounts_user DROP CONSTRAINT probe")
    used.change("ALTER TABLE benchmarks_setpair RENAME TO gone")
    for path in ("/", "/sets/twins/", "/submit/", "/api/v1/sets"):
        used.page(f"table gone {path}", used.author, "GET", path, status=500)
    used.change("ALTER TABLE gone RENAME TO benchmarks_setpair")
    assert database.force_errors(used.house.place.database_url, used.forced.text) == (
        database.EXPECTED_STATES
    )


def kill_in_flight(used: Used) -> None:
    """SIGKILL the evaluator while sealed items are out; its next life finishes the run."""
    run = used.submit("hang")
    used.await_asked("hang")
    used.look_at_processes()
    used.house.kill("evaluator")
    used.endpoint.post("/calm")
    used.house.begin("evaluator")
    used.wait(run, lambda state: state["state"] == "ranked")


def disturb(used: Used) -> None:
    """One run through a dead recorder, a broker that forgets and a database that crashes."""
    run = used.submit("slow")
    used.wait(run, lambda state: state["state"] == "running")
    used.await_asked("slow")
    used.house.kill("recorder")
    used.await_asked("slow", 4)
    used.wiretap.sample()
    used.house.begin("recorder")
    used.wiretap.client.flushall()
    database.stop_at_once(used.server)
    for name, path in {
        "page": "/",
        "own page": "/mine/",
        "run": f"/runs/{run}/",
        "API": "/api/v1/sets",
    }.items():
        used.page(f"no database: {name}", used.author, "GET", path, status=503)
    used.server.start()
    used.wait(run, lambda state: state["state"] == "ranked")


def cancel_in_flight(used: Used) -> None:
    """A submitter withdraws a run while it is asked."""
    before = used.asked().get("slow", 0)
    run = used.submit("slow")
    used.await_asked("slow", before + 1)
    used.wait(run, lambda state: state["percent"] >= 40)
    assert used.author.send(f"/runs/{run}/cancel/", {}, page=f"/runs/{run}/").status_code == 302
    used.wait(run, lambda state: state["state"] == "cancelled")


def queue_again(used: Used) -> None:
    """A maintainer queues a failed run again, and it fails again."""
    run = used.runs["400"]
    keeper = used.crawls["maintainer"]
    assert keeper.send(f"/runs/{run}/requeue/", {}, page=f"/runs/{run}/").status_code == 302
    assert used.house.run(run)["state"] != "failed", "it was not queued again"
    used.wait(run, lambda state: state["final"])


METRICS_TOKEN = "a token for metrics that is long enough"
FIXED: dict[str, Sequence[object]] = {
    "slug": ["twins", "warm-up"],
    "uidb36": ["1"],
    "username": ["author"],
    "invitation": [1],
    "webhook": [1],
    "secret": ["no-secret"],
    "pk": [1],
    "object_id": [1],
    "app_label": ["accounts"],
    "key": ["no-key"],
    "plan": [1],
    "provider_id": ["huggingface"],
    "transfer": [1],
    "watch": [1],
    "number": [0],
    "chart": ["scatter", "families", "orders", "likelihood", "peers", "none"],
    "slug:evaluator": ["demo"],
    "evaluator": ["demo"],
}
"""Values of the parts of routes that are the same in every story."""
STORED = ("index", "name", "path:name", "probe_id", "run_id", "submission_id", "token", "upload_id")
"""Parts of routes whose values are in the database."""


def values(used: Used) -> dict[str, Sequence[object]]:
    """What the parts of a route may be filled in with."""

    def first(query: str) -> list[object]:
        return [row[0] for row in used.house.query(query)]

    lines = used.house.query("SELECT count(*) FROM ledger_entry")[0][0]
    stored: dict[str, Sequence[object]] = {
        "upload_id": first("SELECT id FROM submissions_upload"),
        "probe_id": [str(uuid.UUID(int=0)), *first("SELECT id FROM submissions_probe")],
        "index": sorted({0, 1, int(lines) - 1}),
        "token": first("SELECT id FROM accounts_apitoken"),
        "run_id": sorted(used.runs.values()),
        "submission_id": first("SELECT id FROM submissions_submission ORDER BY id"),
        "path:name": [
            *GUESSES,
            *first("SELECT model FROM published_publishedrow LIMIT 1"),
            *first("SELECT family FROM published_publishedrow LIMIT 1"),
        ],
        "name": ["a-line", "Lab of author", *first("SELECT name FROM submissions_model")],
    }
    assert set(stored) == set(STORED)
    return FIXED | stored


def crawl_everything(used: Used) -> None:
    """Everybody looks at everything."""
    known = values(used)
    for crawl in used.crawls.values():
        crawl.every_route(known)
        crawl.read("/metrics", token=METRICS_TOKEN)
        for path in (
            "/api/v1/ledger/demo/proof/inclusion?index=0&size=2",
            *_CONSISTENCY,
            *_QUERIES,
        ):
            crawl.ask("GET", path)


_CONSISTENCY = ("/api/v1/ledger/demo/proof/consistency?first=1&second=2",)
_QUERIES = (
    "/api/v1/board?pair=twins",
    "/ledger/?set=twin",
    "/api/v1/ledger?set=twin",
    "/mine/?page=2",
    "/?pair=twins",
)


def use_a_folder_as_broker(used: Used) -> Path:
    """The same evaluator with a folder as broker, whose recorder is killed once the attempt may begin.

    From then on every message stays in the folder to be read.
    """
    used.house.end()
    used.house.processes.clear()
    folder = used.house.place.folder / "broker"
    used.house.place = replace(used.house.place, broker_url=filesystem_broker(folder))
    used.house.begin("site", "recorder")
    before = used.asked()["echo"]
    used.submit("echo")
    used.house.begin("evaluator")
    used.await_asked("echo", before + 1)
    used.house.kill("recorder")
    used.await_asked("echo", before + len(used.planted.records))
    until = time.monotonic() + 30
    while not any(b"finished" in _body(file) for file in folder.rglob("*.record.msg")):
        assert time.monotonic() < until, "the evaluator did not finish on the folder"
        time.sleep(0.1)
    return folder


def _body(message: Path) -> bytes:
    try:
        return base64.b64decode(json.loads(message.read_bytes())["body"])
    except (FileNotFoundError, ValueError):
        return b""


def write_gold(path: Path, planted: Planted) -> Path:
    """The planted rows for the endpoint that knows their answers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    prepare.write_rows(path, planted.records)
    return path
