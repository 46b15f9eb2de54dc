"""The page to submit with an adapter, and with an object store that the browser sends chunks to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import expect

from demo.hub import read_folder
from leaderboard.accounts.actions import sign_up
from leaderboard.submissions.models import Upload
from tests.adapters import SMALL, adapter, write
from tests.browser.conftest import Open, violations
from tests.leaderboard import sealed
from tests.leaderboard.conftest import FakeEvaluator
from tests.servers import hub as hubs
from tests.servers import s3

BASE, ADAPTER = "demo-org/demo-small", "lab/an-adapter-with-a-name-that-is-rather-long"


@pytest.fixture
def hub(settings: Any) -> Iterator[hubs.FaultyServer]:
    with hubs.running() as server:
        hubs.add(server, BASE, read_folder(SMALL))
        hubs.add(server, ADAPTER, adapter(base_model_name_or_path=BASE))
        settings.HUB_ENDPOINT = server.address
        yield server


@pytest.fixture
def author(transactional_db: None, client: Client) -> str:
    """The session of an organisation's founder, on a site with a sealed pair."""
    FakeEvaluator().register()
    sealed.register(sealed.seal())
    client.force_login(sign_up(username="ada", password=None, organisation="Analytical"))
    return client.cookies["sessionid"].value


@pytest.mark.parametrize("width", [360, 1440])
def test_an_adapter_is_checked_on_the_page(
    open_page: Open, author: str, hub: hubs.FaultyServer, width: int
) -> None:
    with open_page("/submit/", session=author, width=width) as page:
        page.locator("[name=repo]").fill(ADAPTER)
        page.locator("[name=model]").fill("adapted")
        page.get_by_role("button", name="Check without submitting").first.click()
        expect(page.get_by_text("LoRA of rank 4 on 6 matrices")).to_be_visible()
        commit = hub.repositories[BASE].refs["main"]
        expect(page.locator("[name=base]")).to_have_value(f"{BASE}@{commit}")
        assert violations(page) == []
        wide = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not page.evaluate(wide)
        page.locator("[name=kind][value=endpoint]").check()
        expect(page.locator("[name=base]")).to_be_hidden()


@pytest.mark.slow
def test_a_browser_sends_chunks_to_the_object_store(
    open_page: Open, author: str, settings: Any, tmp_path: Path
) -> None:
    files = read_folder(SMALL)
    source = write(tmp_path / "model", {name: files[name] for name in files})
    with s3.running() as bucket:
        settings.UPLOADS_BUCKET = bucket
        with open_page("/submit/", session=author, failing=True) as page:
            page.locator("[name=kind][value=upload]").check()
            page.locator("[data-upload] input").set_input_files(source)
            expect(page.get_by_text("The folder is uploaded.")).to_be_visible(timeout=60_000)
        upload = Upload.objects.get()
        assert upload.state == Upload.State.COMPLETE
        assert len(s3.keys(bucket)) == len(files) - 1, "all but the README"
