"""Which jobs run by the clock, and how often (seconds)."""

from typing import Any

JOBS: dict[str, dict[str, Any]] = {
    "sweep-dispenses": {"task": "telemetry.tasks.sweep_dispenses", "schedule": 30.0},
    "sweep-commands": {"task": "telemetry.tasks.sweep_commands", "schedule": 30.0},
    "tick-rollouts": {"task": "telemetry.tasks.tick_rollouts", "schedule": 60.0},
    "judge-rollouts": {"task": "telemetry.tasks.judge_rollouts", "schedule": 900.0},
    "sweep-presence": {"task": "telemetry.tasks.sweep_presence", "schedule": 30.0},
    "ensure-partitions": {"task": "telemetry.tasks.ensure_partitions", "schedule": 6 * 3600.0},
    "drop-expired-states": {"task": "telemetry.tasks.drop_expired_states", "schedule": 24 * 3600.0},
    "send-reminders": {"task": "telemetry.tasks.send_reminders", "schedule": 15.0, "options": {"expires": 15}},
    "notice-silence": {"task": "telemetry.tasks.notice_silence", "schedule": 60.0},
    "notice-missed-doses": {"task": "telemetry.tasks.notice_missed_doses", "schedule": 60.0},
    "notice-achievements": {"task": "notifications.tasks.notice_achievements", "schedule": 60.0},
    "send-pushes": {"task": "notifications.tasks.send_pushes", "schedule": 5.0, "options": {"expires": 5}},
    "prune-pushes": {"task": "notifications.tasks.prune_pushes", "schedule": 3600.0},
    "prune-telemetry": {"task": "telemetry.tasks.prune", "schedule": 24 * 3600.0},
    "erase-readings": {"task": "telemetry.tasks.erase_readings", "schedule": 300.0},
    "announce-security": {"task": "notifications.tasks.announce_security_events", "schedule": 20.0},
    "erase-accounts": {"task": "syncapi.tasks.erase_accounts", "schedule": 300.0},
    "make-exports": {"task": "syncapi.tasks.make_exports", "schedule": 300.0},
    "drop-exports": {"task": "syncapi.tasks.drop_exports", "schedule": 3600.0},
    "prune-sync": {"task": "syncapi.tasks.prune_sync", "schedule": 24 * 3600.0},
    "mark-streaks": {"task": "analytics.tasks.mark_streaks", "schedule": 6 * 3600.0},
    "sum-fleet": {"task": "analytics.tasks.sum_fleet", "schedule": 6 * 3600.0},
    "heartbeat": {"task": "zinzino.tasks.heartbeat", "schedule": 10.0},
    "send-mails": {"task": "accounts.tasks.send_mails", "schedule": 30.0},
    "settle-apple-grants": {"task": "accounts.tasks.settle_apple_grants", "schedule": 60.0},
    "prune-accounts": {"task": "accounts.tasks.prune", "schedule": 3600.0},
    "prune": {"task": "zinzino.tasks.prune", "schedule": 3600.0},
}
