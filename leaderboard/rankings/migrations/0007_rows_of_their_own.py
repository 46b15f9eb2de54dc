import django.db.models.deletion
from django.db import migrations, models

MOVE = """
INSERT INTO rankings_snapshotrow (snapshot_id, position, model, body)
SELECT one.id, row.place - 1, row.body ->> 'model', row.body::text
FROM rankings_snapshot one, jsonb_array_elements(one.rows) WITH ORDINALITY AS row (body, place)
"""
BACK = """
UPDATE rankings_snapshot one SET rows = (
    SELECT COALESCE(jsonb_agg(row.body::jsonb ORDER BY row.position), '[]'::jsonb)
    FROM rankings_snapshotrow row WHERE row.snapshot_id = one.id
)
"""


class Migration(migrations.Migration):
    """A snapshot's rows leave its one value for a table, so that a page reads those that it shows."""

    dependencies = [
        ('rankings', '0006_who_ran_a_table'),
    ]

    operations = [
        migrations.AddField(
            model_name='snapshot',
            name='columns',
            field=models.BinaryField(null=True),
        ),
        migrations.AlterField(
            model_name='snapshot',
            name='rows',
            field=models.JSONField(default=list),
        ),
        migrations.CreateModel(
            name='SnapshotRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField()),
                ('model', models.CharField(max_length=80)),
                ('body', models.TextField()),
                ('snapshot', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='rankings.snapshot')),
            ],
            options={
                'indexes': [models.Index(fields=['snapshot', 'model'], name='snapshot_row_of_model')],
                'constraints': [models.UniqueConstraint(fields=('snapshot', 'position'), name='snapshot_row_once')],
            },
        ),
        migrations.RunSQL(MOVE, BACK),
        migrations.RemoveField(
            model_name='snapshot',
            name='rows',
        ),
        migrations.AlterField(
            model_name='snapshotrow',
            name='snapshot',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='rows', to='rankings.snapshot'),
        ),
    ]
