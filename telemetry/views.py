"""Sections 3, 4 and 6 of the API, as far as they touch what dispensers report."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.authentication import caller
from devices import plans
from devices import serializers as devices_s
from devices import services as devices
from devices import sql as devices_sql
from devices.credentials import dispenser
from devices.views import DeviceRoute, DeviceViewSet
from telemetry import details, family, presence, services, sql
from telemetry import serializers as s
from telemetry.events import Reading
from telemetry.reasons import reason_class
from zinzino import clock
from zinzino.api.fields import span
from zinzino.api.pagination import page
from zinzino.api.renderers import raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response


class OneDeviceViewSet(DeviceViewSet):
    """`/devices/:id`: its details need the doses, so that the route lives here."""

    @operation("One device with its state and statistics", response=devices_s.DeviceDetails, errors=(403, 404))
    def retrieve(self, request: Request, device_id: UUID) -> Response:
        return Response(details.of(device_id, caller(request).id, now=clock.now()))

    @operation("What happened on a device", query=s.HistoryQuery, response=s.ActivityList, errors=(403, 404))
    def history(self, request: Request, device_id: UUID) -> Response:
        query, user = self.queried(s.HistoryQuery, request), caller(request)
        devices.visible(devices_sql.owner(device_id), to=user.id)
        bounds = span(query.pop("start_date"), query.pop("end_date"), user.timezone)
        rows, pagination, _figure = page(
            sql.DEVICE_HISTORY, {"device_id": device_id, "user_id": user.id, **bounds}, **query
        )
        return Response({"activities": rows, "pagination": pagination})


class StatusViewSet(DeviceRoute):
    @operation(
        "Report levels, version and presence",
        request=s.Status,
        response=s.StatusAnswer,
        errors=(403,),
        auth="device",
    )
    def partial_update(self, request: Request, device_id: UUID) -> Response:
        now = clock.now()
        form = self.parsed(s.Status, request)
        last = form.pop("last_dispense", None)
        device, told = services.report_status(dispenser(request), presence.Status(**form), last, now=now)
        return Response(
            {
                "id": device.pk,
                "battery_level": device.battery_level,
                "supplement_level": device.supplement_level,
                "is_connected": device.is_connected,
                "last_sync": device.last_sync,
                "notifications_sent": told,
                "next_dose_at": family.next_dose_of(device, now=now),
                "plan_version": device.plan_version,
                "heartbeat_s": settings.HEARTBEAT_S,
                "rotate_token": not dispenser(request).own_token,
                **server_clock(now),
            }
        )


class StatesViewSet(ApiViewSet):
    @operation("The current cup states of your devices", response=s.CurrentState, many=True)
    def list(self, request: Request) -> Response:
        return Response(raw(devices_sql.states_of(caller(request).id)))


class DeviceStateViewSet(DeviceRoute):
    @operation(
        "Report a cup and ask for a dose",
        request=s.Reading,
        response=s.StateAnswer,
        errors=(403,),
        auth="device",
    )
    def create(self, request: Request, device_id: UUID) -> Response:
        now = clock.now()
        reading = Reading(**self.parsed(s.Reading, request))
        return Response(
            said_to_device(services.report_state(dispenser(request), reading, now=now)) | server_clock(now)
        )


def said_to_device(answer: services.Answer) -> dict[str, Any]:
    plan, pours = answer.plan, answer.should_dispense
    dose = {"amount": plans.number(plan.amount), "unit": plan.unit, "volume_ul": plan.volume_ul}
    return {
        "device_id": answer.device_id,
        "cup_placed": answer.cup.placed,
        "last_state_change": answer.cup.changed_at,
        "should_dispense": pours,
        "dispense_amount": plan.dose_text if pours else None,
        "reason": answer.reason,
        "reason_class": reason_class(answer.reason),
        "dispense_id": answer.dispense_id,
        "dose": dose if pours else None,
        "expires_at": answer.expires_at,
        "next_dose_at": answer.next_dose_at,
        "plan_version": plan.version,
    }


def server_clock(now: datetime) -> dict[str, Any]:
    """So that a dispenser can set its own clock."""
    return {"server_time": now, "server_ms": clock.epoch_ms(now)}
