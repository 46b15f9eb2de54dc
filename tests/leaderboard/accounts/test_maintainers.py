"""Who may act as maintainer."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from leaderboard.accounts import actions
from leaderboard.accounts.models import User
from leaderboard.errors import Refusal, SiteError


def test_a_person_is_found_without_regard_to_case(user: Any) -> None:
    assert actions.person(username="ADA") == actions.person(username="ada") == user
    for name in ("", "ad", "ada ", "nobody"):
        with pytest.raises(SiteError) as refused:
            actions.person(username=name)
        assert refused.value.code is Refusal.UNKNOWN_USER


def test_somebody_becomes_a_maintainer_and_no_superuser(user: Any) -> None:
    other = actions.enrol(username="grace")
    assert actions.set_maintainer(username="ada", maintains=True).is_staff
    user.refresh_from_db()
    other.refresh_from_db()
    assert (user.is_staff, user.is_superuser, other.is_staff) == (True, False, False)
    assert not actions.set_maintainer(username="ada", maintains=False).is_staff
    with pytest.raises(SiteError) as refused:
        actions.set_maintainer(username="nobody", maintains=True)
    assert refused.value.code is Refusal.UNKNOWN_USER
    assert not User.objects.filter(is_staff=True).exists()


def test_the_command_says_what_became_of_it(user: Any) -> None:
    for more, told, staff in (
        ([], "ada: maintainer", True),
        (["--end"], "ada: no maintainer", False),
    ):
        out = StringIO()
        call_command("make_maintainer", "ADA", *more, stdout=out)
        assert out.getvalue().strip() == told
        assert User.objects.get(username="ada").is_staff is staff
    for arguments in (["nobody"], ["nobody", "--end"], []):
        with pytest.raises(CommandError):
            call_command("make_maintainer", *arguments)
    assert not User.objects.filter(is_staff=True).exists()
