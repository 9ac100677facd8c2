"""Quiet hours and what pushes say are shown on every phone."""

from dataclasses import replace
from importlib import import_module

from django.db import migrations

from syncapi.capture import changed

BEFORE = next(
    each
    for each in import_module("syncapi.migrations.0001_initial").FIRST
    if each.kind == "notification_settings"
)
AFTER = replace(BEFORE, columns=BEFORE.columns + ", push_content, quiet_enabled, quiet_start, quiet_end")


class Migration(migrations.Migration):
    dependencies = (("syncapi", "0004_tombstones_index"), ("notifications", "0002_phones_and_quiet_hours"))
    operations = (changed(BEFORE, AFTER),)
