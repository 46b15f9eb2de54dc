"""Console of the maintainers at ``/manage/``: Django's admin, read-only, with actions.

No row is edited: an action, or the form that records a row, calls the function that the page, the
API and the command call. ``middleware.Audit`` writes each act to the log, with the reason that the
maintainer gives, before it is carried out.
"""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.utils.formats import date_format
from django.views.decorators.http import require_http_methods

from leaderboard.accounts import actions
from leaderboard.accounts.forms import Act
from leaderboard.accounts.models import (
    LONGEST_REASON,
    AuditEntry,
    Membership,
    Organisation,
    User,
)
from leaderboard.errors import SiteError


class ConsoleSite(admin.AdminSite):
    """Console for maintainers. Signing in and passwords are the site's own pages."""

    site_header = "Maintainers' console"
    site_title = "Holdfast console"
    index_title = "Queue, evaluators, rounds, people. All times are UTC."
    enable_nav_sidebar = False

    final_catch_all_view = False

    def get_urls(self) -> list[Any]:
        """Return the addresses in use: the console has no autocompletion and no sign-in page."""
        unused = {"app_list", "autocomplete", "view_on_site", "password_change_done"}
        used = []
        for url in super().get_urls():
            if getattr(url, "name", "") not in unused:
                used.append(url)
        apps = path("<slug:app_label>/", self.admin_view(self.app_index), name="app_list")
        return [*used, apps]

    def admin_view(self, view: Any, cacheable: bool = False) -> Any:
        """Guard a view, and refuse other methods than those of a browser's forms."""
        guarded = super().admin_view(view, cacheable)
        return require_http_methods(["GET", "HEAD", "POST"])(guarded)

    def has_permission(self, request: HttpRequest) -> bool:
        """Return True for maintainers."""
        user = request.user
        return isinstance(user, User) and user.is_active and user.is_staff

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Send visitors to the sign-in, maintainers without a second factor to its page."""
        user = request.user
        if not isinstance(user, User):
            return redirect_to_login(request.get_full_path())
        if user.staff_withheld:
            messages.error(request, "Maintainers need a second factor. Set one up first.")
            return redirect("mfa_index")
        raise Http404

    def logout(  # type: ignore[override]
        self, request: HttpRequest, extra_context: Any = None
    ) -> HttpResponse:
        """Lead to the site's own page."""
        return redirect("account_logout")

    def password_change(  # type: ignore[override]
        self, request: HttpRequest, extra_context: Any = None
    ) -> HttpResponse:
        """Lead to the site's own page."""
        return redirect("account_change_password")


site = ConsoleSite()


class ReasonedAction(ActionForm):
    """Choice of an action, with its reason."""

    why = forms.CharField(
        max_length=LONGEST_REASON,
        required=False,
        label="Reason:",
        widget=forms.TextInput(attrs={"placeholder": "stays in the audit log"}),
    )


class Console(admin.ModelAdmin):  # type: ignore[type-arg]
    """Read-only list of rows for maintainers, with actions that need a reason."""

    view_on_site = False
    action_form = ReasonedAction
    unreasoned: tuple[str, ...] = ()
    """Actions that change nothing."""

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["console.css"]}

    def response_action(
        self, request: HttpRequest, queryset: Any, *options: Any
    ) -> HttpResponse | None:
        """Carry out an action, if its reason is stated."""
        asked = request.POST.get("action", "")
        needs_reason = asked and asked not in self.unreasoned
        if needs_reason and not request.POST.get("why", "").strip():
            messages.error(request, "State a reason: it stays in the audit log. Nothing was done.")
            return redirect(request.get_full_path())
        return super().response_action(request, queryset, *options)

    def get_urls(self) -> list[Any]:
        """Return the addresses of the list, of one row, and of its history."""
        used = ("_changelist", "_change", "_history")
        urls = []
        for url in super().get_urls():
            if str(url.name or "").endswith(used):
                urls.append(url)
        return urls

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show the app on the index."""
        return site.has_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Show rows to maintainers."""
        return site.has_permission(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Add nothing here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Edit nothing here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Delete nothing here."""
        return False


class RecordingConsole(Console):
    """List with a form that records a new row, by the action that a command calls too."""

    record_form: ClassVar[type[Act]]
    record_title: ClassVar[str]

    def get_urls(self) -> list[Any]:
        """Return the address of the form too."""
        all_urls = admin.ModelAdmin.get_urls(self)
        added = [url for url in all_urls if str(url.name).endswith("_add")]
        return [*added, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Let maintainers record rows."""
        return site.has_permission(request)

    def record(self, request: HttpRequest, facts: dict[str, Any]) -> str:
        """Call the action. Return a sentence for the next page. Raises ``SiteError``."""
        raise NotImplementedError

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show the form, and record what it says."""
        form = self.record_form(request.POST or None, request.FILES or None)
        status = 422
        if request.method == "POST" and form.is_valid():
            try:
                messages.success(request, self.record(request, form.cleaned_data))
                return redirect(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")
            except SiteError as failure:
                form.add_error(None, failure.advised())
                status = failure.status
        context = {
            **site.each_context(request),
            "form": form,
            "opts": self.opts,
            "title": self.record_title,
        }
        return render(request, "admin/record.html", context, status=status if form.errors else 200)


Row = TypeVar("Row", bound=Model)


def act_on_each(
    request: HttpRequest,
    rows: Iterable[Row],
    act: Callable[[Row], object],
    *,
    done: str,
) -> None:
    """Call an action for each row. The next page counts them, and names each refusal."""
    count = 0
    for row in rows:
        try:
            act(row)
            count += 1
        except SiteError as failure:
            messages.error(request, f"{row}: {failure.advised()}")
    if count:
        messages.success(request, f"{done}: {count}.")


@admin.register(User, site=site)
class Users(Console):
    """People."""

    list_display = ("username", "email", "is_staff", "is_active", "date_joined", "last_login")
    list_filter = ("is_staff", "is_active")
    search_fields = ("username", "email")
    fields = list_display
    actions = ("suspend", "readmit", "reset_second_factor")

    @admin.action(description="Suspend: sessions and tokens open nothing")
    def suspend(self, request: HttpRequest, chosen: Any) -> None:
        """Suspend users."""
        act_on_each(
            request,
            chosen,
            lambda user: actions.set_active(username=user.username, active=False),
            done="Suspended",
        )

    @admin.action(description="Readmit")
    def readmit(self, request: HttpRequest, chosen: Any) -> None:
        """End a suspension."""
        act_on_each(
            request,
            chosen,
            lambda user: actions.set_active(username=user.username, active=True),
            done="Readmitted",
        )

    @admin.action(description="Delete the second factors, recovery codes included")
    def reset_second_factor(self, request: HttpRequest, chosen: Any) -> None:
        """Delete second factors that are lost."""
        act_on_each(
            request,
            chosen,
            lambda user: actions.reset_second_factor(username=user.username),
            done="Second factors deleted",
        )


class Members(admin.TabularInline):  # type: ignore[type-arg]
    """Members of an organisation."""

    model = Membership
    fields = ("user", "role", "joined")
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Refuse: owners invite members on the organisation's page."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Show members to maintainers."""
        return site.has_permission(request)


class IsVerified(admin.SimpleListFilter):
    """Filter of organisations by their verification, in words."""

    title = "verification"
    parameter_name = "verified"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Return values and labels."""
        return [("yes", "verified"), ("no", "not verified")]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Return the organisations of the chosen kind."""
        if self.value() not in ("yes", "no"):
            return queryset
        return queryset.filter(verified__isnull=self.value() == "no")


@admin.register(Organisation, site=site)
class Organisations(Console):
    """Organisations."""

    list_display = ("name", "verified_at", "verified_by")
    list_filter = (IsVerified,)
    search_fields = ("name",)
    fields = list_display
    readonly_fields = ("verified_at",)
    inlines = (Members,)
    actions = ("verify", "end_verification", "take_name")

    @admin.display(description="verified", ordering="verified")
    def verified_at(self, one: Organisation) -> str:
        """Return when it was verified, or that it is not."""
        if one.verified is None:
            return "not verified"
        return date_format(one.verified, "DATETIME_FORMAT")

    @admin.action(description="Verify: it is who its name says")
    def verify(self, request: HttpRequest, chosen: Any) -> None:
        """Verify organisations."""
        by = request.user.get_username()
        act_on_each(
            request,
            chosen,
            lambda one: actions.set_verified(name=one.name, verified=True, by=by),
            done="Verified",
        )

    @admin.action(description="End the verification")
    def end_verification(self, request: HttpRequest, chosen: Any) -> None:
        """Make organisations unverified."""
        act_on_each(
            request,
            chosen,
            lambda one: actions.set_verified(name=one.name, verified=False, by=""),
            done="Unverified",
        )

    @admin.action(description="Take the name away: it becomes 'Organisation NUMBER'")
    def take_name(self, request: HttpRequest, chosen: Any) -> None:
        """Replace names that mislead or offend."""
        act_on_each(
            request,
            chosen,
            lambda one: actions.rename_organisation(name=one.name, new=f"Organisation {one.pk}"),
            done="Renamed",
        )


@admin.register(AuditEntry, site=site)
class Acts(Console):
    """Log of what maintainers did."""

    list_display = ("at", "actor", "act", "subject", "why")
    search_fields = ("actor", "act", "subject", "why")
    date_hierarchy = "at"
    fields = list_display
