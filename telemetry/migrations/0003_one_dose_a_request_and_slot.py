from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

# A partial unique constraint is an index to PostgreSQL; made this way no dose waits for it.
CONSTRAINTS = (
    """CREATE UNIQUE INDEX CONCURRENTLY one_dispense_per_request ON dispenses (device_id, request_id)
        WHERE request_id IS NOT NULL""",
    """CREATE UNIQUE INDEX CONCURRENTLY one_dispense_per_slot ON dispenses (device_id, slot_date, slot_id)
        WHERE counts AND slot_id IS NOT NULL""",
)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ('telemetry', '0002_doses_that_nobody_asked_for'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='dispense',
            index=models.Index(condition=models.Q(('acknowledged_at', None), ('is_fault', True)), fields=['user', 'family'], name='dispenses_at_fault'),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(CONSTRAINTS[0], "DROP INDEX CONCURRENTLY one_dispense_per_request"),
                migrations.RunSQL(CONSTRAINTS[1], "DROP INDEX CONCURRENTLY one_dispense_per_slot"),
            ],
            state_operations=[
                migrations.AddConstraint(
                    model_name='dispense',
                    constraint=models.UniqueConstraint(condition=models.Q(('request_id__isnull', False)), fields=('device_id', 'request_id'), name='one_dispense_per_request'),
                ),
                migrations.AddConstraint(
                    model_name='dispense',
                    constraint=models.UniqueConstraint(condition=models.Q(('counts', True), ('slot_id__isnull', False)), fields=('device_id', 'slot_date', 'slot_id'), name='one_dispense_per_slot'),
                ),
            ],
        ),
    ]
