"""``manage.py close_cohort PAIR``: decide the evidence level of the runs that have none yet."""

from argparse import ArgumentParser
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from leaderboard.benchmarks.models import SetPair
from leaderboard.board import actions
from leaderboard.evidence.vocabulary import DECIDED

BASIS = {
    "twins": "twins by construction: the raw gap",
    "panel": "a panel",
    "none": "no panel: nothing can be decided",
}


class Command(BaseCommand):
    """Close the board of a pair: decide the level of every run graded since the last close."""

    help = (
        "Decide the evidence of all runs on a pair that have none yet; levels decided earlier stay."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """PAIR."""
        parser.add_argument("pair", metavar="PAIR", help="the pair's slug")

    def handle(self, *args: Any, **options: Any) -> None:
        """Close the board and print the levels; exit with 1 where there is no such pair."""
        pairs = SetPair.objects.select_related("public", "private")
        pair = pairs.filter(slug=options["pair"]).first()
        if pair is None:
            raise CommandError("no such pair is registered")
        cohort = actions.close_cohort(pair=pair)
        if cohort is None:
            self.stdout.write(f"{pair.slug}: no run waits for a level")
            return
        panel = cohort.facts()
        against = BASIS[panel.basis]
        if panel.basis == "panel":
            aside = sum(member.put_aside for member in panel.references)
            against = f"a panel of {len(panel.references)}, {aside} put aside"
        verdicts = cohort.verdicts.select_related("cohort")
        levels = Counter(verdict.judged().evidence for verdict in verdicts)
        counts = ", ".join(f"{levels[level]} {level.label}" for level in DECIDED if levels[level])
        self.stdout.write(f"cohort {cohort.number} of {pair.slug} ({against}): {counts}")
