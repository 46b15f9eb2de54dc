"""Scopes and the end of tokens."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from leaderboard.accounts import actions
from leaderboard.accounts.models import ApiToken, Scope, User
from leaderboard.errors import Refusal, SiteError


def test_a_scope_has_all_before_it() -> None:
    table = {(one.value, other.value): one.includes(other) for one in Scope for other in Scope}
    assert [pair for pair, included in table.items() if not included] == [
        ("read", "submit"),
        ("read", "manage"),
        ("submit", "manage"),
    ]


@pytest.mark.parametrize("scope", list(Scope))
def test_a_token_does_what_its_scope_says(user: User, scope: Scope) -> None:
    secret = actions.issue_token(user=user, name="x", scope=scope)
    for asked in Scope:
        if scope.includes(asked):
            assert ApiToken.objects.holder(secret, asked) == user
        else:
            with pytest.raises(SiteError) as refused:
                ApiToken.objects.holder(secret, asked)
            assert refused.value.code is Refusal.SCOPE_MISSING


def test_an_expired_token_opens_nothing(user: User) -> None:
    secret = actions.issue_token(user=user, name="x", days=30)
    assert ApiToken.objects.holder(secret) == user
    ApiToken.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert ApiToken.objects.holder(secret) is None
    assert not ApiToken.objects.filter(used__isnull=True).exists(), "the last use is seen"


def test_a_maintainer_is_one_only_by_a_token_that_manages(user: User) -> None:
    actions.set_maintainer(username="ada", maintains=True)
    for scope in Scope:
        secret = actions.issue_token(user=user, name="x", scope=scope)
        holder = ApiToken.objects.holder(secret)
        assert holder is not None and holder.is_staff is (scope is Scope.MANAGE)
        holder.save()
        assert User.objects.get().is_staff, "the account stays a maintainer's"


def test_the_page_makes_a_token_of_a_scope_that_ends(user: User) -> None:
    client = Client()
    client.force_login(user)
    page = client.post("/accounts/tokens/", {"name": "ci", "scope": "read", "days": "30"})
    assert ApiToken.objects.get().scope == "read"
    left = ApiToken.objects.get().expires - timezone.now()
    assert timedelta(days=29) < left < timedelta(days=30)
    assert re.search(r"hft_\S{20,}", page.content.decode())
    for wrong in ({"scope": "all"}, {"days": "-1"}, {"days": ""}, {"name": ""}):
        fields = {"name": "ci", "scope": "read", "days": "30"} | wrong
        assert client.post("/accounts/tokens/", fields).status_code == 422
    assert ApiToken.objects.count() == 1


def test_the_api_asks_for_the_scope(user: User, run: Any) -> None:
    secret = actions.issue_token(user=user, name="x", scope=Scope.READ)
    headers = {"Authorization": f"Bearer {secret}"}
    assert Client().get(f"/api/v1/runs/{run.pk}", headers=headers).status_code == 200
    refused = Client().post(f"/api/v1/runs/{run.pk}/cancel", headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (403, "scope_missing")
    run.refresh_from_db()
    assert run.state == "queued"


def test_the_command_takes_scope_and_end(db: None, capsys: Any) -> None:
    call_command("create_token", "demo", "--scope", "read", "--days", "3")
    made = ApiToken.objects.get()
    assert made.scope == "read" and made.expires is not None
    for wrong in (["--days", "0"], ["--scope", "all"]):
        with pytest.raises(CommandError):
            call_command("create_token", "demo", *wrong)
