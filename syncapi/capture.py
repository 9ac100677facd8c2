"""The SQL of the commit-time clock: what the migrations put into the database (docs/contract/sync.md).

A deferred constraint trigger on every synced table runs at COMMIT, takes the next stamp of the owner's
clock and writes one row per object into the change log. The clock's row lock is held until the
transaction is visible to others; therefore, for one user, the order of stamps is the order in which
changes become visible, and nothing can later commit with a stamp that a reader has passed.
"""

from dataclasses import dataclass

from django.db.migrations import RunSQL

TABLES = """
CREATE TABLE sync_clock (
  user_id uuid PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
  ts timestamptz(3) NOT NULL,                              -- the last stamp handed out, never going back
  horizon timestamptz(3) NOT NULL DEFAULT '0001-01-02 00:00:00+00', -- the stamp of the newest purged tombstone
  owner_xid xid8 NOT NULL,                                 -- the transaction that took `ts` ...
  stamped integer NOT NULL                                 -- ... and how many rows carry it
) WITH (fillfactor = 50);
CREATE TABLE sync_change (
  user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  kind text NOT NULL,
  object_id uuid NOT NULL,
  ts timestamptz(3) NOT NULL,
  created_ts timestamptz(3) NOT NULL,
  op "char" NOT NULL CHECK (op IN ('U', 'D')),             -- U: the object lives, D: a tombstone
  part timestamptz,                                        -- the partition key of the object's row
  fields jsonb,                                            -- stamp of the last change of each editable field
  PRIMARY KEY (user_id, kind, object_id)
);
CREATE INDEX sync_change_feed ON sync_change (user_id, ts) INCLUDE (kind, object_id, op, part);
"""

# A transaction keeps one stamp for up to `group_size` rows, so that a page can never be unbounded.
# `ts >= now()` rejects an xid that a restore from a dump has made to look like ours.
TICK = """
CREATE FUNCTION sync_tick(owner uuid, group_size integer DEFAULT 200) RETURNS timestamptz
LANGUAGE plpgsql AS $$
DECLARE
  stamp timestamptz(3);
  wall timestamptz(3) := date_trunc('milliseconds', clock_timestamp());
BEGIN
  UPDATE sync_clock c SET
    ts = CASE WHEN shared THEN c.ts ELSE greatest(wall, c.ts + interval '1 ms') END,
    stamped = CASE WHEN shared THEN c.stamped + 1 ELSE 1 END,
    owner_xid = pg_current_xact_id()
  FROM (SELECT k.user_id, k.owner_xid = pg_current_xact_id() AND k.stamped < group_size
               AND k.ts >= date_trunc('milliseconds', now()) AS shared
          FROM sync_clock k WHERE k.user_id = owner FOR UPDATE) AS before
  WHERE c.user_id = before.user_id
  RETURNING c.ts INTO stamp;
  IF stamp IS NULL THEN
    -- The first change of this user; or the user is deleted in this transaction, then nothing is kept.
    INSERT INTO sync_clock (user_id, ts, owner_xid, stamped)
      SELECT id, wall, pg_current_xact_id(), 1 FROM users WHERE id = owner
    ON CONFLICT (user_id) DO UPDATE SET
      ts = greatest(wall, sync_clock.ts + interval '1 ms'), owner_xid = pg_current_xact_id(), stamped = 1
    RETURNING ts INTO stamp;
  END IF;
  RETURN stamp;
END $$;
"""

# What people may edit of a dispenser.
DEVICE_EDITS = "device_name,location,is_active,settings"


def _row(name: str) -> str:
    return f"ROW({', '.join(f'{name}.{column}' for column in ('user_id', *DEVICE_EDITS.split(',')))})"


# Arguments of the trigger: kind, id column, owner column, partition column or '', editable fields or ''.
CAPTURE = f"""
CREATE FUNCTION sync_capture() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  before jsonb;
  after jsonb;
  old_owner uuid;
  new_owner uuid;
  stamp timestamptz(3);
  edited jsonb;
  object uuid;
  part timestamptz;
  reported boolean := false;
  told boolean;
BEGIN
  -- What a dispenser reports changes neither its owner nor anything that people edit. To turn both rows into
  -- JSON would cost more than all the rest.
  IF TG_OP = 'UPDATE' AND TG_ARGV[0] IN ('device', 'device_state') THEN
    reported := {_row("OLD")} IS NOT DISTINCT FROM {_row("NEW")};
  END IF;
  -- What many hear of at once.
  told := TG_OP = 'INSERT' AND TG_ARGV[0] = 'notification';
  IF reported OR told THEN
    -- Its line may have been stamped already, by `sync_report` or `sync_told` in this very transaction: with its
    -- owner's clock, which is ours until we are visible. A line that a savepoint took back is not of this
    -- transaction.
    IF EXISTS (SELECT FROM sync_change c
                WHERE c.user_id = NEW.user_id AND c.kind = TG_ARGV[0] AND c.object_id = NEW.id AND c.op = 'U'
                  AND c.xmin = pg_current_xact_id()::xid AND c.ts >= date_trunc('milliseconds', now())) THEN
      RETURN NULL;
    END IF;
    new_owner := NEW.user_id;
    object := NEW.id;
  ELSE
    IF TG_OP <> 'INSERT' THEN
      before := to_jsonb(OLD);
      old_owner := before ->> TG_ARGV[2];
    END IF;
    IF TG_OP <> 'DELETE' THEN
      after := to_jsonb(NEW);
      new_owner := after ->> TG_ARGV[2];
      object := after ->> TG_ARGV[1];
      part := CASE WHEN TG_ARGV[3] <> '' THEN (after ->> TG_ARGV[3])::timestamptz END;
    END IF;
    IF old_owner <> new_owner THEN
      -- Two clocks are always locked in the order of their ids.
      PERFORM sync_tick(least(old_owner, new_owner));
      PERFORM sync_tick(greatest(old_owner, new_owner));
    END IF;
    IF old_owner IS DISTINCT FROM new_owner AND old_owner IS NOT NULL THEN
      stamp := sync_tick(old_owner);
      IF stamp IS NOT NULL THEN
        INSERT INTO sync_change (user_id, kind, object_id, ts, created_ts, op)
        VALUES (old_owner, TG_ARGV[0], (before ->> TG_ARGV[1])::uuid, stamp, stamp, 'D')
        ON CONFLICT (user_id, kind, object_id)
        DO UPDATE SET ts = excluded.ts, op = 'D', part = NULL, fields = NULL;
      END IF;
    END IF;
  END IF;
  IF new_owner IS NOT NULL THEN
    stamp := sync_tick(new_owner);
    IF stamp IS NOT NULL THEN
      IF before IS NOT NULL AND TG_ARGV[4] <> '' THEN
        SELECT jsonb_object_agg(name, stamp) INTO edited FROM unnest(string_to_array(TG_ARGV[4], ',')) AS name
         WHERE before -> name IS DISTINCT FROM after -> name;
      END IF;
      INSERT INTO sync_change (user_id, kind, object_id, ts, created_ts, op, part, fields)
      VALUES (new_owner, TG_ARGV[0], object, stamp, stamp, 'U', part, edited)
      ON CONFLICT (user_id, kind, object_id) DO UPDATE SET
        ts = excluded.ts, op = 'U', part = excluded.part,
        created_ts = CASE sync_change.op WHEN 'D' THEN excluded.ts ELSE sync_change.created_ts END,
        -- Of what was away nobody knows what has changed: all of it has.
        fields = CASE WHEN sync_change.op = 'D'
                      THEN (SELECT jsonb_object_agg(name, stamp)
                              FROM unnest(string_to_array(TG_ARGV[4], ',')) AS name)
                      WHEN excluded.fields IS NULL THEN sync_change.fields
                      ELSE coalesce(sync_change.fields, '{{}}') || excluded.fields END;
    END IF;
  END IF;
  RETURN NULL;
END $$;
"""

# What dispensers of many people have reported is stamped by three statements, at the end of its transaction; one
# by one at COMMIT it would cost most of the batch (ADR 0031). It decides nothing: what it leaves out (a person
# without a clock, an object without a line) the triggers stamp as ever, and where it stamped they find the line of
# their own transaction. `owners` are all people of the batch: their clocks are taken in one order.
REPORT = """
CREATE FUNCTION sync_report(owners uuid[], reporters uuid[], kinds text[], objects uuid[],
                            group_size integer DEFAULT 200) RETURNS void
-- One plan for good, by the keys: made for the tables of today it would read them whole.
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  wall timestamptz(3);
BEGIN
  PERFORM FROM sync_clock WHERE user_id = ANY(owners) ORDER BY user_id FOR UPDATE;
  -- From here on nobody else stamps for any of them; the next statement sees what the last one has written.
  wall := date_trunc('milliseconds', clock_timestamp());
  -- As sync_tick: so many rows share a stamp, and no more.
  UPDATE sync_clock c
     SET ts = greatest(wall, c.ts + interval '1 ms') + (n.others / group_size) * interval '1 ms',
         stamped = n.others % group_size + 1, owner_xid = pg_current_xact_id()
    FROM (SELECT owner, count(*) - 1 AS others FROM unnest(reporters) AS owner GROUP BY owner) AS n
   WHERE c.user_id = n.owner;
  UPDATE sync_change l SET ts = c.ts + (r.place / group_size - r.others / group_size) * interval '1 ms'
    FROM (SELECT owner, kind, object, row_number() OVER person - 1 AS place, count(*) OVER person - 1 AS others
            FROM unnest(reporters, kinds, objects) AS sent (owner, kind, object)
          WINDOW person AS (PARTITION BY owner ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) AS r
    JOIN sync_clock c ON c.user_id = r.owner
   WHERE l.user_id = r.owner AND l.kind = r.kind AND l.object_id = r.object AND l.op = 'U';
END $$;
"""

# The same for notifications that a batch has made: their first lines. They are read from their table, so that no
# line can be of a row that is not there.
TOLD = """
CREATE FUNCTION sync_told(made uuid[], group_size integer DEFAULT 200) RETURNS void
LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  wall timestamptz(3);
BEGIN
  PERFORM FROM sync_clock WHERE user_id IN (SELECT user_id FROM notifications WHERE id = ANY(made))
    ORDER BY user_id FOR UPDATE;
  wall := date_trunc('milliseconds', clock_timestamp());
  UPDATE sync_clock c
     SET ts = greatest(wall, c.ts + interval '1 ms') + (n.others / group_size) * interval '1 ms',
         stamped = n.others % group_size + 1, owner_xid = pg_current_xact_id()
    FROM (SELECT user_id, count(*) - 1 AS others FROM notifications WHERE id = ANY(made) GROUP BY user_id) AS n
   WHERE c.user_id = n.user_id;
  INSERT INTO sync_change (user_id, kind, object_id, ts, created_ts, op)
  SELECT user_id, 'notification', id, stamp, stamp, 'U'
    FROM (SELECT n.*, c.ts + (n.place / group_size - n.others / group_size) * interval '1 ms' AS stamp
            FROM (SELECT user_id, id, row_number() OVER person - 1 AS place, count(*) OVER person - 1 AS others
                    FROM notifications WHERE id = ANY(made)
                  WINDOW person AS (PARTITION BY user_id
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) AS n
            JOIN sync_clock c USING (user_id)) AS stamped
  ON CONFLICT (user_id, kind, object_id) DO NOTHING;
END $$;
"""


@dataclass(frozen=True, slots=True)
class Synced:
    """One kind of synced object: its table, and the columns whose change a phone must hear of."""

    kind: str
    table: str
    columns: str
    id_column: str = "id"
    owner: str = "user_id"
    part: str = ""
    editable: str = ""
    # The profile goes only with its account, and then nothing of the account is left to sync.
    deletable: bool = True

    def watched(self) -> dict[str, list[str]]:
        """The names of its triggers, and the columns that each watches (none: whole rows)."""
        return {
            f"sync_{self.kind}": [],
            f"sync_{self.kind}_update": [name.strip() for name in self.columns.split(",")],
        }

    def triggers(self) -> str:
        columns = self.watched()[f"sync_{self.kind}_update"]
        old, new = (", ".join(f"{row}.{name}" for name in columns) for row in ("OLD", "NEW"))
        events = "INSERT OR DELETE" if self.deletable else "INSERT"
        call = f"sync_capture('{self.kind}', '{self.id_column}', '{self.owner}', '{self.part}', '{self.editable}')"
        return f"""
CREATE CONSTRAINT TRIGGER sync_{self.kind} AFTER {events} ON {self.table}
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION {call};
CREATE CONSTRAINT TRIGGER sync_{self.kind}_update AFTER UPDATE OF {", ".join(columns)} ON {self.table}
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (ROW({old}) IS DISTINCT FROM ROW({new})) EXECUTE FUNCTION {call};
"""

    def drop(self) -> str:
        return (
            f"DROP TRIGGER sync_{self.kind} ON {self.table}; DROP TRIGGER sync_{self.kind}_update ON {self.table};"
        )


def changed(before: Synced, after: Synced) -> RunSQL:
    """The operation of a migration that changes what is synced of a kind; both are written out there.

    Rows of before are told of a new column only when they next change: raise SYNC_EPOCH, or touch them.
    """
    return RunSQL(before.drop() + after.triggers(), after.drop() + before.triggers())


# A change here needs a migration with `changed`: `manage.py sync_audit` and a test compare the database.
SYNCED = (
    Synced(
        "profile",
        "users",
        "email, full_name, phone, profile_picture, notification_enabled, theme_preference, language, timezone,"
        "is_verified, created_at, updated_at",
        owner="id",
        editable="full_name,phone,notification_enabled",
        deletable=False,
    ),
    Synced(
        "device",
        "devices",
        "user_id, device_name, device_type, mac_address, serial_number, location, battery_level,"
        "supplement_level, is_connected, last_sync, last_seen, firmware_version, total_doses_dispensed, is_active,"
        "setup_state, plan, plan_version, timezone, settings, last_decision, created_at, updated_at",
        editable=DEVICE_EDITS,
    ),
    Synced("device_state", "devices", "user_id, cup_placed, sensor_reading, last_state_change"),
    Synced(
        "activity_log",
        "activity_logs",
        "user_id, device_id, action, dose_amount, triggered_by, confirmation, local_date, metadata, timestamp",
        part="timestamp",
        editable="device_id,action,dose_amount,metadata,timestamp",
    ),
    Synced(
        "notification",
        "notifications",
        "user_id, device_id, type, title, message, is_read, read_at, metadata, created_at",
    ),
    Synced(
        "notification_settings",
        "notification_settings",
        "reminder_enabled, reminder_times, reminder_skip_if_taken, low_battery_enabled, low_supplement_enabled,"
        "achievement_enabled, device_offline_enabled, dose_missed_enabled, refill_due_enabled, updated_at,"
        "push_content, quiet_enabled, quiet_start, quiet_end",
        id_column="user_id",
        deletable=False,
    ),
)
