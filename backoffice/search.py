"""The one search box: what was typed tells by its shape what it is, and each shape has its index.

The most exact comes first; nothing is searched for by a part of an e-mail or a phone number.
"""

import re
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from accounts.models import User, normalized_email
from devices.models import Device, ManufacturedUnit
from zinzino.ids import moment_of

MAC = re.compile(r"[0-9A-F]{12}")
PHONE = re.compile(r"\+?[0-9]{7,15}")
SERIAL = re.compile(r"[A-Z0-9][A-Z0-9._/-]{3,99}")
# Of serials that begin with what was typed.
MOST = 20

CUSTOMER, DEVICE, UNIT = "customer", "device", "unit"


@dataclass(frozen=True, slots=True)
class Hit:
    kind: str
    id: str
    title: str = ""


# Whose an id is; each line by a primary key. `activity_logs` is found by the month that the id names.
OF_ID = """
SELECT 'customer', id FROM users WHERE id = %(id)s AND deleted_at IS NULL
UNION ALL SELECT 'device', id FROM devices WHERE id = %(id)s
UNION ALL SELECT 'customer', user_id FROM sessions WHERE id = %(id)s
UNION ALL SELECT 'customer', user_id FROM dispenses WHERE id = %(id)s
UNION ALL SELECT 'device', device_id FROM decisions WHERE id = %(id)s
UNION ALL SELECT 'device', device_id FROM device_commands WHERE id = %(id)s
UNION ALL SELECT 'customer', user_id FROM notifications WHERE id = %(id)s
UNION ALL SELECT 'customer', user_id FROM push_deliveries WHERE id = %(id)s
UNION ALL SELECT 'customer', user_id FROM push_tokens WHERE id = %(id)s
UNION ALL SELECT 'customer', user_id FROM data_exports WHERE id = %(id)s
UNION ALL SELECT 'customer', user_id FROM activity_logs WHERE id = %(id)s
   AND timestamp = coalesce((SELECT timestamp FROM activity_keys WHERE id = %(id)s), %(named)s::timestamptz)
LIMIT 20"""


def shape(term: str) -> str:
    """What a term is: email, id, mac, phone, serial or nothing. The audit log keeps this, and no term."""
    if "@" in term:
        return "email"
    if as_uuid(term):
        return "id"
    if as_mac(term) and not term.isdecimal():
        return "mac"
    if PHONE.fullmatch(plain_number(term)):
        return "phone"
    return "serial" if SERIAL.fullmatch(term.upper()) else "nothing"


def find(term: str) -> list[Hit]:
    """Customers, dispensers and manufactured units, without double ones."""
    term = term.strip()
    match shape(term):
        case "email":
            hits = customers(email=normalized_email(term))
        case "id":
            hits = by_id(UUID(term))
        case "mac":
            hits = by_mac(as_mac(term))
        case "phone":
            # A serial may be a number, and an address may have digits only.
            number = plain_number(term)
            hits = customers(phone__in=(number, f"+{number.removeprefix('00')}")) or by_serial(term.upper())
            hits = hits or (by_mac(as_mac(term)) if as_mac(term) else [])
        case "serial":
            hits = by_serial(term.upper())
        case _:
            hits = []
    return list(dict.fromkeys(hits))


def as_uuid(term: str) -> UUID | None:
    try:
        return UUID(term)
    except ValueError:
        return None


def as_mac(term: str) -> str:
    digits = re.sub(r"[:.\s-]", "", term).upper()
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2)) if MAC.fullmatch(digits) else ""


def plain_number(term: str) -> str:
    return re.sub(r"[\s().-]", "", term)


def customers(**exactly: object) -> list[Hit]:
    found = User.objects.filter(deleted_at=None, **exactly).values_list("pk", flat=True)[:MOST]
    return [Hit(CUSTOMER, str(pk)) for pk in found]


def by_id(row_id: UUID) -> list[Hit]:
    with connection.cursor() as cursor:
        cursor.execute(OF_ID, {"id": row_id, "named": moment_of(row_id)})
        return [Hit(kind, str(pk)) for kind, pk in cursor.fetchall()]


def by_mac(address: str) -> list[Hit]:
    devices = [Hit(DEVICE, str(pk), serial) for pk, serial in named(mac_address=address)]
    return devices or units(mac_address=address)


def by_serial(serial: str) -> list[Hit]:
    """The dispenser of that serial, else those whose serials begin so; units that nobody has added yet last."""
    exact = [Hit(DEVICE, str(pk), found) for pk, found in named(serial_number=serial)] or units(pk=serial)
    if exact:
        return exact
    return [Hit(DEVICE, str(pk), found) for pk, found in named(serial_number__startswith=serial)] or units(
        pk__startswith=serial
    )


def named(**like: str) -> list[tuple[UUID, str]]:
    return list(Device.objects.filter(**like).order_by("serial_number").values_list("pk", "serial_number")[:MOST])


def units(**like: str) -> list[Hit]:
    found = ManufacturedUnit.objects.filter(**like).order_by("pk").values_list("pk", flat=True)[:MOST]
    return [Hit(UNIT, serial, serial) for serial in found]
