import base64
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from evaluator.contract import Declined, Failed, Finished, Started, unpack_bits
from evaluator.errors import Code
from evaluator.pipeline.attempt import run_job
from evaluator.sealing.allocation import Shares
from evaluator.sealing.seal import seal_secret
from tests.evaluator.installed import NAME, install, outcomes
from tests.evaluator.pipeline.attempts import CHECKPOINT, ENDPOINT, URL, Bench, exposures, last_code
from tests.planting import planted


@pytest.mark.parametrize(
    "job",
    [None, [], "x", 7, {}, {"run": "../../etc"}, {"version": 2}, {"__reduce__": "os.system"}],
    ids=repr,
)
def test_a_message_that_is_no_job_is_refused_and_says_nothing(bench: Bench, job: object) -> None:
    assert bench.run(job) == []


@pytest.mark.parametrize(
    "change",
    [
        {"lease_seconds": -1},
        {"sets": []},
        {"system": {"kind": "checkpoint", "name": "../keys"}},
        {"surprise": 1},
        {"limits": {"seconds": 1e9}},
    ],
    ids=repr,
)
def test_a_hostile_job_is_declined(bench: Bench, change: dict[str, Any]) -> None:
    job = bench.place.job(CHECKPOINT)
    [report] = bench.run(job | change)
    assert (report.run, report.token, report.body) == (
        job["run"],
        1,
        Declined(code=Code.BAD_MESSAGE),
    )
    assert bench.served == []


@pytest.mark.parametrize("version", [1, 2, 4, "3", None])
def test_w14_a_job_of_another_release_is_declined_and_not_dropped(
    bench: Bench, version: object
) -> None:
    assert_declined(bench, version)


@pytest.mark.parametrize(
    "fault",
    [
        (
            "    _decline(code, context, context.reporter",
            "    (lambda *_: 0)(code, context, context.reporter",
        ),
        ("else Code.UNKNOWN_VERSION", "else Code.BAD_MESSAGE"),
    ],
    ids=["dropped", "taken for a forgery"],
)
def test_w14_a_build_that_does_not_say_so_is_noticed(bench: Bench, fault: tuple[str, str]) -> None:
    passage, replacement = fault
    with (
        planted(("evaluator/pipeline/attempt.py", passage, replacement)),
        pytest.raises((AssertionError, ValueError)),
    ):
        assert_declined(bench, 1)


def assert_declined(bench: Bench, version: object) -> None:
    job = bench.place.job(CHECKPOINT) | {"version": version, "something": "new"}
    [report] = bench.run(job)
    assert (report.run, report.token, report.body) == (
        job["run"],
        1,
        Declined(code=Code.UNKNOWN_VERSION),
    )


@pytest.mark.parametrize("change", [{"run": "../../../../etc/passwd"}, {"token": 0}], ids=repr)
def test_a_job_that_names_no_attempt_is_dropped(bench: Bench, change: dict[str, Any]) -> None:
    assert bench.run(bench.place.job(CHECKPOINT) | change) == []
    assert bench.served == []


def test_the_same_attempt_twice_is_done_once(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    run_job(job, bench.context)
    run_job(job, bench.context)
    reports = bench.finish()
    assert sum(isinstance(report.body, Started) for report in reports) == 1
    assert len(bench.served) == 1


def test_a_second_job_for_an_attempt_that_is_over_is_reported_as_lost(bench: Bench) -> None:
    """The site sends a job again only where it has no report: they are lost, and none would follow."""
    job = bench.place.job(CHECKPOINT)
    run_job(job, bench.context)
    run_job(job, bench.context)
    *first, last = bench.finish()
    assert isinstance(first[-1].body, Finished)
    assert last.body == Failed(code=Code.LOST)
    assert last.worker != first[-1].worker, (
        "it must not pass for the attempt, should that have been heard after all"
    )


def test_a_second_job_for_an_attempt_under_way_is_dropped(bench: Bench) -> None:
    job = bench.place.job(CHECKPOINT)
    claim = bench.context.claims.claim(job["run"], job["token"])
    assert claim
    with claim:
        run_job(job, bench.context)
    assert bench.finish() == []


def older_and_newer(bench: Bench) -> list[Any]:
    """The reports of an attempt that is older than one that this host has made, and of a newer one."""
    job = bench.place.job(CHECKPOINT)
    for token in (2, 1, 3):
        run_job(job | {"token": token}, bench.context)
    return bench.finish()


def test_d10_an_older_attempt_is_reported_as_lost_and_a_newer_one_done(bench: Bench) -> None:
    """A site whose database was restored sends the older one, and has to learn that it is over."""
    reports = older_and_newer(bench)
    assert [report.body for report in reports if report.token == 1] == [Failed(code=Code.LOST)]
    assert {report.token for report in reports if isinstance(report.body, Finished)} == {2, 3}
    assert len(bench.served) == 2


def test_d10_a_build_that_drops_it_is_noticed(bench: Bench) -> None:
    silent = (
        "evaluator/pipeline/attempt.py",
        "    if standing is Standing.HELD:",
        "    if standing in (Standing.HELD, Standing.OLDER):",
    )
    with planted(silent):
        assert all(report.token != 1 for report in older_and_newer(bench))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"protocol": "no-such"}, Code.UNKNOWN_VERSION),
        ({"system": {"kind": "checkpoint", "name": "elsewhere"}}, Code.CHECKPOINT_UNKNOWN),
        ({"protocol": "gsm8k-cot-5shot"}, Code.SET_TOO_FEW_SHOTS),
    ],
)
def test_what_cannot_work_fails_with_its_code(
    bench: Bench, change: dict[str, Any], code: Code
) -> None:
    assert last_code(bench.run(bench.place.job(CHECKPOINT) | change)) is code


@pytest.mark.parametrize(
    ("at", "change", "code"),
    [
        (0, {"name": "nowhere"}, Code.UNKNOWN_SET),
        (0, {"digest": "00" * 32}, Code.SET_MISMATCH),
        (0, {"n": 31, "done": ""}, Code.SET_MISMATCH),
        (0, {"name": "closed"}, Code.BAD_MESSAGE),
        (0, {"done": "////////////"}, Code.BAD_MESSAGE),
        (1, {"name": "nowhere"}, Code.UNKNOWN_SET),
        (1, {"digest": "00" * 32}, Code.SET_MISMATCH),
        (1, {"sealed": False}, Code.UNKNOWN_SET),
        (1, {"n": 29, "done": ""}, Code.SET_MISMATCH),
    ],
)
def test_a_set_other_than_ours_is_refused(
    bench: Bench, at: int, change: dict[str, Any], code: Code
) -> None:
    job = bench.place.job(CHECKPOINT)
    job["sets"][at] |= change
    assert last_code(bench.run(job)) is code
    assert exposures(bench.place.reports(bench.envelopes)) == []
    assert bench.served == []


def test_an_unlisted_endpoint_gets_no_sealed_item_whatever_the_job_says(bench: Bench) -> None:
    assert last_code(bench.run(bench.place.job(ENDPOINT))) is Code.RECIPIENT_REFUSED
    assert bench.served == []
    assert not exposures(bench.place.reports(bench.envelopes))


def test_an_unlisted_endpoint_gets_public_sets_and_no_private_address(bench: Bench) -> None:
    job = bench.place.job(ENDPOINT)
    reports = bench.run(job | {"sets": job["sets"][:1]})
    assert set(outcomes(reports)) == {("open", i) for i in range(30)}
    assert bench.served[0]["allow_private"] is False


def test_a_listed_endpoint_gets_the_sealed_set_and_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOLDFAST_ENDPOINT_KEY_URL", "sk-secret")
    bench = Bench(install(tmp_path).allowing(URL, key_env="HOLDFAST_ENDPOINT_KEY_URL"), monkeypatch)
    reports = bench.run(bench.place.job(ENDPOINT))
    assert len(outcomes(reports)) == 60
    assert {(entry.recipient, entry.tier) for entry in exposures(reports)} == {
        ("models.example", "T1")
    }
    assert bench.served[0]["key"] == "sk-secret"
    assert bench.served[0]["allow_private"] is True
    files = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"sk-secret" not in files


def keyed(bench: Bench, key: str = "sk-hers") -> dict[str, Any]:
    """The listed endpoint, asked with a key of the submitter's own."""
    return ENDPOINT | {
        "sealed_keys": {NAME: seal_secret(bench.place.identity.host_pub, key, bound_to=URL)}
    }


def unlisted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An evaluator that lists one endpoint, with a key of its own, and lets self-declared ones see one block of four."""
    monkeypatch.setenv("HOLDFAST_ENDPOINT_KEY_URL", "sk-ours")
    shares = Shares(local=Fraction(0), spare=Fraction(0), blocks=4, seasons=1, cell=1)
    place = (
        install(tmp_path, shares=shares)
        .allowing(URL, key_env="HOLDFAST_ENDPOINT_KEY_URL")
        .season(0)
    )
    return Bench(place, monkeypatch)


REFUSED = (Code.RECIPIENT_REFUSED, Code.BLOCK_REFUSED, Code.ENDPOINT_REFUSED)
OTHERWISE: tuple[dict[str, str], ...] = (
    {"model": "m-mine"},
    {"model": "openai/m"},
    {"api": "completions"},
    {"url": URL + "/"},
    {"url": URL + "/tenants/me/deployments/logger"},
    {"url": URL.replace("models", "MODELS")},
    {"url": URL.replace("/v1", ":443/v1")},
    {"url": URL.replace("/v1", "//v1")},
)


@pytest.mark.parametrize("change", [*OTHERWISE, {}], ids=str)
def test_an_unlisted_endpoint_at_a_listed_host_is_shown_the_public_set_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    """With a key of her own, at another path or with another model: her account's log holds one block at most."""
    bench = unlisted(tmp_path, monkeypatch)
    manifest = bench.place.manifest()
    system = ENDPOINT | change if change else keyed(bench)
    mine = manifest.indices(manifest.seasons)
    bench.run_with(bench.context, bench.place.job(system))
    assert bench.served == [], "it asked for all, and is refused before anything is started"
    reports = bench.run(bench.place.job(system, blocks=manifest.seasons))
    assert next(one.body.code for one in reports if isinstance(one.body, Failed)) in REFUSED
    shown = exposures(reports)
    assert {index for line in shown for index in unpack_bits(line.items, manifest.n)} in (
        set(),
        mine,
    )
    assert {(line.recipient, line.tier) for line in shown} <= {("models.example", "T2")}
    assert [one["key"] for one in bench.served] in ([], ["" if change else "sk-hers"])


@pytest.mark.parametrize("change", [{}, OTHERWISE[0], OTHERWISE[4]], ids=str)
def test_where_a_host_is_listed_whole_her_log_holds_every_exposed_item(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str]
) -> None:
    """The attack above, on a build that trusts the host, whatever is asked there and with whose key."""
    monkeypatch.setattr("evaluator.policy.endpoint_tier", lambda endpoint, **about: "T1")
    bench = unlisted(tmp_path, monkeypatch)
    system = ENDPOINT | change if change else keyed(bench)
    shown = exposures(bench.run(bench.place.job(system)))
    assert {index for line in shown for index in unpack_bits(line.items, 30)} == set(range(30))


def test_a_site_that_grants_less_is_obeyed_and_gets_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = unlisted(tmp_path, monkeypatch)
    bench.run_with(bench.context, bench.place.job(ENDPOINT, tier="T2"))
    assert bench.served == []
    reports = bench.run(bench.place.job(ENDPOINT, tier="T2", blocks=bench.place.manifest().seasons))
    assert {line.tier for line in exposures(reports)} == {"T2"}
    assert [one["key"] for one in bench.served] == [""]


def test_a_key_sealed_for_another_address_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = unlisted(tmp_path, monkeypatch)
    stolen = seal_secret(
        bench.place.identity.host_pub, "sk-secret", bound_to="https://elsewhere.example/v1"
    )
    system = ENDPOINT | {"sealed_keys": {NAME: stolen}}
    reports = bench.run(bench.place.job(system, blocks=bench.place.manifest().seasons))
    assert last_code(reports) is Code.BAD_MESSAGE
    rubbish = base64.b64encode(b"rubbish").decode()
    bench.open()
    run_job(bench.place.job(ENDPOINT | {"sealed_keys": {NAME: rubbish}}), bench.context)
