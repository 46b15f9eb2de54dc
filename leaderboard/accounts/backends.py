"""Owner of a session."""

from allauth.account.auth_backends import AuthenticationBackend
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings

from leaderboard.accounts.models import User


class Backend(AuthenticationBackend):  # type: ignore[misc]
    """Sign-in of django-allauth. A maintainer without a second factor is no maintainer yet."""

    def get_user(self, user_id: int) -> User | None:
        """Return the user of a session."""
        user: User | None = super().get_user(user_id)
        if user is None or not user.is_staff:
            return user
        if settings.MAINTAINERS_SECOND_FACTOR and not is_mfa_enabled(user):
            user.withhold_staff()
        return user
