from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0002_audit_entries_are_final'),
    ]

    operations = [
        migrations.AddField(
            model_name='auditentry',
            name='why',
            field=models.CharField(blank=True, max_length=300),
        ),
    ]
