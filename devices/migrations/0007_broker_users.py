from django.db import migrations

# Whoever writes the broker's password file listens; one notification a transaction, whatever it changed.
TRIGGER = """
CREATE FUNCTION notify_broker_users() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('broker_users', '');
  RETURN NULL;
END $$;
CREATE TRIGGER broker_users AFTER UPDATE OR DELETE ON device_credentials
  FOR EACH STATEMENT EXECUTE FUNCTION notify_broker_users();
"""
DROP = "DROP TRIGGER broker_users ON device_credentials; DROP FUNCTION notify_broker_users();"


class Migration(migrations.Migration):
    dependencies = [
        ("devices", "0006_commands"),
    ]

    operations = [
        migrations.RunSQL(TRIGGER, DROP),
    ]
