"""A sealed set's way to release becomes its own: new columns, beside the pairs' old ones."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

STATES = [("sealed", "sealed"), ("releasable", "releasable"), ("proposed", "proposed"), ("released", "released")]


class Migration(migrations.Migration):

    dependencies = [
        ("benchmarks", "0006_ranked_by"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField("itemset", "season", models.PositiveIntegerField(default=0)),
        migrations.AddField("itemset", "state", models.CharField(choices=STATES, default="sealed", max_length=10)),
        migrations.AddField(
            "itemset",
            "successor",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="succeeds",
                to="benchmarks.itemset",
            ),
        ),
        migrations.AlterField(
            "setpair",
            "successor",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="benchmarks.itemset"
            ),
        ),
        migrations.AddField("itemset", "evidence", models.JSONField(null=True)),
        migrations.AddField(
            "itemset",
            "proposed_by",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.RenameModel("PairStep", "SetStep"),
        migrations.AddField(
            "setstep",
            "item_set",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="steps", to="benchmarks.itemset"
            ),
        ),
        migrations.AlterField(
            "setstep",
            "pair",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="benchmarks.setpair"
            ),
        ),
        migrations.AddField(
            "release",
            "item_set",
            models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="release", to="benchmarks.itemset"
            ),
        ),
        migrations.AlterField(
            "release",
            "pair",
            models.OneToOneField(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="benchmarks.setpair"
            ),
        ),
        migrations.AddField("setpair", "withdrawn_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField(
            "setpair",
            "withdrawn_by",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            "setpair",
            "withdrawn_why",
            models.CharField(
                blank=True,
                choices=[
                    ("wrong_protocol", "it names the wrong protocol"),
                    ("wrong_grader", "it names the wrong grader"),
                    ("wrong_sets", "it pairs the wrong sets"),
                    ("duplicate", "another pair is the same"),
                    ("not_needed", "it is not needed any more"),
                ],
                default="",
                max_length=20,
            ),
            preserve_default=False,
        ),
    ]
