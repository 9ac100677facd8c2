"""The dispense routes of section 8, for dispensers that confirm (iot.md 2)."""

from uuid import UUID

from devices.credentials import dispenser
from devices.views import DeviceRoute
from telemetry import family, services, settlement
from telemetry import iot_serializers as iot
from telemetry import serializers as s
from telemetry.views import said_to_device, server_clock
from zinzino import clock
from zinzino.api.schema import operation
from zinzino.api.views import Request, Response

POURED = {
    "event_id": "3f0c6a52-8a0e-4d56-9f0b-6a4b5f1f2c11",
    "outcome": "dispensed",
    "amount": 5,
    "unit": "ml",
    "started_at": "2025-12-05T10:00:01.000Z",
    "finished_at": "2025-12-05T10:00:07.250Z",
}


class DispenseViewSet(DeviceRoute):
    @operation("Ask for a dose", request=iot.DispenseRequest, response=s.StateAnswer, errors=(403,), auth="device")
    def ask(self, request: Request) -> Response:
        now = clock.now()
        reading = iot.reading_of(self.parsed(iot.DispenseRequest, request))
        answer = services.report_state(dispenser(request), reading, now=now)
        return Response(said_to_device(answer) | server_clock(now))

    @operation(
        "Say how a dose went",
        request=iot.Confirm,
        response=iot.Confirmed,
        errors=(403, 404, 409),
        auth="device",
        example=POURED,
    )
    def confirm(self, request: Request, dispense_id: UUID) -> Response:
        now, form = clock.now(), self.parsed(iot.Confirm, request)
        dose, device = settlement.confirm(
            dispenser(request),
            dispense_id,
            iot.report_of(form),
            unit=form.get("unit"),
            event_id=form["event_id"],
            finished_at=form.get("finished_at"),
            now=now,
        )
        return Response(
            {
                "status": dose.status,
                "total_doses_dispensed": device.total_doses_dispensed,
                "supplement_level": device.supplement_level,
                "next_dose_at": family.next_dose_of(device, now=now),
            }
        )
