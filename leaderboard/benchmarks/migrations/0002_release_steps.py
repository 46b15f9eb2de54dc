"""The table of steps of a pair's release (``leaderboard.benchmarks.states``), held by the database as well."""

from django.db import migrations

HOLD_STEPS = """
CREATE FUNCTION set_pair_hold_steps() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER set_pair_hold_steps BEFORE UPDATE ON benchmarks_setpair
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION set_pair_hold_steps();
CREATE FUNCTION set_pair_begin_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state <> 'sealed' THEN
        RAISE EXCEPTION 'a pair begins sealed' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER set_pair_begin_sealed BEFORE INSERT ON benchmarks_setpair
    FOR EACH ROW EXECUTE FUNCTION set_pair_begin_sealed();
"""
LET_GO = """
DROP TRIGGER set_pair_begin_sealed ON benchmarks_setpair;
DROP FUNCTION set_pair_begin_sealed();
DROP TRIGGER set_pair_hold_steps ON benchmarks_setpair;
DROP FUNCTION set_pair_hold_steps();
"""


class Migration(migrations.Migration):
    """Two triggers on the pairs' table."""

    dependencies = [("benchmarks", "0001_initial")]
    operations = [migrations.RunSQL(HOLD_STEPS, LET_GO)]
