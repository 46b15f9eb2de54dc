from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('ledger', '0005_host_state'),
    ]

    operations = [
        migrations.AddField(
            model_name='evaluator',
            name='endpoint_runs',
            field=models.PositiveSmallIntegerField(default=0),
        ),
    ]
