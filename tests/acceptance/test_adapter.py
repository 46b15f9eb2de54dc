"""An adapter on a hub, merged and evaluated by the real programs: one artefact, whatever it came as."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from demo.hub import read_folder
from demo.problems import private_set, public_set
from evaluator import jail
from tests.acceptance.conftest import House
from tests.acceptance.test_hub import submit
from tests.adapters import SMALL, adapter
from tests.servers.hub import add, running

BASE = "demo-org/demo-small"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not jail.available(), reason="needs bubblewrap"),
]


def test_an_adapter_is_merged_ranked_and_recognised(make_house: Callable[..., House]) -> None:
    house = make_house(rows=(public_set()[:20], private_set()[:20]))
    with running() as hub:
        base = add(hub, BASE, read_folder(SMALL))
        add(hub, "lab/adapter", adapter(base_model_name_or_path=BASE))
        add(hub, "lab/nothing", adapter(scale=0.0))
        port = urlsplit(hub.address).port
        assert port
        house.place = replace(house.place, hub_port=port)
        house.begin("site", "recorder", "evaluator")
        made = submit(house, "adapted", repo="lab/adapter")
        state = house.ranked(made["run"], seconds=400)
        assert state["source"]["repo"] == "lab/adapter"
        assert (state["base"]["repo"], state["base"]["commit"]) == (BASE, base)
        with urlopen(f"{house.place.address}/models/adapted/") as answer:
            page = answer.read().decode()
        assert f'href="{hub.address}/{BASE}/tree/{base}"' in page
        assert f'href="{hub.address}/lab/adapter/tree/{made["commit"]}"' in page

        whole = submit(house, "whole", repo=BASE)
        house.ranked(whole["run"], seconds=400)
        nothing = submit(house, "nothing", "--base", f"{BASE}@{base}", repo="lab/nothing")
        ended = house.wait(nothing["run"], lambda state: state["final"], seconds=400)
        assert (ended["state"], ended["failure"]["code"]) == ("cancelled", "same_weights")
        assert not list(house.place.home_of("evaluator").rglob("merged-*"))
