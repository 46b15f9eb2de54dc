from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Until now a cohort was decided over the outcomes that runs came with."""
    graders = apps.get_model("benchmarks", "SetPair").objects.values_list("pk", "grader")
    for pair, grader in graders:
        apps.get_model("rankings", "Cohort").objects.filter(pair=pair).update(grader=grader)


class Migration(migrations.Migration):

    dependencies = [
        ('benchmarks', '0001_initial'),
        ('rankings', '0004_families_of_a_board'),
    ]

    operations = [
        migrations.AddField(
            model_name='cohort',
            name='grader',
            field=models.CharField(default='', max_length=80),
            preserve_default=False,
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
