"""`python -m benchmarks.admin`: what a large fleet costs the staff who look at it.

Asks every page of the back office on the data that `benchmarks.scale` has loaded, in this process, as somebody
with the role of an administrator. Run that first; this adds an account, and entries to the audit log.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

from benchmarks.scale import ROOT

ASKED, WARM = 60, 5
STAFF = "bench@staff.example"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.admin", description=__doc__)
    parser.add_argument("--devices", type=int, default=200_000, help="of the fleet that was loaded")
    parser.add_argument("--times", type=int, default=ASKED, help="that each page is asked for")
    options = parser.parse_args()
    os.environ["DATA_DIR"] = str(ROOT / "var" / f"scale-{options.devices}")
    # For the migrations that the data may still need.
    os.environ |= {"LOG_LEVEL": "WARNING", "DATABASE_STATEMENT_TIMEOUT_MS": "3600000"}
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "zinzino.settings")
    import django

    django.setup()
    from django.core.management import call_command

    from zinzino.servers import attach

    attach()
    call_command("migrate", verbosity=0)
    sys.stdout.write(f"{'page':44}{'statements':>11}{'median ms':>11}{'p95 ms':>9}{'our CPU ms':>12}\n")
    for name, address, terms in pages():
        spent, took, cpu = cost(address, terms, times=options.times)
        p95 = statistics.quantiles(took, n=20)[-1]
        sys.stdout.write(f"{name:44}{spent:11}{statistics.median(took):11.0f}{p95:9.0f}{cpu:12.0f}\n")
        sys.stdout.flush()


def pages() -> Iterator[tuple[str, str, list[dict[str, str]]]]:
    """Name, address, and what fills it or is typed into the search: a different one each time."""
    from django.contrib import admin
    from django.urls import reverse

    from devices.models import Device

    some = Device.objects.filter(serial_number__startswith="FLEET-").select_related("user")[:: 200_000 // 200][
        :ASKED
    ]
    homes = [
        {
            "user": str(device.user_id),
            "device": str(device.pk),
            "e-mail": str(device.user.email),
            "serial": device.serial_number,
            "beginning": device.serial_number[:-1],
            "mac": device.mac_address,
        }
        for device in some
    ]
    yield "dashboard", "/admin/", homes
    yield "customer", "/admin/customers/{user}/", homes
    yield "dispenser", "/admin/dispensers/{device}/", homes
    for what in ("e-mail", "serial", "beginning", "mac", "user", "device"):
        yield f"search by {what}", "/admin/search/", [{"q": home[what]} for home in homes]
    yield "search by phone", "/admin/search/", [{"q": f"+9055512345{n:02}"} for n in range(ASKED)]
    for model, listed in admin.site._registry.items():
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        yield f"list of {model._meta.model_name}", page, homes
        yield f"its last page, {model._meta.model_name}", f"{page}?p=99", homes
        for option in listed.list_filter:
            field: Any = model._meta.get_field(str(option))
            value = field.choices[-1][0] if field.choices else "1"
            yield f"{model._meta.model_name} by {option}", f"{page}?{option}__exact={value}", homes


def cost(address: str, homes: list[dict[str, str]], *, times: int) -> tuple[int, list[float], float]:
    """Statements, milliseconds of each request, and the CPU time that ours takes of one."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    ask = asker(address)
    turns = cycle(homes)
    for _ in range(WARM):
        ask(next(turns))
    took, started_cpu = [], time.process_time()
    for _ in range(times):
        started = time.perf_counter()
        ask(next(turns))
        took.append((time.perf_counter() - started) * 1000)
    cpu = (time.process_time() - started_cpu) * 1000 / times
    with CaptureQueriesContext(connection) as captured:
        ask(next(turns))
    return len(captured), took, cpu


def asker(address: str) -> Callable[[dict[str, str]], None]:
    from django.test import Client

    client = Client(headers={"accept-language": "en"})
    client.force_login(staff())

    def ask(home: dict[str, str]) -> None:
        searched = {"q": home["q"]} if "q" in home else None
        answer = client.post(address, searched) if searched else client.get(address.format_map(home))
        if answer.status_code not in (200, 302):
            raise SystemExit(f"{address}: {answer.status_code}")

    return ask


def staff() -> Any:
    from django.contrib.auth.models import Group

    from accounts.models import User
    from backoffice import roles

    user = User.objects.filter(email=STAFF).first()
    if user is None:
        roles.set_up()
        user = User.objects.create_user(STAFF, None, full_name="Bench Mark", is_staff=True)
        user.groups.add(Group.objects.get(name="admin"))
    return user


if __name__ == "__main__":
    main()
