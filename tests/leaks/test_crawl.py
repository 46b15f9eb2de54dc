"""The search for leaks reaches every route: a new part of a route needs a value to be filled in."""

from tests.leaks import crawl, drive


def test_every_part_of_every_route_has_values() -> None:
    known = {name.rpartition(":")[2] for name in (*drive.FIXED, *drive.STORED)}
    assert {part for route in crawl.routes() for part in crawl.parts(route)} <= known
