"""Members of staff for tests, by their role, and what the audit log says of them."""

from typing import Any

from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import User
from backoffice import roles
from tests import make
from zinzino.models import AuditEntry


class Staff(Client):
    """A browser with a member of staff signed in."""

    user: User


def member(role: str | None, *, email: str = "", superuser: bool = False) -> User:
    facts = {"full_name": "Staff Person", "is_staff": True, "is_superuser": superuser}
    user = User.objects.create_user(email or f"{role or 'nobody'}@staff.example", make.PASSWORD, **facts)
    if role:
        roles.set_up()
        user.groups.add(Group.objects.get(name=role))
    return user


def signed_in(role: str | None, *, superuser: bool = False) -> Staff:
    client = Staff(headers={"accept-language": "en"})
    client.user = member(role, superuser=superuser)
    client.force_login(client.user)
    return client


def body(answer: Any) -> str:
    assert answer.status_code == 200, answer.status_code
    return "".join(part.decode() for part in answer) if answer.streaming else str(answer.content.decode())


def written_by(staff: Staff) -> list[tuple[str, str, str]]:
    """What the audit log says that somebody did, the oldest first."""
    rows = AuditEntry.objects.filter(actor_id=staff.user.pk).order_by("pk")
    return [(each.action, each.object_type, each.object_id) for each in rows]
