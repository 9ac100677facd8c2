"""Every column that a phone is shown stamps, also those that only staff can change; edits of the log are dated."""

from dataclasses import replace
from importlib import import_module

from django.db import migrations

from syncapi.capture import changed

FIRST = {each.kind: each for each in import_module("syncapi.migrations.0001_initial").FIRST}
SECOND = {
    "profile": replace(FIRST["profile"], columns=FIRST["profile"].columns + ", created_at"),
    "device": replace(
        FIRST["device"],
        columns=FIRST["device"].columns + ", device_type, mac_address, serial_number, created_at",
        editable="device_name,location,is_active,settings",
    ),
    "activity_log": replace(
        FIRST["activity_log"], editable="device_id,action,dose_amount,metadata,timestamp"
    ),
    "notification": replace(FIRST["notification"], columns=FIRST["notification"].columns + ", device_id, created_at"),
}


class Migration(migrations.Migration):
    dependencies = (("syncapi", "0001_initial"),)
    operations = tuple(changed(FIRST[kind], SECOND[kind]) for kind in SECOND)
