"""Sets and pairs of sets, as far as they are public. No text of an item, sealed or not, is ever here."""

from typing import Any

from django.db import models
from django.urls import reverse

NAME = r"^[a-z0-9][a-z0-9._-]{0,79}$"
HEX32 = r"^[0-9a-f]{64}$"


class ItemSet(models.Model):
    """A set of items. ``digest`` commits to it: the Merkle root of a sealed one, else the items' SHA-256.

    ``leaves`` are the leaf hashes of a sealed set, in order; each covers a salt, so it tells nothing.
    """

    name = models.CharField(max_length=80, unique=True)
    sealed = models.BooleanField()
    n = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    shots = models.PositiveIntegerField(default=0)
    shots_digest = models.CharField(max_length=64, blank=True)
    leaves: "models.JSONField[list[str], list[str]]" = models.JSONField(default=list, blank=True)
    registered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.CheckConstraint(condition=models.Q(name__regex=NAME), name="item_set_name_is_plain"),
            models.CheckConstraint(condition=models.Q(digest__regex=HEX32), name="item_set_digest_is_sha256"),
            models.CheckConstraint(condition=models.Q(n__gte=1, n__lte=1_000_000), name="item_set_has_items"),
            models.CheckConstraint(
                condition=models.Q(shots=0, shots_digest="") | models.Q(shots__gte=1, shots_digest__regex=HEX32),
                name="item_set_shots_have_a_digest",
            ),
        )

    def __str__(self) -> str:
        return self.name


class SetPair(models.Model):
    """A public set and its sealed twin, asked with one protocol and graded by one grader."""

    class State(models.TextChoices):
        """Whether the private set is still private."""

        SEALED = "sealed"
        RELEASED = "released"

    slug = models.SlugField(max_length=80, unique=True)
    title = models.CharField(max_length=120)
    public = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="as_public")
    private = models.ForeignKey(ItemSet, on_delete=models.PROTECT, related_name="as_private")
    protocol = models.CharField(max_length=80)
    grader = models.CharField(max_length=80)
    release_rule: "models.JSONField[dict[str, Any], dict[str, Any]]" = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.SEALED)
    registered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=~models.Q(public=models.F("private")), name="set_pair_has_two_different_sets"
            ),
            models.CheckConstraint(condition=models.Q(protocol__regex=NAME), name="set_pair_protocol_is_plain"),
            models.CheckConstraint(condition=models.Q(grader__regex=NAME), name="set_pair_grader_is_plain"),
            models.CheckConstraint(
                condition=models.Q(state__in=["sealed", "released"]), name="set_pair_state_is_known"
            ),
        )

    def __str__(self) -> str:
        return self.title

    def get_absolute_url(self) -> str:
        """The page of the pair's commitment."""
        return reverse("set-pair", args=[self.slug])

    def sets(self) -> tuple[ItemSet, ItemSet]:
        """The public set, then the private one."""
        return self.public, self.private
