"""`POST /iot/provision`."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from devices import provisioning
from zinzino import clock
from zinzino.api.fields import PlainText, StrictInteger
from zinzino.api.parsers import body_of
from zinzino.api.schema import operation
from zinzino.api.views import OpenViewSet, Request, Response

MAX_EPOCH_MS = 221_845_392_000_000
EXAMPLE = {
    "serial_number": "ZNZ-2024-001",
    "mac_address": "AA:BB:CC:DD:EE:FF",
    "hardware_rev": "d1",
    "firmware_version": "1.3.0",
    "ts": 1764928800000,
    "nonce": "5f0c6a528a0e4d569f0b",
    "proof": {
        "alg": "ed25519",
        "sig": "c2lnbmF0dXJlIG9mIHNpeHR5LWZvdXIgYnl0ZXMsIGhlcmUganVzdCBhbiBleGFtcGxlIHRleHQ=",
    },
}


class Proof(serializers.Serializer[Any]):
    alg = serializers.ChoiceField(["ed25519"])
    sig = serializers.CharField(max_length=100, help_text="Base64 of the 64 bytes.")


class Provision(serializers.Serializer[Any]):
    serial_number = PlainText(max_length=100)
    mac_address = PlainText(max_length=17)
    hardware_rev = PlainText(max_length=50, required=False, allow_null=True)
    firmware_version = PlainText(max_length=50, required=False, allow_null=True)
    ts = StrictInteger(min_value=0, max_value=MAX_EPOCH_MS)
    nonce = PlainText(min_length=8, max_length=64)
    proof = Proof()


class Broker(serializers.Serializer[Any]):
    host = serializers.CharField()
    port = serializers.IntegerField()
    client_id = serializers.CharField()
    username = serializers.CharField()
    topic_prefix = serializers.CharField()


class Provisioned(serializers.Serializer[Any]):
    device_id = serializers.UUIDField(allow_null=True)
    token = serializers.CharField(allow_null=True, help_text="Shown this once; null until the unit has an owner.")
    claimed = serializers.BooleanField()
    mqtt = Broker(allow_null=True)


class ProvisioningViewSet(OpenViewSet):
    @operation(
        "A unit proves itself with its factory's key",
        request=Provision,
        response=Provisioned,
        status=201,
        errors=(401, 403, 409),
        auth="none",
        example=EXAMPLE,
    )
    def create(self, request: Request) -> Response:
        form = self.parsed(Provision, request)
        # As it was sent: the signature is over its very values, also of keys that we do not know.
        signed = {name: value for name, value in body_of(request).items() if name != "proof"}
        done = provisioning.provision(signed, form["proof"]["sig"], now=clock.now())
        return Response(answer(done), status=201)


def answer(done: provisioning.Provisioned) -> dict[str, Any]:
    name = str(done.device_id)
    broker = {
        "host": settings.MQTT_PUBLIC_HOST,
        "port": settings.MQTT_PUBLIC_PORT,
        "client_id": name,
        "username": name,
        "topic_prefix": f"znz/v1/{name}/",
    }
    claimed = done.device_id is not None
    return {
        "device_id": done.device_id,
        "token": done.token,
        "claimed": claimed,
        "mqtt": broker if claimed else None,
    }
