"""Roll-ups keep the levels with which a day ends, from the first that a dispenser says."""

from django.db import migrations, models

from analytics import rollups

FUNCTION = rollups.LEVELS.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
TRIGGER = rollups.LEVELS_TRIGGER.replace("CREATE TRIGGER", "CREATE OR REPLACE TRIGGER")
# As the migrations before made them.
FORMER = """
CREATE OR REPLACE FUNCTION rollup_levels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO device_rollups AS r (user_id, device_id, local_date, battery_used, supplement_used)
  VALUES (NEW.user_id, NEW.id, (NEW.updated_at AT TIME ZONE NEW.timezone)::date,
          CASE WHEN NEW.battery_level - OLD.battery_level < 20
               THEN OLD.battery_level - NEW.battery_level ELSE 0 END,
          CASE WHEN NEW.supplement_level - OLD.supplement_level < 20
               THEN OLD.supplement_level - NEW.supplement_level ELSE 0 END)
  ON CONFLICT (device_id, local_date) DO UPDATE SET
    battery_used = r.battery_used + excluded.battery_used,
    supplement_used = r.supplement_used + excluded.supplement_used;
  RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER rollup_levels AFTER UPDATE OF battery_level, supplement_level ON devices
  FOR EACH ROW WHEN (OLD.levels_at IS NOT NULL AND (OLD.battery_level, OLD.supplement_level)
                     IS DISTINCT FROM (NEW.battery_level, NEW.supplement_level))
  EXECUTE FUNCTION rollup_levels();
"""


class Migration(migrations.Migration):
    dependencies = (("analytics", "0005_rollups_of_a_day"),)
    operations = (
        migrations.AddField("devicerollup", "battery_level", models.PositiveSmallIntegerField(null=True)),
        migrations.AddField("devicerollup", "supplement_level", models.PositiveSmallIntegerField(null=True)),
        migrations.RunSQL(FUNCTION + TRIGGER, FORMER),
    )
