from django.db import migrations, models


class Migration(migrations.Migration):
    """Boards ask for these few runs at every page; they are found without a look at all others."""

    dependencies = [
        ('submissions', '0004_rescorings'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('retracted', True), ('post_release', True), _connector='OR'), fields=['submission'], name='run_left_out'),
        ),
    ]
