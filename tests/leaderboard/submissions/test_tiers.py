"""The tier that the site grants: never more than an evaluator with the same list would show."""

from typing import Any

import msgspec
import pytest

from evaluator.contract import Endpoint, JobSpec, unpack_bits
from evaluator.errors import Code
from evaluator.sealing.recipients import Recipients
from leaderboard.errors import SiteError
from leaderboard.ledger.actions import delist_endpoint, list_endpoint, register_party
from leaderboard.ledger.models import Grant
from leaderboard.submissions import actions
from leaderboard.submissions.models import Outbox, Run
from tests.evaluator.sealing.test_recipients import VARIABLE, VARIANTS
from tests.leaderboard.conftest import FakeEvaluator

LISTED = {"url": "https://api.example.com/v1", "model": "org/m-1", "api": "chat"}
ASKED = {
    "kind": "endpoint",
    "checkpoint": "",
    "url": LISTED["url"],
    "served_model": "org/m-1",
    "api": "chat",
}
EXPOSED, SEASON = {0, 1, 2, 3, 4, 5}, {0, 1, 2}
EVALUATORS = Recipients.from_dict(
    {"endpoint": [LISTED | {"key_env": VARIABLE}], "self_declared": {"season": 0}}
)

pytestmark = pytest.mark.usefixtures("bell")


@pytest.fixture
def submitted(user: Any, pair: Any, ask: Any, evaluator: FakeEvaluator) -> Any:
    """Submits the listed endpoint, but for what is given."""
    evaluator.register()
    list_endpoint(**LISTED)

    def submit(**change: Any) -> Run:
        about = ASKED | change
        return actions.submit(user=user, key="k1", ask=ask(**about)).runs.get()

    return submit


def granted(run: Run) -> set[int]:
    [sealed] = [one for one in Grant.objects.get(run=run.pk).sets if one["sealed"]]
    return set(unpack_bits(sealed["items"], 9))


def agrees(run: Run) -> bool:
    """The evaluator's own judgement of the job is no stricter than the site's."""
    spec = JobSpec.from_dict(Outbox.objects.get(run=run).payload)
    assert isinstance(spec.system, Endpoint)
    sealed = {"sealed_keys": run.submission.sealed_keys}
    system = msgspec.structs.replace(spec.system, **sealed)
    return EVALUATORS.tier_of(system) <= run.tier == spec.tier


def test_the_listed_endpoint_is_granted_the_exposed_blocks(submitted: Any) -> None:
    run = submitted()
    assert (run.tier, granted(run), agrees(run)) == ("T1", EXPOSED, True)


def test_with_a_key_of_the_submitters_it_is_self_declared(submitted: Any) -> None:
    run = submitted(api_key="sk-hers")
    assert (run.tier, granted(run), agrees(run)) == ("T2", SEASON, True)


@pytest.mark.parametrize("change", [one for one in VARIANTS if "sealed_keys" not in one], ids=str)
def test_named_in_any_other_way_it_is_self_declared(
    submitted: Any, settings: Any, change: dict[str, str]
) -> None:
    settings.PRIVATE_ENDPOINTS = True
    change = {
        ("served_model" if name == "model" else name): value for name, value in change.items()
    }
    try:
        run = submitted(**change)
    except SiteError as refused:
        assert refused.code is Code.ENDPOINT_REFUSED
        return
    assert (run.tier, granted(run), agrees(run)) == ("T2", SEASON, True)


@pytest.mark.parametrize("tier", ["T2", "T3"])
def test_a_registered_party_lowers_and_never_raises(submitted: Any, tier: str) -> None:
    register_party(recipient="api.example.com", name="Provider", kind="provider", tier=tier)
    if tier == "T3":
        with pytest.raises(SiteError):
            submitted()
        return
    assert submitted().tier == "T2"


def test_a_party_that_is_t1_grants_nothing(submitted: Any) -> None:
    register_party(recipient="api.example.com", name="Provider", kind="provider", tier="T1")
    assert submitted(served_model="another").tier == "T2"


def test_what_is_no_longer_listed_is_self_declared(submitted: Any) -> None:
    delist_endpoint(**LISTED)
    assert submitted().tier == "T2"
    with pytest.raises(SiteError):
        delist_endpoint(**LISTED)


@pytest.mark.parametrize(
    "url", ["https://jail/v1", "https://JAIL/v1", "https://jail./v1", "http://jail:8000/v1"]
)
def test_no_endpoint_is_the_jail(submitted: Any, settings: Any, url: str) -> None:
    settings.PRIVATE_ENDPOINTS = True
    with pytest.raises(SiteError) as refused:
        submitted(url=url)
    assert refused.value.code is Code.ENDPOINT_REFUSED
    assert not Grant.objects.exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "https://jail/v1"},
        {"url": "https://h.example/" + "a" * 1000},
        {"model": "a b"},
        {"api": "x"},
    ],
)
def test_what_cannot_be_asked_is_not_listed(db: None, wrong: dict[str, str]) -> None:
    with pytest.raises(SiteError):
        list_endpoint(**LISTED | wrong)


def test_everybody_sees_what_is_listed(submitted: Any, client: Any, user: Any) -> None:
    assert client.get("/api/v1/endpoints").json() == {"endpoints": [LISTED | {"provider": ""}]}
    client.force_login(user)
    assert "org/m-1" in client.get("/submit/").content.decode()
