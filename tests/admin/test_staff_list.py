"""The list of members of staff costs what the staff are many, however many customers there are."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from tests import make
from tests.admin.desk import Staff, body, member, signed_in
from tests.clients import Phone
from zinzino import clock

PAGE = "/admin/backoffice/staffmember/"
# Enough that the database would rather read an index than the table.
CUSTOMERS = 1_000


@pytest.fixture
def staff(db: None) -> Staff:
    now = clock.now()
    with connection.cursor() as cursor:
        # The phones of these customers need not hear of them.
        cursor.execute("SET LOCAL session_replication_role = replica")
        User.objects.bulk_create(
            User(
                email=f"customer{number}@example.com",
                full_name="x",
                password="!",
                created_at=now - timedelta(number),
            )
            for number in range(CUSTOMERS)
        )
        cursor.execute("SET LOCAL session_replication_role = origin")
    staff = signed_in("admin")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE users")
    return staff


def asked_of_people(staff: Staff) -> list[str]:
    """What the page asks of the table of people, but for the reader's own row."""
    with CaptureQueriesContext(connection) as captured:
        body(staff.get(PAGE))
    return [each["sql"] for each in captured if '"is_staff" OR' in each["sql"]]


def indexes(statement: str) -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}")
        plans: list[Any] = [cursor.fetchone()[0][0]["Plan"]]
    while plans:
        node = plans.pop()
        plans += node.get("Plans", [])
        if node.get("Relation Name") == "users" or "Index Name" in node:
            yield node.get("Index Name", node["Node Type"])


def test_the_list_reads_the_staff_alone(staff: Staff) -> None:
    asked = asked_of_people(staff)
    assert len(asked) == 2, "the rows, and how many they are"
    for statement in asked:
        assert set(indexes(statement)) - {"Bitmap Heap Scan"} == {"users_of_staff"}, statement


def test_all_of_the_staff_are_listed_the_newest_first(alice: Phone) -> None:
    staff = signed_in("admin")
    member("ops"), member(None)
    owner = make.person("owner@example.com").user
    User.objects.filter(pk=owner.pk).update(is_superuser=True)
    shown = body(staff.get(PAGE))
    names = ["owner@example.com", "nobody@staff.example", "ops@staff.example", "admin@staff.example"]
    assert sorted(names, key=shown.rindex) == names
    assert "alice@example.com" not in shown
