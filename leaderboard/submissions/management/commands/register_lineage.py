"""``manage.py register_lineage NAME [--parent NAME …] [--model MODEL … [--weights DIGEST]]``."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from leaderboard.errors import SiteError
from leaderboard.submissions import actions


class Command(BaseCommand):
    """Registers a pretraining lineage with its parents, and the models that belong to it."""

    help = "Register a lineage, its parents, and models of it."

    def add_arguments(self, parser: CommandParser) -> None:
        """NAME, parents and models."""
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "--parent",
            action="append",
            default=[],
            metavar="NAME",
            help="lineage it was made from",
        )
        parser.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="MODEL",
            help="a model of this lineage",
        )
        newest = "the digest of its weights' files (default: those of its newest run)"
        parser.add_argument("--weights", default="", metavar="DIGEST", help=newest)
        parser.add_argument(
            "--base",
            default="",
            metavar="MODEL",
            help="the pretrained weights that they were made from",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Register and print the lineage."""
        models = options["model"]
        if options["weights"] and len(models) != 1:
            raise CommandError("--weights are those of one --model")
        about = {"weights": options["weights"], "base_model": options["base"]}
        try:
            with transaction.atomic():
                lineage = actions.register_lineage(name=options["name"], parents=options["parent"])
                records = {
                    model: actions.assign_lineage(model=model, lineage=lineage.name, **about)
                    for model in models
                }
        except SiteError as failure:
            raise CommandError(str(failure)) from None
        self.stdout.write(f"{lineage}: {', '.join(models) or 'no model named'}")
        for model, record in records.items():
            if record is None:
                self.stderr.write(
                    f"warning: no run of {model} is over; repeat this then, or name its --weights"
                )
            else:
                self.stdout.write(f"{model}: weights {record.artefact}")
