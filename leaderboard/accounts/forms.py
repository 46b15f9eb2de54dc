"""Forms to sign up, to name a token, and to state the reason of a maintainer's act."""

from typing import Any

from allauth.account.forms import SignupForm
from allauth.socialaccount.forms import SignupForm as ProviderSignupForm
from django import forms
from django.core.validators import RegexValidator
from django.http import HttpRequest

from leaderboard.accounts.known_names import domains_of
from leaderboard.accounts.models import LONGEST_REASON, Organisation, Role, Scope, User

plain = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9 ._&-]*\Z",
    "Use letters, digits, spaces and . _ & - only, starting with a letter or digit.",
)


class WithOrganisation(forms.Form):
    """A name, an address, and the organisation to submit for."""

    organisation = forms.CharField(
        max_length=80,
        validators=[plain],
        required=False,
        help_text="The owner of your models, shown on the board. Leave it empty if one has invited "
        "you.",
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["email"].label = "E-mail address"
        for field in self.fields.values():
            # The label stands above the field already.
            field.widget.attrs.pop("placeholder", None)

    def clean_username(self) -> str:
        """Refuse a name that could be taken for a person's address."""
        name: str = super().clean_username()  # type: ignore[misc]
        if "@" in name:
            raise forms.ValidationError("Use letters, digits and . + - _ only.")
        return name

    def clean_organisation(self) -> str:
        """Refuse the name of an existing organisation: naming one is no way to join it."""
        name: str = self.cleaned_data["organisation"]
        if name and Organisation.objects.filter(name__iexact=name).exists():
            raise forms.ValidationError(
                "An organisation of this name is registered. Choose another name."
            )
        if domains_of(name):
            raise forms.ValidationError(
                "This is the name of an organisation that everybody knows. Leave the field empty, "
                "confirm your address at its mail domain, then create it."
            )
        return name

    def custom_signup(self, request: HttpRequest, user: User) -> None:
        """Create the organisation with the user."""
        super().custom_signup(request, user)  # type: ignore[misc]
        if self.cleaned_data["organisation"]:
            Organisation.objects.create_with_owner(name=self.cleaned_data["organisation"], by=user)


class SignUp(WithOrganisation, SignupForm):  # type: ignore[misc]
    """Those, and a password."""

    field_order = ("username", "email", "organisation", "password1", "password2")


class ProviderSignUp(WithOrganisation, ProviderSignupForm):  # type: ignore[misc]
    """Those, as a provider states them: an address that it has verified needs no mail of ours."""

    field_order = ("username", "email", "organisation")


class NewToken(forms.Form):
    """Purpose, scope and lifetime of a new token."""

    name = forms.CharField(max_length=80, label="What is it for?", validators=[plain])
    scope = forms.ChoiceField(choices=Scope.choices, initial=Scope.SUBMIT, label="What may it do?")
    days = forms.TypedChoiceField(
        choices=[
            (30, "30 days"),
            (90, "90 days"),
            (365, "a year"),
            (0, "no end"),
        ],
        coerce=int,
        initial=90,
        label="Until when?",
    )


class OrganisationName(forms.Form):
    """Name of a new organisation."""

    name = forms.CharField(
        max_length=80,
        validators=[plain],
        label="Name",
        help_text="The board shows it with each model.",
    )


class NewInvitation(forms.Form):
    """Address and role of a person who is invited."""

    email = forms.EmailField(label="E-mail address")
    role = forms.ChoiceField(choices=Role.choices, initial=Role.MEMBER)


class Act(forms.Form):
    """Reason of a maintainer's act, below the fields that the act needs."""

    why = forms.CharField(
        max_length=LONGEST_REASON, label="Reason", help_text="It stays in the audit log."
    )

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        of_the_act = [name for name in self.fields if name != "why"]
        self.order_fields([*of_the_act, "why"])
        for field in self.fields.values():
            if isinstance(field.widget, forms.TextInput):
                # The console's class for inputs of a sentence's width.
                field.widget.attrs.setdefault("class", "vTextField")
