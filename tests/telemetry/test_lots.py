"""A production lot can be held back: which units are of it, the registry knows."""

from devices.models import Device, ManufacturedUnit
from telemetry import safety
from telemetry.models import SafetyStop
from tests.clients import Phone, Unit
from zinzino import clock


def test_a_recalled_lot_pours_nothing_and_others_go_on(alice: Phone, bob: Phone, kitchen: Unit) -> None:
    now, other = clock.now(), bob.dispenser()
    for unit, lot in ((kitchen, "L7"), (other, "L8")):
        row = Device.objects.get(pk=unit.id)
        ManufacturedUnit.objects.create(
            serial_number=row.serial_number, mac_address=row.mac_address, lot=lot, imported_at=now
        )
    safety.order(SafetyStop.Scope.LOT, "L7", reason="Cracked spout", until=None, by="ops", now=now)

    assert [str(row.pk) for row in safety.covered(SafetyStop.Scope.LOT, "L7")] == [str(kitchen.id)]
    assert kitchen.cup(True).data["reason"] == "lot_recalled"
    assert other.cup(True).data["reason"] == "due"
