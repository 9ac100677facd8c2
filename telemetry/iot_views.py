"""The dispense routes of section 8, for dispensers that confirm (iot.md 2)."""

from typing import Any
from uuid import UUID

from devices.credentials import dispenser
from devices.views import DeviceRoute
from telemetry import envelopes, family, journals, services, settlement
from telemetry import iot_serializers as iot
from telemetry import serializers as s
from telemetry.views import said_to_device, server_clock
from zinzino import clock
from zinzino.api.errors import InvalidFields, Unauthorized
from zinzino.api.parsers import UncheckedTextParser, body_of
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
BATCH = {
    "v": 1,
    "boot": 42,
    "sent": 1764928800000,
    "up": 86400000,
    "clk": "ok",
    "ev": [
        {
            "id": "0b9e4c1e-58a7-4f0e-9a57-2f4f3f2e7c10",
            "boot": 42,
            "seq": 1071,
            "ts": 1764928500000,
            "up": 86100000,
            "k": "state",
            "d": {"cup_placed": True, "sensor_reading": 0.85},
        }
    ],
}


class EventsViewSet(DeviceRoute):
    parser_classes = (UncheckedTextParser,)

    @operation(
        "Bring in a part of the journal",
        request=iot.Envelope,
        response=iot.EventsTaken,
        auth="device",
        example=BATCH,
    )
    def take(self, request: Request) -> Response:
        upload = journals.Upload(dispenser(request).id, batch_of(request))
        (receipt,) = journals.take([upload], now=clock.now())
        if receipt is None:  # removed while it was speaking
            raise Unauthorized
        return Response(said_of(receipt))


def batch_of(request: Request) -> envelopes.Batch:
    try:
        return envelopes.read(body_of(request))
    except envelopes.UnreadableEnvelope as error:
        raise InvalidFields(**{error.field: [error.message]}) from error


def said_of(receipt: journals.Receipt) -> dict[str, Any]:
    acked = None if receipt.acked is None else dict(zip(("boot", "seq"), receipt.acked, strict=True))
    rejected = [{"id": bad.id, "code": bad.code, "message": bad.message} for bad in receipt.rejected]
    return {
        "accepted": receipt.accepted,
        "duplicates": receipt.duplicates,
        "rejected": rejected,
        "acked": acked,
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
