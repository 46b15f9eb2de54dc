"""Log of what maintainers do, written before the act."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.http import HttpRequest
from django.http.response import HttpResponseBase

from leaderboard.accounts import actions
from leaderboard.accounts.models import User

OWN_ACCOUNT = "accounts/"
NAMES = ("name", "pair", "model", "lineage", "slug", "username")
"""Fields whose values say what an act is about. No other field is written: it may be a secret."""


class Audit:
    """Writes each request of a maintainer that may change something, but for their own account.

    A request by token is written where the token is read (``api.Bearer``).
    """

    def __init__(self, answer: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.answer = answer

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer as usual."""
        return self.answer(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., HttpResponseBase],
        arguments: Sequence[Any],
        options: Mapping[str, Any],
    ) -> None:
        """Write the act, before the view is called."""
        if not actions.is_logged(request.method, request.path):
            return
        if not isinstance(request.user, User):
            return
        route = request.resolver_match.route if request.resolver_match else ""
        if request.user.is_staff and not route.startswith(OWN_ACCOUNT):
            chosen = request.POST.getlist("_selected_action")
            named: dict[str, Any] = {}
            for name in NAMES:
                if request.POST.get(name):
                    named[name] = request.POST[name]
            named.update(options)
            subject = [f"{name}={value}" for name, value in named.items()]
            parts = (route, request.POST.get("action", ""))
            act = " ".join(filter(None, parts))
            why = request.POST.get("why") or request.POST.get("reason", "")
            actions.record_act(
                actor=request.user.username,
                act=f"{request.method} {act}",
                subject=" ".join(subject + chosen),
                why=why,
            )
