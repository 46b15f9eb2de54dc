"""A published table as people meet it: wide and narrow, light and dark, without JavaScript."""

from pathlib import Path

import pytest
from django.core.management import call_command

from demo.zoo import MADE_HERE, TABLE
from tests.browser.conftest import Open, violations
from tests.leaderboard.published.fixtures import gsm1k, imported


@pytest.fixture(autouse=True)
def table(transactional_db: None) -> None:
    imported()


@pytest.fixture
def zoo() -> None:
    about = ["--slug", "zoo", "--title", "The zoo", "--source", "demo/zoo", "--ran-by", MADE_HERE]
    call_command("import_published", str(TABLE), *about)


@pytest.fixture
def paper(data_dir: Path) -> None:
    gsm1k(data_dir)


@pytest.mark.parametrize("dark", [pytest.param(False, marks=pytest.mark.slow), True])
def test_axe_finds_nothing(open_page: Open, dark: bool) -> None:
    with open_page("/published/small/", dark=dark) as page:
        page.locator("details").last.evaluate("one => one.open = true")
        assert violations(page) == []
        page.set_viewport_size({"width": 360, "height": 900})
        assert violations(page) == []
        for address in ("models/east-2/", "families/East/", ""):
            page.goto(page.url.partition("small/")[0] + "small/" * bool(address) + address)
            assert violations(page) == []


def test_the_page_is_never_wider_than_the_window(open_page: Open) -> None:
    with open_page("/published/small/") as page:
        for width in (320, 360, 600, 760, 761, 900, 1280, 1920):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_phone_gets_cards_and_the_other_numbers_one_page_on(open_page: Open) -> None:
    with open_page("/published/small/", width=360) as page:
        row = page.locator("tr[data-model=east-2]")
        for piece in ("east-2", "58.5", "overfit"):
            assert piece in row.inner_text()
        box = row.bounding_box()
        assert box and box["width"] <= 360 and box["height"] <= 96
        row.get_by_role("link", name="east-2").click()
        shown = page.locator("main").inner_text()
        for piece in ("234/400", "75.0", "300/400", "+16.5", "p < .001"):
            assert piece in shown


def test_without_javascript_a_reader_can_choose(open_page: Open) -> None:
    with open_page("/published/small/", java_script_enabled=False) as page:
        page.locator("select[name=family]").select_option("West")
        page.get_by_label("Assumption").select_option("peers")
        page.get_by_role("button", name="Show").click()
        assert page.locator("tr[data-model]").count() == 4
        assert "4 of 15" in page.locator("form.filters").inner_text()


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (360, 800)])
def test_the_first_rows_stand_above_the_fold(open_page: Open, width: int, height: int) -> None:
    with open_page("/published/small/", width=width) as page:
        page.set_viewport_size({"width": width, "height": height})
        first = page.locator("tr[data-model]").nth(2).bounding_box()
        assert first and first["y"] + first["height"] <= height
        assert width < 760 or first["height"] <= 42


def faults(open_page: Open, address: str, *, dark: bool) -> list[str]:
    """What axe finds, all details open, wide and on a phone; and whether a phone has to be pushed sideways."""
    with open_page(address, dark=dark) as page:
        page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
        found = violations(page)
        page.set_viewport_size({"width": 360, "height": 900})
        found += violations(page)
        width = page.evaluate("document.documentElement.scrollWidth")
    return [*found, *([f"{width} pixels wide"] if width > 360 else [])]


def test_the_zoo_and_what_is_known_of_it(open_page: Open, zoo: None) -> None:
    assert faults(open_page, "/published/zoo/", dark=True) == []


@pytest.mark.slow
def test_the_zoo_without_javascript(open_page: Open, zoo: None) -> None:
    with open_page("/published/zoo/", java_script_enabled=False, width=360) as page:
        page.get_by_role("link", name="heron-m-cram").click()
        shown = page.locator("main").inner_text()
        assert "memorised" in shown and "434k" in shown and "overfit" in shown


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize(
    "page",
    ["", "charts/scatter/", "charts/families/", "charts/likelihood/", "charts/rank-changes/"],
)
def test_the_paper_s_table(open_page: Open, paper: None, page: str, dark: bool) -> None:
    assert faults(open_page, f"/published/gsm1k/{page}", dark=dark) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", ["", "charts/scatter/", "charts/families/", "charts/likelihood/", "charts/peers/"]
)
def test_the_zoo_in_the_light_and_its_pictures(open_page: Open, zoo: None, page: str) -> None:
    assert faults(open_page, f"/published/zoo/{page}", dark=False) == []
