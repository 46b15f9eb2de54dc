"""Triggers that write down each step of a run and each outcome, in a schema apart from the site's tables.

The site knows nothing of them. Without them no check could tell which attempt an outcome came from, since the
packed column holds outcomes alone.
"""

from collections.abc import Callable

INSTALL = """
CREATE SCHEMA audit;
CREATE TABLE audit.step (
    id bigserial, run uuid, old text, new text, old_token int, token int, old_attempts int,
    attempts int, lapsed boolean, at timestamptz DEFAULT clock_timestamp()
);
CREATE TABLE audit.report (
    id bigserial, xid xid8, run uuid, token int, worker text
);
CREATE TABLE audit.outcome (
    id bigserial, run uuid, item_set bigint, item int, old int, value int, token int, worker text,
    from_token int, from_worker text, at timestamptz DEFAULT clock_timestamp()
);
CREATE TABLE audit.change (id bigserial, run uuid, state text);
CREATE TABLE audit.set_step (id bigserial, item_set text, old text, new text);

CREATE FUNCTION audit.write_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.step (run, old, new, old_token, token, old_attempts, attempts, lapsed)
    VALUES (new.id, old.state, new.state, old.token, new.token, old.attempts, new.attempts,
            COALESCE(old.lease_expires < clock_timestamp(), false));
    RETURN NULL;
END $$;
CREATE TRIGGER audit_step AFTER UPDATE ON submissions_run FOR EACH ROW
WHEN ((old.state, old.token, old.attempts) IS DISTINCT FROM (new.state, new.token, new.attempts))
EXECUTE FUNCTION audit.write_step();

CREATE FUNCTION audit.write_report() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.report (xid, run, token, worker)
    VALUES (pg_current_xact_id(), new.run_id, new.token, new.worker);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_report AFTER INSERT ON submissions_receipt FOR EACH ROW
EXECUTE FUNCTION audit.write_report();

CREATE FUNCTION audit.write_outcomes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE holder record; sender record;
BEGIN
    SELECT token, worker INTO holder FROM submissions_run WHERE id = new.run_id;
    SELECT token, worker INTO sender FROM audit.report
    WHERE xid = pg_current_xact_id() AND run = new.run_id ORDER BY id DESC LIMIT 1;
    INSERT INTO audit.outcome (run, item_set, item, old, value, token, worker, from_token, from_worker)
    SELECT new.run_id, new.item_set_id, item, get_byte(old.packed, item), get_byte(new.packed, item),
           holder.token, holder.worker, sender.token, sender.worker
    FROM generate_series(0, length(new.packed) - 1) AS item
    WHERE get_byte(old.packed, item) <> get_byte(new.packed, item)
      AND get_byte(new.packed, item) BETWEEN 1 AND 5;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_outcomes AFTER UPDATE OF packed ON submissions_runoutcomes FOR EACH ROW
EXECUTE FUNCTION audit.write_outcomes();

CREATE FUNCTION audit.write_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.change (run, state) VALUES (new.run_id, new.state);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_change AFTER INSERT ON submissions_statechange FOR EACH ROW
EXECUTE FUNCTION audit.write_change();

CREATE FUNCTION audit.write_set_step() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit.set_step (item_set, old, new) VALUES (new.name, old.state, new.state);
    RETURN NULL;
END $$;
CREATE TRIGGER audit_set_step AFTER UPDATE OF state ON benchmarks_itemset FOR EACH ROW
WHEN (old.state <> new.state) EXECUTE FUNCTION audit.write_set_step();
"""

REMOVE = "DROP SCHEMA IF EXISTS audit CASCADE"


def install(execute: Callable[[str], object]) -> None:
    """Make the schema and its triggers, on a database that has the site's tables."""
    execute(REMOVE)
    execute(INSTALL)
