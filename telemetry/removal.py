"""What a removed dispenser leaves behind: its doses stay in its owner's log, its readings go."""

from uuid import UUID

from django.db import connection

from devices.models import RemovedDevice

CHUNK_ROWS = 5_000
# The rest waits for the next run.
DEVICES_AT_ONCE = 1_000

TABLES = ("device_states", "device_samples", "device_reports")
# The oldest first, by the index ..._of_device of each partition.
DELETE = """
DELETE FROM {table} WHERE device_id = %(device_id)s AND timestamp <= coalesce(
  (SELECT timestamp FROM {table} WHERE device_id = %(device_id)s
    ORDER BY timestamp, id OFFSET %(rows)s - 1 LIMIT 1), 'infinity')"""


def erase_readings() -> int:
    """Delete the readings of removed dispensers, in chunks that each commit; how many.

    Safe after any interruption and on any number of workers: no removed dispenser can report again.
    """
    total = 0
    for device_id in list(RemovedDevice.objects.values_list("pk", flat=True)[:DEVICES_AT_ONCE]):
        for table in TABLES:
            while rows := delete_chunk(table, device_id):
                total += rows
        RemovedDevice.objects.filter(pk=device_id).delete()
    return total


def delete_chunk(table: str, device_id: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(DELETE.format(table=table), {"device_id": device_id, "rows": CHUNK_ROWS})
        return int(cursor.rowcount)
