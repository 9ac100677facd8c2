"""The SQL that keeps the roll-ups: triggers on the log and on dispensers (ADR 0015).

They run within the statement that changes a dose or a dispenser, whichever app sends it, and add or take
away what the one row counts for, so that concurrent changes of a day add up.

No dose waits for its sum: where one cannot be kept, the server's log has a warning, and `rebuild_rollups --check`
finds the day.
"""

DOSES = "('dose_dispensed', 'dose_taken_manual', 'dose_failed')"
# A rise of a level by so much is a refill or a charge, as for the alerts (api.md 3).
REFILL_POINTS = 20

# What one line of the log counts for: the table of api.md 6. A person's answer outweighs a missing word. Nothing
# here is ever null.
COUNTED = """
    CASE WHEN device_id IS NULL AND metadata ? 'dispense_id' THEN metadata ->> 'supplement' END AS supplement,
    (action = 'dose_dispensed')::int AS dispensed,
    (action = 'dose_taken_manual')::int AS manual,
    (action = 'dose_failed')::int AS failed,
    CASE action
      WHEN 'dose_dispensed' THEN
        coalesce(metadata ->> 'resolved_as' = 'taken', confirmation IN ('device', 'assumed', 'user'), false)::int
      WHEN 'dose_taken_manual' THEN (metadata ? 'dispense_id')::int
      ELSE 0 END AS taken,
    (action = 'dose_dispensed' AND NOT metadata ? 'resolved_as'
     AND confirmation IS NOT DISTINCT FROM 'none')::int AS unknown,
    (action = 'dose_dispensed' AND NOT metadata ? 'resolved_as'
     AND confirmation IS NOT DISTINCT FROM 'pending')::int AS pending,
    CASE WHEN action <> 'dose_failed' AND dose_amount ~ '^[0-9]+([.][0-9]+)?ml$'
         THEN rtrim(dose_amount, 'ml')::numeric ELSE 0 END AS amount_ml"""
FIGURES = ("dispensed", "manual", "failed", "taken", "unknown", "pending", "amount_ml")

# The row of a day without lines goes, or the roll-ups would differ from the log.
ADD_LINE = f"""
CREATE FUNCTION rollup_add(sign integer, owner uuid, day date, device_id uuid, action text, confirmation text,
                           dose_amount text, metadata jsonb) RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  named text;
BEGIN
  INSERT INTO dose_rollups AS r (user_id, local_date, device_id, supplement, {", ".join(FIGURES)})
  SELECT owner, day, line.device_id, line.supplement, {", ".join(f"sign * line.{name}" for name in FIGURES)}
    FROM (SELECT device_id, {COUNTED}
            FROM (SELECT $4 AS device_id, $5 AS action, $6 AS confirmation, $7 AS dose_amount, $8 AS metadata) one
         ) line
  ON CONFLICT (user_id, local_date, device_id, supplement)
  DO UPDATE SET {", ".join(f"{name} = r.{name} + excluded.{name}" for name in FIGURES)}
  RETURNING r.supplement INTO named;
  IF sign < 0 THEN
    DELETE FROM dose_rollups r
     WHERE r.user_id = owner AND r.local_date = day AND r.device_id IS NOT DISTINCT FROM $4
       AND r.supplement IS NOT DISTINCT FROM named AND r.dispensed = 0 AND r.manual = 0 AND r.failed = 0;
  END IF;
END $$;
"""
LINE_CHANGED = f"""
CREATE FUNCTION rollup_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP <> 'INSERT' AND OLD.action IN {DOSES} THEN
    PERFORM rollup_add(-1, OLD.user_id, OLD.local_date, OLD.device_id, OLD.action, OLD.confirmation,
                       OLD.dose_amount, OLD.metadata);
  END IF;
  IF TG_OP <> 'DELETE' AND NEW.action IN {DOSES} THEN
    PERFORM rollup_add(1, NEW.user_id, NEW.local_date, NEW.device_id, NEW.action, NEW.confirmation,
                       NEW.dose_amount, NEW.metadata);
  END IF;
  RETURN NULL;
EXCEPTION WHEN others THEN
  RAISE WARNING 'the roll-ups lack a line of %: %', coalesce(NEW.user_id, OLD.user_id), SQLERRM;
  RETURN NULL;
END $$;
"""
LINE_TRIGGERS = f"""
CREATE TRIGGER rollup_new AFTER INSERT ON activity_logs
  FOR EACH ROW WHEN (NEW.action IN {DOSES}) EXECUTE FUNCTION rollup_line();
CREATE TRIGGER rollup_gone AFTER DELETE ON activity_logs
  FOR EACH ROW WHEN (OLD.action IN {DOSES}) EXECUTE FUNCTION rollup_line();
CREATE TRIGGER rollup_changed AFTER UPDATE OF user_id, device_id, action, dose_amount, confirmation, local_date,
                                              metadata ON activity_logs
  FOR EACH ROW WHEN (OLD.action IN {DOSES} OR NEW.action IN {DOSES}) EXECUTE FUNCTION rollup_line();
"""

# `devices.plans.Plan.local_date`: a new zone waits for the next local day.
PLAN_DAY = """
CREATE FUNCTION plan_day(plan jsonb, zone text, at timestamptz) RETURNS date LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN at < change.due_at
              THEN least((at AT TIME ZONE (plan #>> '{zone_change,former}'))::date,
                         (change.due_at AT TIME ZONE zone)::date - 1)
              ELSE (at AT TIME ZONE zone)::date END
    FROM (SELECT (plan #>> '{zone_change,at}')::timestamptz AS due_at) change
$$;
"""
# What holds when a local day ends counts for that day: an edit replaces the row of its day, a pause those
# of the days on whose end it lasts.
EXPECT = """
CREATE FUNCTION expect_doses(device devices, at timestamptz, living boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  today date := plan_day(device.plan, device.timezone, at);
  until timestamptz := device.plan ->> 'paused_until';
  resumes date := CASE WHEN until > at THEN plan_day(device.plan, device.timezone, until) END;
  planned integer := coalesce((device.plan ->> 'target_per_day')::int, 0);
  target integer := CASE WHEN living AND device.is_active THEN planned ELSE 0 END;
  most integer := coalesce((device.plan ->> 'max_per_day')::int, planned);
  registered date;
BEGIN
  SELECT min(e.first_day) INTO registered FROM expected_doses e WHERE e.device_id = device.id;
  registered := coalesce(registered, plan_day(device.plan, device.timezone, device.created_at));
  IF resumes = today THEN
    resumes := NULL;
  END IF;
  -- The end of a former pause, or none: a local date never goes back.
  DELETE FROM expected_doses e WHERE e.device_id = device.id AND e.first_day > today;
  INSERT INTO expected_doses (user_id, device_id, device_type, registered_on, first_day, per_day, max_per_day)
  SELECT device.user_id, device.id, device.device_type, registered, day, per_day, most
    FROM (VALUES (today, CASE WHEN resumes IS NULL THEN target ELSE 0 END),
                 (resumes, nullif(target, 0))) AS v (day, per_day)
   WHERE day IS NOT NULL AND per_day IS NOT NULL
  ON CONFLICT (device_id, first_day) DO UPDATE SET per_day = excluded.per_day, max_per_day = excluded.max_per_day;
  -- Most edits of a plan change neither.
  DELETE FROM expected_doses e USING expected_doses before
   WHERE e.device_id = device.id AND e.first_day = today AND before.device_id = device.id
     AND before.first_day = (SELECT max(first_day) FROM expected_doses
                              WHERE device_id = device.id AND first_day < today)
     AND (before.per_day, before.max_per_day) = (e.per_day, e.max_per_day);
END $$;
"""
PRESENCE = """
CREATE FUNCTION rollup_presence(device devices, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz;
BEGIN
  IF device.is_connected THEN
    INSERT INTO device_rollups (user_id, device_id, local_date, connected_since)
    VALUES (device.user_id, device.id, (at AT TIME ZONE device.timezone)::date, at)
    ON CONFLICT (device_id, local_date) DO UPDATE SET connected_since = excluded.connected_since;
    RETURN;
  END IF;
  SELECT r.connected_since INTO since FROM device_rollups r
   WHERE r.device_id = device.id AND r.connected_since IS NOT NULL;
  UPDATE device_rollups r SET connected_since = NULL
   WHERE r.device_id = device.id AND r.connected_since IS NOT NULL;
  INSERT INTO device_rollups AS r (user_id, device_id, local_date, connected_ms, disconnects)
  SELECT device.user_id, device.id, day::date, greatest(0, 1000 * extract(epoch FROM
             least(at, (day + interval '1 day') AT TIME ZONE device.timezone)
             - greatest(coalesce(since, at), day AT TIME ZONE device.timezone)))::bigint,
         (day::date = (at AT TIME ZONE device.timezone)::date)::int
    FROM generate_series(date_trunc('day', coalesce(since, at) AT TIME ZONE device.timezone),
                         date_trunc('day', at AT TIME ZONE device.timezone), interval '1 day') AS day
  ON CONFLICT (device_id, local_date) DO UPDATE SET
    connected_ms = r.connected_ms + excluded.connected_ms, disconnects = r.disconnects + excluded.disconnects;
END $$;
"""
DEVICE_CHANGED = """
CREATE FUNCTION rollup_device() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    -- Whoever removed it has switched it off before, at a time of its own; this is for all other ways.
    PERFORM expect_doses(OLD, greatest(OLD.updated_at, now()), false) FROM expected_doses e
      WHERE e.device_id = OLD.id AND e.per_day > 0
        AND e.first_day = (SELECT max(first_day) FROM expected_doses WHERE device_id = OLD.id);
    DELETE FROM device_rollups WHERE device_id = OLD.id;
    RETURN NULL;
  END IF;
  IF TG_OP = 'INSERT' THEN
    PERFORM expect_doses(NEW, NEW.created_at, true);
    IF NEW.is_connected THEN
      PERFORM rollup_presence(NEW, NEW.updated_at);
    END IF;
    RETURN NULL;
  END IF;
  IF (OLD.plan, OLD.is_active, OLD.timezone) IS DISTINCT FROM (NEW.plan, NEW.is_active, NEW.timezone) THEN
    PERFORM expect_doses(NEW, NEW.updated_at, true);
  END IF;
  IF OLD.is_connected <> NEW.is_connected THEN
    PERFORM rollup_presence(NEW, NEW.updated_at);
  END IF;
  RETURN NULL;
EXCEPTION WHEN others THEN
  RAISE WARNING 'the roll-ups lack a change of device %: %', coalesce(NEW.id, OLD.id), SQLERRM;
  RETURN NULL;
END $$;
"""
DEVICE_TRIGGERS = """
CREATE TRIGGER rollup_device AFTER INSERT OR DELETE ON devices FOR EACH ROW EXECUTE FUNCTION rollup_device();
CREATE TRIGGER rollup_device_changed AFTER UPDATE OF plan, is_active, timezone, is_connected ON devices
  FOR EACH ROW WHEN ((OLD.plan, OLD.is_active, OLD.timezone, OLD.is_connected)
                     IS DISTINCT FROM (NEW.plan, NEW.is_active, NEW.timezone, NEW.is_connected))
  EXECUTE FUNCTION rollup_device();
"""
LEVELS = f"""
CREATE FUNCTION rollup_levels() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO device_rollups AS r (user_id, device_id, local_date, battery_used, supplement_used, battery_level,
                                   supplement_level)
  VALUES (NEW.user_id, NEW.id, (NEW.updated_at AT TIME ZONE NEW.timezone)::date,
          CASE WHEN OLD.levels_at IS NOT NULL AND NEW.battery_level - OLD.battery_level < {REFILL_POINTS}
               THEN OLD.battery_level - NEW.battery_level ELSE 0 END,
          CASE WHEN OLD.levels_at IS NOT NULL AND NEW.supplement_level - OLD.supplement_level < {REFILL_POINTS}
               THEN OLD.supplement_level - NEW.supplement_level ELSE 0 END,
          NEW.battery_level, NEW.supplement_level)
  ON CONFLICT (device_id, local_date) DO UPDATE SET
    battery_used = r.battery_used + excluded.battery_used,
    supplement_used = r.supplement_used + excluded.supplement_used,
    battery_level = excluded.battery_level, supplement_level = excluded.supplement_level;
  RETURN NULL;
END $$;
"""
# The levels of a dispenser that has never spoken are no sample; the first that it says are no use of anything.
LEVELS_TRIGGER = """
CREATE TRIGGER rollup_levels AFTER UPDATE OF battery_level, supplement_level, levels_at ON devices
  FOR EACH ROW WHEN ((OLD.levels_at IS NULL AND NEW.levels_at IS NOT NULL)
                     OR (OLD.levels_at IS NOT NULL AND (OLD.battery_level, OLD.supplement_level)
                         IS DISTINCT FROM (NEW.battery_level, NEW.supplement_level)))
  EXECUTE FUNCTION rollup_levels();
"""

# What the log says of the doses of one person, or of everybody.
RAW_DOSES = f"""
SELECT user_id, local_date, device_id, supplement, {", ".join(f"sum({name}) AS {name}" for name in FIGURES)}
  FROM (SELECT user_id, local_date, device_id, {COUNTED} FROM activity_logs
         WHERE action IN {DOSES} AND (%(user_id)s::uuid IS NULL OR user_id = %(user_id)s)) lines
 GROUP BY user_id, local_date, device_id, supplement"""
COLUMNS = f"user_id, local_date, device_id, supplement, {', '.join(FIGURES)}"

# What is known of dispensers that were there before their roll-ups: the plan as it is.
FILL_DOSES = f"INSERT INTO dose_rollups ({COLUMNS}) {RAW_DOSES}"
FILL_DEVICES = """
INSERT INTO expected_doses (user_id, device_id, device_type, registered_on, first_day, per_day, max_per_day)
SELECT user_id, id, device_type, plan_day(plan, timezone, created_at), plan_day(plan, timezone, created_at),
       (plan ->> 'target_per_day')::int, (plan ->> 'max_per_day')::int FROM devices;
SELECT expect_doses(d, now(), true) FROM devices d;
INSERT INTO device_rollups (user_id, device_id, local_date, connected_since)
SELECT user_id, id, (now() AT TIME ZONE timezone)::date, now() FROM devices WHERE is_connected;
"""

DOSE_SUMS = ADD_LINE + LINE_CHANGED + LINE_TRIGGERS
DEVICE_DAYS = PLAN_DAY + EXPECT + PRESENCE + DEVICE_CHANGED + DEVICE_TRIGGERS + LEVELS + LEVELS_TRIGGER
CREATE = DOSE_SUMS + DEVICE_DAYS
DROP = """
DROP TRIGGER rollup_new ON activity_logs; DROP TRIGGER rollup_gone ON activity_logs;
DROP TRIGGER rollup_changed ON activity_logs; DROP TRIGGER rollup_device ON devices;
DROP TRIGGER rollup_device_changed ON devices; DROP TRIGGER rollup_levels ON devices;
DROP FUNCTION rollup_line(); DROP FUNCTION rollup_device(); DROP FUNCTION rollup_levels();
DROP FUNCTION rollup_presence(devices, timestamptz); DROP FUNCTION expect_doses(devices, timestamptz, boolean);
DROP FUNCTION plan_day(jsonb, text, timestamptz);
DROP FUNCTION rollup_add(integer, uuid, date, uuid, text, text, text, jsonb);
"""
