"""Forms to sign up, and to name a token."""

from typing import Any

from django import forms
from django.contrib.auth.forms import UserCreationForm
from django.core.validators import RegexValidator

from leaderboard.accounts.models import Organisation, User

plain = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9 ._&-]*\Z",
    "Use letters, digits, spaces and . _ & - only, starting with a letter or digit.",
)


class SignUp(UserCreationForm):  # type: ignore[type-arg]
    """A name, a password, and the organisation to submit for."""

    organisation = forms.CharField(
        max_length=80,
        validators=[plain],
        help_text="The owner of your models, shown on the board.",
    )
    field_order = ("username", "organisation", "password1", "password2")

    class Meta:
        model = User
        fields = ("username",)

    def clean_organisation(self) -> str:
        """Refuse the name of an existing organisation: naming one is no way to join it."""
        name: str = self.cleaned_data["organisation"]
        if Organisation.objects.filter(name__iexact=name).exists():
            raise forms.ValidationError(
                "An organisation of this name is registered. Choose another name."
            )
        return name

    def facts(self) -> dict[str, Any]:
        """Return the arguments of ``actions.sign_up``."""
        cleaned = self.cleaned_data
        return {
            "username": cleaned["username"],
            "password": cleaned["password1"],
            "organisation": cleaned["organisation"],
        }


class TokenName(forms.Form):
    """Purpose of a new token."""

    name = forms.CharField(max_length=80, label="What is it for?", validators=[plain])
