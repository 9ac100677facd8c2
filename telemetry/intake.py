"""The doses that count, for the reminders of many people at once."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from devices.plans import FAMILIES
from notifications.schedule import Dose

# By dispenses_of_family.
DOSES_SINCE = """
SELECT user_id, family, authorized_at FROM dispenses
 WHERE user_id = ANY(%s::uuid[]) AND family = ANY(%s) AND authorized_at > %s AND counts"""


def doses_since(user_ids: Collection[UUID], since: datetime) -> Mapping[UUID, Sequence[Dose]]:
    """Doses of each person, whichever way they were taken; those that nobody confirmed are among them."""
    found: dict[UUID, list[Dose]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(DOSES_SINCE, (list(user_ids), sorted(set(FAMILIES.values())), since))
        for user_id, family, at in cursor.fetchall():
            found[user_id].append(Dose(family, at))
    return found
