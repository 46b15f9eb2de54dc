"""A repository's revision may stand behind its name, in a field of its own, or in both alike."""

import pytest

from evaluator.contract.hub import is_repo, split_revision


@pytest.mark.parametrize(
    ("repo", "revision"),
    [("org/name@v1", ""), (" org/name@v1 ", " v1 "), ("org/name", "v1"), ("org/name", " v1 ")],
)
def test_both_ways_to_name_a_revision_agree(repo: str, revision: str) -> None:
    assert split_revision(repo, revision) == ("org/name", "v1")


def test_two_different_revisions_are_no_valid_name() -> None:
    repo, revision = split_revision("org/name@v1", "v2")
    assert (is_repo(repo), revision) == (False, "v2")
