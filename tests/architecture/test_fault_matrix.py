"""Each identifier of a fault in the tests is one of the matrix, or one that this project added to it."""

from tests.faults import matrix

ADDED = {"E10", "E11", "E12", "N11", "N12"}


def test_the_matrix_is_whole() -> None:
    assert len(matrix.known_ids()) == len(set(matrix.known_ids())) == 72


def test_identifiers_are_of_the_matrix() -> None:
    faults = {name for name in matrix.tests_by_id() if not name.startswith("M")}
    assert faults - set(matrix.known_ids()) == ADDED
    assert len(faults) > 30


def test_every_broken_build_of_the_matrix_is_planted() -> None:
    planted = {name for name in matrix.tests_by_id() if name.startswith("M")}
    assert planted >= {f"M{number}" for number in range(1, 15)}
