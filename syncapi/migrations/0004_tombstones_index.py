"""Finds the tombstones that are too old without reading the whole log."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = (("syncapi", "0003_offline_writes"),)
    operations = (
        AddIndexConcurrently(
            model_name="syncchange",
            index=models.Index(condition=models.Q(("op", "D")), fields=["ts"], name="sync_change_tombstones"),
        ),
    )
