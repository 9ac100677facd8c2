"""What a removed dispenser leaves behind: its doses stay in its owner's log, its readings go."""

from uuid import UUID

from django.db import connection

from devices.models import RemovedDevice

CHUNK_ROWS = 5_000
# The rest waits for the next run.
DEVICES_AT_ONCE = 1_000

# The oldest first, by the index device_states_of_device of each partition.
DELETE_STATES = """
DELETE FROM device_states WHERE device_id = %(device_id)s AND timestamp <= coalesce(
  (SELECT timestamp FROM device_states WHERE device_id = %(device_id)s
    ORDER BY timestamp, id OFFSET %(rows)s - 1 LIMIT 1), 'infinity')"""


def erase_readings() -> int:
    """Delete the readings of removed dispensers, in chunks that each commit; how many.

    Safe after any interruption and on any number of workers: no removed dispenser can report again.
    """
    total = 0
    for device_id in list(RemovedDevice.objects.values_list("pk", flat=True)[:DEVICES_AT_ONCE]):
        while rows := delete_chunk(device_id):
            total += rows
        RemovedDevice.objects.filter(pk=device_id).delete()
    return total


def delete_chunk(device_id: UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(DELETE_STATES, {"device_id": device_id, "rows": CHUNK_ROWS})
        return int(cursor.rowcount)
