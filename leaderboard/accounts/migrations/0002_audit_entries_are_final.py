from django.db import migrations

FORWARD = """
CREATE FUNCTION accounts_audit_is_final() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'entries of the audit log are final' USING ERRCODE = 'raise_exception';
END $$;
CREATE TRIGGER audit_entry_is_final BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION accounts_audit_is_final();
CREATE TRIGGER audit_log_is_final BEFORE TRUNCATE ON accounts_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_audit_is_final();
"""
BACKWARD = """
DROP TRIGGER audit_log_is_final ON accounts_auditentry;
DROP TRIGGER audit_entry_is_final ON accounts_auditentry;
DROP FUNCTION accounts_audit_is_final();
"""


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
