import django.db.models.deletion
import django.db.models.expressions
import django.db.models.functions.comparison
import django.db.models.functions.text
import django.db.models.lookups
import uuid
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('benchmarks', '0001_initial'),
        ('ledger', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Heartbeat',
            fields=[
                ('name', models.CharField(max_length=20, primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('facts', models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name='Lineage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80, unique=True)),
                ('parents', models.ManyToManyField(related_name='children', to='submissions.lineage')),
            ],
        ),
        migrations.CreateModel(
            name='Model',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80, unique=True)),
                ('open_weights', models.BooleanField(default=False)),
                ('parameters', models.PositiveBigIntegerField(blank=True, null=True)),
                ('created', models.DateTimeField(auto_now_add=True)),
                ('lineage', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='models', to='submissions.lineage')),
                ('organisation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='models', to='accounts.organisation')),
            ],
        ),
        migrations.CreateModel(
            name='LineageRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('artefact', models.CharField(max_length=64)),
                ('base_model', models.CharField(blank=True, max_length=80)),
                ('recorded_at', models.DateTimeField(auto_now_add=True)),
                ('lineage', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='records', to='submissions.lineage')),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='lineage_records', to='submissions.model')),
            ],
        ),
        migrations.CreateModel(
            name='RefusedReport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.DateField()),
                ('code', models.CharField(max_length=40)),
                ('claimed', models.CharField(blank=True, max_length=80)),
                ('count', models.PositiveIntegerField(default=0)),
                ('size', models.PositiveBigIntegerField(default=0)),
                ('digest', models.CharField(max_length=64)),
                ('last', models.DateTimeField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('day', 'code', 'claimed'), name='refused_once_a_day')],
            },
        ),
        migrations.CreateModel(
            name='Rescoring',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('grader', models.CharField(max_length=80)),
                ('grader_digest', models.CharField(blank=True, max_length=64)),
                ('token', models.PositiveIntegerField()),
                ('exposure_token', models.PositiveIntegerField()),
                ('asked_at', models.DateTimeField(auto_now_add=True)),
                ('state', models.CharField(choices=[('asked', 'Asked'), ('done', 'Done'), ('failed', 'Failed')], default='asked', max_length=6)),
                ('code', models.CharField(blank=True, max_length=40)),
                ('due', models.DateTimeField()),
                ('deadline', models.DateTimeField()),
                ('ended_at', models.DateTimeField(null=True)),
                ('asked_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('evaluator', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='ledger.evaluator')),
            ],
        ),
        migrations.CreateModel(
            name='RescoredOutcomes',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('packed', models.BinaryField()),
                ('size', models.PositiveIntegerField()),
                ('n', models.PositiveIntegerField()),
                ('right', models.PositiveIntegerField(default=0)),
                ('wrong', models.PositiveIntegerField(default=0)),
                ('no_answer', models.PositiveIntegerField(default=0)),
                ('truncated', models.PositiveIntegerField(default=0)),
                ('not_counted', models.PositiveIntegerField(default=0)),
                ('changed', models.JSONField(blank=True, default=dict)),
                ('item_set', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='benchmarks.itemset')),
                ('rescoring', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outcomes', to='submissions.rescoring')),
            ],
        ),
        migrations.CreateModel(
            name='Run',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('pool', models.CharField(max_length=80)),
                ('state', models.CharField(choices=[('queued', 'queued'), ('leased', 'leased'), ('running', 'running'), ('graded', 'graded'), ('ranked', 'ranked'), ('failed', 'failed'), ('cancelled', 'cancelled')], max_length=9)),
                ('token', models.PositiveIntegerField(default=1)),
                ('worker', models.CharField(blank=True, max_length=32)),
                ('slot', models.PositiveSmallIntegerField(null=True)),
                ('waiting', models.CharField(blank=True, max_length=40)),
                ('attempts', models.PositiveIntegerField(default=1)),
                ('continued', models.PositiveIntegerField(default=0)),
                ('queued_at', models.DateTimeField()),
                ('started_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('lease_expires', models.DateTimeField(null=True)),
                ('deadline', models.DateTimeField()),
                ('code', models.CharField(blank=True, max_length=40)),
                ('fault', models.CharField(blank=True, max_length=6)),
                ('phase', models.CharField(blank=True, max_length=7)),
                ('done', models.PositiveIntegerField(default=0)),
                ('total', models.PositiveIntegerField()),
                ('stale_reports', models.PositiveIntegerField(default=0)),
                ('protocol_digest', models.CharField(blank=True, max_length=64)),
                ('tier', models.CharField(default='T0', max_length=2)),
                ('artefact', models.CharField(blank=True, max_length=64)),
                ('weights', models.CharField(blank=True, default='', max_length=64)),
                ('layers', models.PositiveBigIntegerField(null=True)),
                ('record', models.JSONField(null=True)),
                ('likelihood_failed', models.CharField(blank=True, max_length=40)),
                ('retracted_at', models.DateTimeField(null=True)),
                ('retracted_why', models.CharField(blank=True, choices=[('wrong_weights', 'other weights than the named ones were evaluated'), ('wrong_setup', 'the model or its endpoint was set up wrongly'), ('evaluator_fault', 'its evaluator had a fault'), ('leaked_items', 'its author had seen sealed items'), ('by_request', 'its author asked for it')], max_length=20)),
                ('retracted', models.GeneratedField(db_persist=True, expression=models.ExpressionWrapper(models.Q(('retracted_at__isnull', False)), output_field=models.BooleanField()), output_field=models.BooleanField())),
                ('post_release', models.BooleanField(default=False)),
                ('claimed', models.JSONField(null=True)),
                ('evaluator', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='runs', to='ledger.evaluator')),
                ('retracted_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('same_as', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='copies', to='submissions.run')),
            ],
        ),
        migrations.AddField(
            model_name='rescoring',
            name='run',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rescorings', to='submissions.run'),
        ),
        migrations.CreateModel(
            name='RunPlan',
            fields=[
                ('run', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='plan', serialize=False, to='submissions.run')),
                ('body', models.JSONField()),
                ('digest', models.CharField(max_length=64)),
                ('easiness', models.JSONField()),
                ('look', models.PositiveSmallIntegerField(default=0)),
                ('right', models.PositiveIntegerField(null=True)),
                ('result', models.JSONField(null=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='run_plan_digest_is_sha256'), models.CheckConstraint(condition=models.Q(('look', 0), ('right__isnull', False), _connector='OR'), name='run_plan_looks_after_public_answers')],
            },
        ),
        migrations.CreateModel(
            name='Receipt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token', models.PositiveIntegerField()),
                ('worker', models.CharField(max_length=32)),
                ('sequence', models.PositiveIntegerField()),
                ('received', models.DateTimeField(auto_now_add=True)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='receipts', to='submissions.run')),
            ],
        ),
        migrations.CreateModel(
            name='Outbox',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('token', models.PositiveIntegerField()),
                ('payload', models.JSONField()),
                ('created', models.DateTimeField(auto_now_add=True)),
                ('due', models.DateTimeField()),
                ('sent_at', models.DateTimeField(null=True)),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outbox', to='submissions.run')),
            ],
            options={
                'verbose_name_plural': 'outbox',
            },
        ),
        migrations.CreateModel(
            name='Decline',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('code', models.CharField(max_length=40)),
                ('declined_at', models.DateTimeField()),
                ('evaluator', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='declines', to='ledger.evaluator')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='declines', to='submissions.run')),
            ],
        ),
        migrations.CreateModel(
            name='CountsByGrader',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('grader', models.CharField(max_length=80)),
                ('n', models.PositiveIntegerField()),
                ('right', models.PositiveIntegerField()),
                ('wrong', models.PositiveIntegerField()),
                ('no_answer', models.PositiveIntegerField()),
                ('truncated', models.PositiveIntegerField()),
                ('item_set', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='benchmarks.itemset')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='counts_by_grader', to='submissions.run')),
            ],
        ),
        migrations.CreateModel(
            name='RunOutcomes',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('packed', models.BinaryField()),
                ('size', models.PositiveIntegerField()),
                ('n', models.PositiveIntegerField()),
                ('right', models.PositiveIntegerField(default=0)),
                ('wrong', models.PositiveIntegerField(default=0)),
                ('no_answer', models.PositiveIntegerField(default=0)),
                ('truncated', models.PositiveIntegerField(default=0)),
                ('not_counted', models.PositiveIntegerField(default=0)),
                ('blocks', models.JSONField(blank=True, default=list)),
                ('votes', models.JSONField(null=True)),
                ('likelihood', models.JSONField(null=True)),
                ('reasons', models.JSONField(null=True)),
                ('samples', models.PositiveSmallIntegerField(default=1)),
                ('samples_right', models.BinaryField(null=True)),
                ('item_set', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='benchmarks.itemset')),
                ('run', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='outcomes', to='submissions.run')),
            ],
        ),
        migrations.CreateModel(
            name='Submission',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('checkpoint', 'Checkpoint'), ('endpoint', 'Endpoint')], max_length=10)),
                ('checkpoint', models.CharField(blank=True, max_length=80)),
                ('url', models.CharField(blank=True, max_length=2000)),
                ('served_model', models.CharField(blank=True, max_length=200)),
                ('api', models.CharField(blank=True, max_length=11)),
                ('provider', models.CharField(blank=True, max_length=40)),
                ('protocol', models.CharField(blank=True, max_length=80)),
                ('budget', models.JSONField(null=True)),
                ('sealed_keys', models.JSONField(default=dict)),
                ('keyed', models.BooleanField(default=False)),
                ('idempotency_key', models.CharField(max_length=100)),
                ('fingerprint', models.CharField(max_length=64)),
                ('created', models.DateTimeField(auto_now_add=True)),
                ('model', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='submissions', to='submissions.model')),
                ('pair', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='submissions', to='benchmarks.setpair')),
                ('submitted_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='submissions', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.AddField(
            model_name='run',
            name='submission',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='runs', to='submissions.submission'),
        ),
        migrations.CreateModel(
            name='TensorList',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=64, unique=True)),
                ('data', models.JSONField()),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='tensors_are_sha256')],
            },
        ),
        migrations.CreateModel(
            name='Commitment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(max_length=64)),
                ('committed_at', models.DateTimeField(auto_now_add=True)),
                ('by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='commitments', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('digest', 'by'), name='commitment_once'), models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='commitment_is_sha256')],
            },
        ),
        migrations.AddConstraint(
            model_name='lineage',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9][a-z0-9._-]{0,79}$')), name='lineage_name_is_plain'),
        ),
        migrations.AddConstraint(
            model_name='model',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$')), name='model_name_is_plain'),
        ),
        migrations.AddConstraint(
            model_name='model',
            constraint=models.CheckConstraint(condition=models.Q(('parameters__isnull', True), ('parameters__gte', 1), _connector='OR'), name='model_has_parameters'),
        ),
        migrations.AddConstraint(
            model_name='model',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('name'), name='model_name_unique_without_case'),
        ),
        migrations.AddConstraint(
            model_name='lineagerecord',
            constraint=models.UniqueConstraint(fields=('model', 'artefact'), name='lineage_record_once'),
        ),
        migrations.AddConstraint(
            model_name='lineagerecord',
            constraint=models.CheckConstraint(condition=models.Q(('artefact__regex', '^[0-9a-f]{64}$')), name='lineage_record_is_of_weights'),
        ),
        migrations.AddConstraint(
            model_name='lineagerecord',
            constraint=models.CheckConstraint(condition=models.Q(('base_model', ''), ('base_model__regex', '^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$'), _connector='OR'), name='lineage_record_base_is_plain'),
        ),
        migrations.AddConstraint(
            model_name='rescoredoutcomes',
            constraint=models.UniqueConstraint(fields=('rescoring', 'item_set'), name='rescored_once_per_set'),
        ),
        migrations.AddConstraint(
            model_name='rescoredoutcomes',
            constraint=models.CheckConstraint(condition=models.Q(('size', models.Func(models.F('packed'), function='octet_length', output_field=models.IntegerField()))), name='rescored_one_byte_per_item'),
        ),
        migrations.AddConstraint(
            model_name='rescoring',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'asked')), fields=('run', 'grader'), name='rescoring_asked_once'),
        ),
        migrations.AddConstraint(
            model_name='rescoring',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('code', ''), ('ended_at__isnull', True), ('state', 'asked')), models.Q(('code', ''), ('ended_at__isnull', False), ('grader_digest__regex', '^[0-9a-f]{64}$'), ('state', 'done')), models.Q(('code__regex', '^[a-z_]+$'), ('ended_at__isnull', False), ('state', 'failed')), _connector='OR'), name='rescoring_ends_with_a_digest_or_a_code'),
        ),
        migrations.AddConstraint(
            model_name='receipt',
            constraint=models.UniqueConstraint(fields=('run', 'token', 'worker', 'sequence'), name='receipt_once'),
        ),
        migrations.AddIndex(
            model_name='outbox',
            index=models.Index(fields=['due'], name='outbox_by_due'),
        ),
        migrations.AddConstraint(
            model_name='outbox',
            constraint=models.UniqueConstraint(fields=('run', 'token'), name='outbox_once_per_attempt'),
        ),
        migrations.AddConstraint(
            model_name='decline',
            constraint=models.UniqueConstraint(fields=('run', 'evaluator'), name='decline_once_per_evaluator'),
        ),
        migrations.AddConstraint(
            model_name='decline',
            constraint=models.CheckConstraint(condition=models.Q(('code__regex', '^[a-z_]+$')), name='decline_has_a_code'),
        ),
        migrations.AddConstraint(
            model_name='countsbygrader',
            constraint=models.UniqueConstraint(fields=('run', 'item_set', 'grader'), name='counts_once_per_grader'),
        ),
        migrations.AddConstraint(
            model_name='countsbygrader',
            constraint=models.CheckConstraint(condition=models.Q(('n', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('right'), '+', models.F('wrong')), '+', models.F('no_answer')), '+', models.F('truncated')))), name='counts_of_a_grader_add_up'),
        ),
        migrations.AddConstraint(
            model_name='runoutcomes',
            constraint=models.UniqueConstraint(fields=('run', 'item_set'), name='outcomes_once_per_set'),
        ),
        migrations.AddConstraint(
            model_name='runoutcomes',
            constraint=models.CheckConstraint(condition=models.Q(('size', models.Func(models.F('packed'), function='octet_length', output_field=models.IntegerField()))), name='outcomes_one_byte_per_item'),
        ),
        migrations.AddConstraint(
            model_name='runoutcomes',
            constraint=models.CheckConstraint(condition=models.Q(('n__lte', models.F('size'))), name='outcomes_n_within_size'),
        ),
        migrations.AddConstraint(
            model_name='runoutcomes',
            constraint=models.CheckConstraint(condition=models.Q(('n__gte', django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(django.db.models.expressions.CombinedExpression(models.F('right'), '+', models.F('wrong')), '+', models.F('no_answer')), '+', models.F('truncated')), '+', models.F('not_counted')))), name='outcomes_within_n'),
        ),
        migrations.AddConstraint(
            model_name='submission',
            constraint=models.UniqueConstraint(fields=('submitted_by', 'idempotency_key'), name='submission_once_per_key'),
        ),
        migrations.AddConstraint(
            model_name='submission',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('api', ''), ('budget__isnull', True), ('checkpoint__regex', '^[a-z0-9][a-z0-9._-]{0,79}$'), ('kind', 'checkpoint'), ('provider', ''), ('sealed_keys', {}), ('served_model', ''), ('url', '')), models.Q(('api__in', ['completions', 'chat']), ('checkpoint', ''), ('kind', 'endpoint'), ('provider__in', ('', 'anthropic', 'cohere', 'databricks', 'deepseek', 'fireworks_ai', 'gemini', 'groq', 'hosted_vllm', 'mistral', 'openai', 'openrouter', 'perplexity', 'together_ai', 'xai')), ('served_model__regex', '^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}$'), ('url__regex', '^https?://')), _connector='OR'), name='submission_is_one_kind'),
        ),
        migrations.AddConstraint(
            model_name='submission',
            constraint=models.CheckConstraint(condition=django.db.models.lookups.Regex(django.db.models.functions.comparison.Cast('sealed_keys', models.TextField()), '^\\{("[a-z0-9][a-z0-9._-]{0,79}": "[A-Za-z0-9+/]+={0,2}"(, )?)*\\}$'), name='submission_key_is_sealed'),
        ),
        migrations.AddConstraint(
            model_name='submission',
            constraint=models.CheckConstraint(condition=models.Q(('protocol', ''), ('protocol__regex', '^[a-z0-9][a-z0-9._-]{0,79}$'), _connector='OR'), name='submission_protocol_is_plain'),
        ),
        migrations.AddConstraint(
            model_name='submission',
            constraint=models.CheckConstraint(condition=models.Q(('fingerprint__regex', '^[0-9a-f]{64}$')), name='submission_has_fingerprint'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['state', 'lease_expires'], name='run_by_lease'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(fields=['submission', 'state'], name='run_by_submission'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('weights', ''), _negated=True), fields=['weights'], name='run_by_weights'),
        ),
        migrations.AddIndex(
            model_name='run',
            index=models.Index(condition=models.Q(('retracted', True), ('post_release', True), _connector='OR'), fields=['submission'], name='run_left_out'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['queued', 'leased', 'running', 'graded', 'ranked', 'failed', 'cancelled'])), name='run_state_is_known'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('lease_expires__isnull', False), ('state__in', ['leased', 'running'])), models.Q(models.Q(('state__in', ['leased', 'running']), _negated=True), ('lease_expires__isnull', True)), _connector='OR'), name='run_has_a_lease_while_it_is_live'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('code__regex', '^[a-z_]+$'), ('fault__in', ['ours', 'theirs']), ('state', 'failed')), models.Q(models.Q(('state', 'failed'), _negated=True), ('code', ''), ('fault', '')), _connector='OR'), name='run_has_a_code_when_it_failed'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', False), ('state__in', ['graded', 'cancelled', 'failed', 'ranked'])), models.Q(('ended_at__isnull', True), ('state__in', ['queued', 'leased', 'running'])), _connector='OR'), name='run_has_an_end_when_it_ended'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('done__lte', models.F('total'))), name='run_done_within_total'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(('attempts__gte', 1), ('token__gte', 1), ('worker__regex', '^([0-9a-f]{32})?$')), name='run_attempt_is_well_formed'),
        ),
        migrations.AddConstraint(
            model_name='run',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('retracted_at__isnull', True), ('retracted_by__isnull', True), ('retracted_why', '')), models.Q(('retracted_at__isnull', False), ('retracted_by__isnull', False), models.Q(('retracted_why', ''), _negated=True)), _connector='OR'), name='run_retraction_is_whole'),
        ),
    ]
