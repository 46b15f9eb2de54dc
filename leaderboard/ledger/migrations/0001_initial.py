import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Evaluator',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80, unique=True)),
                ('public_key', models.CharField(max_length=64)),
                ('host_pub', models.CharField(max_length=64)),
                ('pool', models.CharField(max_length=80)),
                ('registered_at', models.DateTimeField(auto_now_add=True)),
                ('head_index', models.IntegerField(default=-1)),
                ('head_hash', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', max_length=64)),
                ('flagged', models.BooleanField(default=False)),
                ('last_seen', models.DateTimeField(null=True)),
                ('expected_by', models.DateTimeField(null=True)),
                ('announced_at', models.DateTimeField(null=True)),
                ('announced_pool', models.CharField(blank=True, max_length=80)),
                ('sets', models.JSONField(default=list)),
                ('reads', models.JSONField(default=list)),
                ('software', models.CharField(blank=True, max_length=40)),
                ('out_of_service', models.CharField(blank=True, max_length=20)),
                ('busy_with', models.UUIDField(null=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9][a-z0-9._-]{0,79}$')), name='evaluator_name_is_plain'), models.CheckConstraint(condition=models.Q(('pool__regex', '^[a-z0-9][a-z0-9._-]{0,79}$')), name='evaluator_pool_is_plain'), models.CheckConstraint(condition=models.Q(('head_hash__regex', '^[0-9a-f]{64}$'), ('host_pub__regex', '^[0-9a-f]{64}$'), ('public_key__regex', '^[0-9a-f]{64}$')), name='evaluator_keys_are_hex')],
            },
        ),
        migrations.CreateModel(
            name='Grant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('run', models.UUIDField()),
                ('token', models.PositiveIntegerField()),
                ('recipient', models.CharField(max_length=300)),
                ('sets', models.JSONField()),
                ('salt', models.CharField(blank=True, default='', max_length=64)),
                ('plan', models.CharField(blank=True, default='', max_length=64)),
                ('hash', models.CharField(max_length=64)),
                ('created', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('run', 'token'), name='grant_once_per_attempt'), models.CheckConstraint(condition=models.Q(('hash__regex', '^[0-9a-f]{64}$')), name='grant_hash_is_sha256')],
            },
        ),
        migrations.CreateModel(
            name='ListedEndpoint',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('url', models.CharField(max_length=1000)),
                ('model', models.CharField(max_length=200)),
                ('api', models.CharField(max_length=20)),
                ('provider', models.CharField(blank=True, max_length=40)),
                ('registered_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'ordering': ('url', 'model', 'api', 'provider'),
                'constraints': [models.UniqueConstraint(fields=('url', 'model', 'api', 'provider'), name='listed_endpoint_once')],
            },
        ),
        migrations.CreateModel(
            name='Party',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('recipient', models.CharField(max_length=300, unique=True)),
                ('name', models.CharField(max_length=80)),
                ('kind', models.CharField(choices=[('organisation', 'Organisation'), ('provider', 'Provider')], max_length=12)),
                ('tier', models.CharField(max_length=2)),
                ('registered_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'verbose_name_plural': 'parties',
                'constraints': [models.CheckConstraint(condition=models.Q(('tier__in', ['T1', 'T2', 'T3'])), name='party_tier_is_known')],
            },
        ),
        migrations.CreateModel(
            name='Entry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('index', models.PositiveIntegerField()),
                ('kind', models.CharField(max_length=9)),
                ('moment', models.CharField(max_length=27)),
                ('run', models.UUIDField(db_index=True, null=True)),
                ('set_name', models.CharField(db_index=True, max_length=80)),
                ('recipient', models.CharField(blank=True, max_length=300)),
                ('tier', models.CharField(blank=True, max_length=2)),
                ('count', models.PositiveIntegerField(default=0)),
                ('line', models.JSONField()),
                ('tally', models.JSONField(null=True)),
                ('previous', models.CharField(max_length=64)),
                ('entry_hash', models.CharField(max_length=64)),
                ('status', models.CharField(choices=[('chained', 'Chained'), ('pending', 'Pending'), ('conflicting', 'Conflicting')], max_length=11)),
                ('received', models.DateTimeField(auto_now_add=True)),
                ('evaluator', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='entries', to='ledger.evaluator')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('evaluator', 'entry_hash'), name='entry_once'), models.UniqueConstraint(condition=models.Q(('status', 'chained')), fields=('evaluator', 'index'), name='entry_one_line_per_index'), models.CheckConstraint(condition=models.Q(('entry_hash__regex', '^[0-9a-f]{64}$'), ('previous__regex', '^[0-9a-f]{64}$')), name='entry_hashes_are_sha256'), models.CheckConstraint(condition=models.Q(('status__in', ['chained', 'pending', 'conflicting'])), name='entry_status_is_known'), models.CheckConstraint(condition=models.Q(('tier__in', ['', 'T0', 'T1', 'T2', 'T3'])), name='entry_tier_is_known')],
            },
        ),
        migrations.CreateModel(
            name='Head',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('size', models.PositiveIntegerField()),
                ('root', models.CharField(max_length=64)),
                ('note', models.TextField()),
                ('agrees', models.BooleanField(null=True)),
                ('received', models.DateTimeField(auto_now_add=True)),
                ('evaluator', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='heads', to='ledger.evaluator')),
            ],
            options={
                'ordering': ('evaluator', 'size', 'pk'),
                'constraints': [models.UniqueConstraint(fields=('evaluator', 'size', 'root'), name='head_once')],
            },
        ),
    ]
