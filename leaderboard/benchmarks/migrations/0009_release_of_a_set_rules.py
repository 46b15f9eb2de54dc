"""The pairs lose what is the sets' now; the table of steps is held by triggers on the sets."""

import django.db.models.deletion
from django.db import migrations, models

LET_GO = """
DROP TRIGGER set_pair_begin_sealed ON benchmarks_setpair;
DROP FUNCTION set_pair_begin_sealed();
DROP TRIGGER set_pair_hold_steps ON benchmarks_setpair;
DROP FUNCTION set_pair_hold_steps();
"""
HOLD_STEPS = """
CREATE FUNCTION item_set_hold_steps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.state, NEW.state) NOT IN (
        ('sealed', 'releasable'), ('releasable', 'sealed'), ('releasable', 'proposed'), ('proposed', 'releasable'),
        ('proposed', 'sealed'), ('proposed', 'released')
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


class Migration(migrations.Migration):

    dependencies = [("benchmarks", "0008_release_of_a_set_data")]

    operations = [
        migrations.RunSQL(LET_GO),
        migrations.RemoveConstraint("setpair", "set_pair_state_is_known"),
        migrations.RemoveConstraint("setpair", "set_pair_is_proposed_over_evidence"),
        *(
            migrations.RemoveField("setpair", name)
            for name in ("season", "state", "successor", "evidence", "proposed_by")
        ),
        migrations.RemoveField("setstep", "pair"),
        migrations.RemoveField("release", "pair"),
        migrations.AlterField(
            "setstep",
            "item_set",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="steps", to="benchmarks.itemset"
            ),
        ),
        migrations.AlterField(
            "release",
            "item_set",
            models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="release", to="benchmarks.itemset"
            ),
        ),
        migrations.RunSQL(HOLD_STEPS),
    ]
