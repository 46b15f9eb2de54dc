"""Writes to people, tokens, organisations and the log of what maintainers do."""

from leaderboard.accounts.actions.audit import is_logged, record_act
from leaderboard.accounts.actions.organisations import (
    accept_invitation,
    create_organisation,
    invitation,
    invite,
    organisation,
    remove_member,
    rename_organisation,
    set_role,
    set_verified,
    withdraw_invitation,
)
from leaderboard.accounts.actions.people import (
    enrol,
    issue_token,
    person,
    reset_second_factor,
    revoke_token,
    set_active,
    set_maintainer,
    sign_up,
)

__all__ = [
    "accept_invitation",
    "create_organisation",
    "enrol",
    "invitation",
    "invite",
    "is_logged",
    "issue_token",
    "organisation",
    "person",
    "record_act",
    "remove_member",
    "rename_organisation",
    "reset_second_factor",
    "revoke_token",
    "set_active",
    "set_maintainer",
    "set_role",
    "set_verified",
    "sign_up",
    "withdraw_invitation",
]
