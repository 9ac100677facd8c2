"""The audit log: nobody who writes it can rewrite it, and what staff do stands in it."""

import pytest
from django.db import DatabaseError, connection, transaction

from tests.admin.desk import member, signed_in
from zinzino import audit
from zinzino.models import AuditEntry

CHANGES = (
    "UPDATE audit_log SET reason = 'another'",
    "UPDATE audit_log SET reason = 'another' WHERE false",
    "DELETE FROM audit_log",
    "TRUNCATE audit_log",
)


@pytest.fixture
def entry(db: None) -> AuditEntry:
    staff = member("auditor")
    return audit.record(audit.Actor(staff.pk, str(staff), "192.0.2.1"), "viewed", audit.Thing("device", "1"))


@pytest.mark.parametrize("change", CHANGES)
def test_the_database_refuses_every_change(entry: AuditEntry, change: str) -> None:
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(change)
    assert AuditEntry.objects.get(pk=entry.pk).reason == ""


@pytest.mark.parametrize("change", CHANGES)
def test_replication_s_way_around_triggers_is_closed(entry: AuditEntry, change: str) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(change)
        cursor.execute("SET LOCAL session_replication_role = origin")


PLAIN_OWNER = """
CREATE ROLE plain_owner NOSUPERUSER;
GRANT ALL ON SCHEMA public TO plain_owner;
ALTER TABLE audit_log OWNER TO plain_owner;
SET LOCAL ROLE plain_owner"""


@pytest.mark.parametrize("change", CHANGES)
def test_its_owner_has_no_right_to_change_it_either(entry: AuditEntry, change: str) -> None:
    """As in production, where the role of the application owns its tables and is no superuser."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(PLAIN_OWNER)
        cursor.execute("SELECT count(*) FROM audit_log")
        with pytest.raises(DatabaseError, match="permission denied"), transaction.atomic():
            cursor.execute(change)
        transaction.set_rollback(True)


def test_an_entry_knows_its_request(db: None) -> None:
    staff = signed_in("support_l2")
    staff.post("/admin/search/", {"q": "nothing"}, headers={"x-request-id": "request-of-this-test"})
    row = AuditEntry.objects.get(actor_id=staff.user.pk)
    assert (row.request_id, row.address, row.actor) == ("request-of-this-test", "127.0.0.1", staff.user.email)
