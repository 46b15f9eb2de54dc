"""The pairs' releases are handed to their sets: of several pairs over one set, that which came furthest counts."""

from typing import Any

from django.db import migrations

ORDER = ("sealed", "releasable", "proposed", "released")
FIELDS = ("state", "evidence", "proposed_by_id", "successor_id")


def hand_over(apps: Any, schema_editor: Any) -> None:
    """Copy state, evidence, steps and release of one pair to each private set, and the largest season."""
    pairs, sets = apps.get_model("benchmarks", "SetPair"), apps.get_model("benchmarks", "ItemSet")
    steps, releases = apps.get_model("benchmarks", "SetStep"), apps.get_model("benchmarks", "Release")
    for item_set in sets.objects.filter(as_private__isnull=False).distinct():
        over = sorted(pairs.objects.filter(private=item_set), key=lambda pair: (-ORDER.index(pair.state), pair.pk))
        first = over[0]
        heirs = [pair.successor_id for pair in over if pair.successor_id]
        for name in FIELDS:
            setattr(item_set, name, getattr(first, name))
        item_set.successor_id = first.successor_id or (heirs[0] if heirs else None)
        item_set.season = max(pair.season for pair in over)
        item_set.save()
        steps.objects.filter(pair=first).update(item_set=item_set)
        releases.objects.filter(pair=first).update(item_set=item_set)
    steps.objects.filter(item_set__isnull=True).delete()


class Migration(migrations.Migration):

    dependencies = [("benchmarks", "0007_release_of_a_set")]

    operations = [migrations.RunPython(hand_over)]
