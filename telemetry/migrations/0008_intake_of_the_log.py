from django.db import migrations

# The log is changed in many ways: a dose is confirmed, assumed, reported late, answered by a person, taken by
# hand, corrected, deleted. Counting here, no way can be forgotten (api.md 6, "What counts").
COUNTING = """
CREATE FUNCTION intake_of(action text, confirmation text, metadata jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE
    WHEN action = 'dose_taken_manual' AND metadata ? 'dispense_id' THEN 'taken'
    WHEN action <> 'dose_dispensed' THEN NULL
    WHEN confirmation IN ('device', 'assumed') THEN 'taken'
    WHEN confirmation = 'user' AND metadata ->> 'resolved_as' = 'taken' THEN 'taken'
    WHEN confirmation = 'none' THEN 'unknown' END
$$;

CREATE FUNCTION count_intake() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  was text := CASE WHEN TG_OP <> 'INSERT' THEN intake_of(OLD.action, OLD.confirmation, OLD.metadata) END;
  is_now text := CASE WHEN TG_OP <> 'DELETE' THEN intake_of(NEW.action, NEW.confirmation, NEW.metadata) END;
BEGIN
  IF TG_OP = 'UPDATE' AND was IS NOT DISTINCT FROM is_now AND OLD.local_date = NEW.local_date THEN
    RETURN NULL;
  END IF;
  IF was IS NOT NULL THEN
    UPDATE intake_days SET taken = taken - (was = 'taken')::int, unknown = unknown - (was = 'unknown')::int,
           unseen = greatest(0, unseen - (was = 'taken')::int)
     WHERE user_id = OLD.user_id AND local_date = OLD.local_date;
  END IF;
  IF is_now IS NOT NULL THEN
    INSERT INTO intake_days AS d (user_id, local_date, taken, unknown, unseen)
    VALUES (NEW.user_id, NEW.local_date, (is_now = 'taken')::int, (is_now = 'unknown')::int,
            (is_now = 'taken')::int)
    ON CONFLICT (user_id, local_date) DO UPDATE SET
      taken = d.taken + excluded.taken, unknown = d.unknown + excluded.unknown, unseen = d.unseen + excluded.unseen;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER count_intake AFTER INSERT OR DELETE OR UPDATE OF action, confirmation, metadata, local_date
  ON activity_logs FOR EACH ROW EXECUTE FUNCTION count_intake();

INSERT INTO intake_days (user_id, local_date, taken, unknown)
SELECT user_id, local_date, count(*) FILTER (WHERE intake = 'taken'), count(*) FILTER (WHERE intake = 'unknown')
  FROM (SELECT user_id, local_date, intake_of(action, confirmation, metadata) AS intake FROM activity_logs) AS logged
 WHERE intake IS NOT NULL GROUP BY user_id, local_date;
"""
DROP = """
DROP TRIGGER count_intake ON activity_logs;
DROP FUNCTION count_intake(), intake_of(text, text, jsonb);
"""


class Migration(migrations.Migration):

    dependencies = [
        ('telemetry', '0007_journals'),
        ('notifications', '0006_alerts_and_intake'),
    ]

    operations = [
        migrations.RunSQL(COUNTING, DROP),
    ]
