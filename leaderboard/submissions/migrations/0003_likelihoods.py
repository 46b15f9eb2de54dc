from django.db import migrations, models


class Migration(migrations.Migration):
    """What weights found of each set's texts, and why there may be nothing."""

    dependencies = [
        ("submissions", "0002_records_and_votes"),
    ]

    operations = [
        migrations.AddField(
            model_name="run",
            name="likelihood_failed",
            field=models.CharField(blank=True, max_length=40),
        ),
        migrations.AddField(
            model_name="runoutcomes",
            name="likelihood",
            field=models.JSONField(null=True),
        ),
    ]
