from typing import Any

import django.db.models.deletion
from django.db import migrations, models


def fill_organisations(apps: Any, _: Any) -> None:
    """Give each run the organisation that has its model."""
    owner = models.Subquery(
        apps.get_model("submissions", "Submission")
        .objects.filter(pk=models.OuterRef("submission"))
        .values("model__organisation")[:1]
    )
    apps.get_model("submissions", "Run").objects.update(organisation=owner)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('accounts', '0003_audit_reasons'),
        ('submissions', '0020_likenesses'),
    ]

    operations = [
        migrations.AddField(
            model_name='run',
            name='organisation',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organisation'),
        ),
        migrations.RunPython(fill_organisations, migrations.RunPython.noop),
        migrations.AlterField(
            model_name='run',
            name='organisation',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.organisation'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('state', 'queued')), fields=['pool', 'organisation', 'queued_at'], name='run_queued_by_organisation'),
        ),
    ]
