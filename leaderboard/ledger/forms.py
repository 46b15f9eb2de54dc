"""Filters of the ledger's page."""

from urllib.parse import urlencode

from django import forms

KINDS = [
    ("", "every kind"),
    ("exposure", "shown to a model"),
    ("closing", "run closed"),
    ("enrolment", "host enrolled"),
    ("opening", "opened for release"),
    ("drill", "drill, shown to no model"),
]
TIERS = [
    ("", "every tier"),
    ("T0", "T0"),
    ("T1", "T1"),
    ("T2", "T2"),
    ("T3", "T3"),
]


class LedgerFilter(forms.Form):
    """Filters, all optional, sent by GET. An invalid form filters nothing."""

    set = forms.CharField(required=False, max_length=80, label="Set")
    recipient = forms.CharField(required=False, max_length=300, label="Shown to")
    evaluator = forms.CharField(required=False, max_length=80, label="Evaluator")
    run = forms.UUIDField(required=False, label="Run")
    kind = forms.ChoiceField(required=False, choices=KINDS, label="What")
    tier = forms.ChoiceField(required=False, choices=TIERS, label="Tier")

    def values(self) -> dict[str, str]:
        """Return the values of the filters in use."""
        if not self.is_bound or not self.is_valid():
            return {}
        in_use = {}
        for name, value in self.cleaned_data.items():
            if value:
                in_use[name] = str(value)
        return in_use

    def query(self) -> str:
        """Return the filters as the start of a query string, before ``page=``."""
        return urlencode(self.values()) + "&" if self.values() else ""
