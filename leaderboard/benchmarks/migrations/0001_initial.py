"""Tables of the benchmarks, and triggers that refuse steps outside the table in ``states.py``."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

CHECK_STEPS = """
CREATE FUNCTION item_set_hold_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN (
        ('sealed', 'releasable'), ('releasable', 'sealed'), ('releasable', 'proposed'),
        ('proposed', 'releasable'), ('proposed', 'sealed'), ('proposed', 'released')
    ) THEN
        RAISE EXCEPTION 'no step from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER item_set_hold_steps BEFORE UPDATE ON benchmarks_itemset
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION item_set_hold_steps();
CREATE FUNCTION item_set_begin_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'sealed' THEN
        RAISE EXCEPTION 'a set begins sealed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER item_set_begin_sealed BEFORE INSERT ON benchmarks_itemset
    FOR EACH ROW EXECUTE FUNCTION item_set_begin_sealed();
CREATE FUNCTION set_pair_over_live_set() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT state FROM benchmarks_itemset WHERE id = NEW.private_id) = 'released' THEN
        RAISE EXCEPTION 'no new pair over a released set' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER set_pair_over_live_set BEFORE INSERT ON benchmarks_setpair
    FOR EACH ROW EXECUTE FUNCTION set_pair_over_live_set();
"""
DROP_CHECKS = """
DROP TRIGGER set_pair_over_live_set ON benchmarks_setpair;
DROP FUNCTION set_pair_over_live_set();
DROP TRIGGER item_set_begin_sealed ON benchmarks_itemset;
DROP FUNCTION item_set_begin_sealed();
DROP TRIGGER item_set_hold_steps ON benchmarks_itemset;
DROP FUNCTION item_set_hold_steps();
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='ItemSet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=80, unique=True)),
                ('sealed', models.BooleanField()),
                ('n', models.PositiveIntegerField()),
                ('digest', models.CharField(max_length=64)),
                ('shots', models.PositiveIntegerField(default=0)),
                ('shots_digest', models.CharField(blank=True, max_length=64)),
                ('manifest', models.JSONField(blank=True, default=dict)),
                ('head', models.TextField(blank=True)),
                ('version', models.PositiveIntegerField(default=0)),
                ('season', models.PositiveIntegerField(default=0)),
                ('state', models.CharField(choices=[('sealed', 'sealed'), ('releasable', 'releasable'), ('proposed', 'proposed'), ('released', 'released')], default='sealed', max_length=10)),
                ('evidence', models.JSONField(null=True)),
                ('registered_at', models.DateTimeField(auto_now_add=True)),
                ('proposed_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('successor', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='succeeds', to='benchmarks.itemset')),
            ],
        ),
        migrations.CreateModel(
            name='Notice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('index', models.PositiveIntegerField()),
                ('data', models.JSONField()),
                ('hash', models.CharField(max_length=64)),
                ('received', models.DateTimeField(auto_now_add=True)),
                ('item_set', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='notices', to='benchmarks.itemset')),
            ],
            options={
                'ordering': ('item_set', 'index'),
            },
        ),
        migrations.CreateModel(
            name='Release',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('folder', models.CharField(max_length=80)),
                ('statement', models.JSONField()),
                ('contents', models.JSONField()),
                ('published_at', models.DateTimeField(auto_now_add=True)),
                ('item_set', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='release', to='benchmarks.itemset')),
                ('published_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='SetPair',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('slug', models.SlugField(max_length=80, unique=True)),
                ('title', models.CharField(max_length=120)),
                ('protocol', models.CharField(max_length=80)),
                ('also', models.JSONField(blank=True, default=list)),
                ('grader', models.CharField(max_length=80)),
                ('ranked_by', models.CharField(blank=True, max_length=80)),
                ('twins_by', models.CharField(blank=True, choices=[('generator', 'generator'), ('split', 'split')], max_length=9)),
                ('adaptive', models.CharField(blank=True, choices=[('adaptive-1', 'adaptive-1')], default='', max_length=20)),
                ('stale', models.BooleanField(default=False)),
                ('withdrawn_at', models.DateTimeField(blank=True, null=True)),
                ('withdrawn_why', models.CharField(blank=True, choices=[('wrong_protocol', 'it names the wrong protocol'), ('wrong_grader', 'it names the wrong grader'), ('wrong_sets', 'it pairs the wrong sets'), ('duplicate', 'another pair is the same'), ('not_needed', 'it is not needed any more')], max_length=20)),
                ('registered_at', models.DateTimeField(auto_now_add=True)),
                ('private', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='as_private', to='benchmarks.itemset')),
                ('public', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='as_public', to='benchmarks.itemset')),
                ('withdrawn_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
        ),
        migrations.CreateModel(
            name='SetStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('old', models.CharField(max_length=10)),
                ('new', models.CharField(max_length=10)),
                ('moment', models.DateTimeField(auto_now_add=True)),
                ('by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('item_set', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='steps', to='benchmarks.itemset')),
            ],
        ),
        migrations.AddConstraint(
            model_name='itemset',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['sealed', 'releasable', 'proposed', 'released'])), name='item_set_state_is_known'),
        ),
        migrations.AddConstraint(
            model_name='itemset',
            constraint=models.CheckConstraint(condition=models.Q(('sealed', True), models.Q(('season', 0), ('state', 'sealed'), ('successor__isnull', True)), _connector='OR'), name='item_set_is_released_only_if_sealed'),
        ),
        migrations.AddConstraint(
            model_name='itemset',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('evidence__isnull', False), ('proposed_by__isnull', False), ('state__in', ['proposed', 'released'])), models.Q(('evidence__isnull', True), ('proposed_by__isnull', True), ('state__in', ['sealed', 'releasable'])), _connector='OR'), name='item_set_is_proposed_over_evidence'),
        ),
        migrations.AddConstraint(
            model_name='itemset',
            constraint=models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9][a-z0-9._-]{0,79}$')), name='item_set_name_is_plain'),
        ),
        migrations.AddConstraint(
            model_name='itemset',
            constraint=models.CheckConstraint(condition=models.Q(('digest__regex', '^[0-9a-f]{64}$')), name='item_set_digest_is_sha256'),
        ),
        migrations.AddConstraint(
            model_name='itemset',
            constraint=models.CheckConstraint(condition=models.Q(('n__gte', 1), ('n__lte', 1000000)), name='item_set_has_items'),
        ),
        migrations.AddConstraint(
            model_name='itemset',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('shots', 0), ('shots_digest', '')), models.Q(('shots__gte', 1), ('shots_digest__regex', '^[0-9a-f]{64}$')), _connector='OR'), name='item_set_shots_have_a_digest'),
        ),
        migrations.AddConstraint(
            model_name='notice',
            constraint=models.UniqueConstraint(fields=('item_set', 'index'), name='notice_once_per_index'),
        ),
        migrations.AddConstraint(
            model_name='setpair',
            constraint=models.CheckConstraint(condition=models.Q(('public', models.F('private')), _negated=True), name='set_pair_has_two_different_sets'),
        ),
        migrations.AddConstraint(
            model_name='setpair',
            constraint=models.CheckConstraint(condition=models.Q(('protocol__regex', '^[a-z0-9][a-z0-9._-]{0,79}$')), name='set_pair_protocol_is_plain'),
        ),
        migrations.AddConstraint(
            model_name='setpair',
            constraint=models.CheckConstraint(condition=models.Q(('grader__regex', '^[a-z0-9][a-z0-9._-]{0,79}$')), name='set_pair_grader_is_plain'),
        ),
        migrations.AddConstraint(
            model_name='setpair',
            constraint=models.CheckConstraint(condition=models.Q(('ranked_by', ''), ('ranked_by__regex', '^[a-z0-9][a-z0-9._-]{0,79}$'), _connector='OR'), name='set_pair_ranked_by_is_plain'),
        ),
        migrations.AddConstraint(
            model_name='setpair',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('withdrawn_at__isnull', True), ('withdrawn_by__isnull', True), ('withdrawn_why', '')), models.Q(('withdrawn_at__isnull', False), ('withdrawn_by__isnull', False), ('withdrawn_why__in', ['wrong_protocol', 'wrong_grader', 'wrong_sets', 'duplicate', 'not_needed'])), _connector='OR'), name='set_pair_withdrawal_is_whole'),
        ),
        migrations.RunSQL(CHECK_STEPS, DROP_CHECKS),
    ]
