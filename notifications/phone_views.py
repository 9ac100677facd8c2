"""Section 7 of the API: what a person wants to hear of, and on which phones."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.authentication import caller
from notifications import phones, preferences, trial
from notifications import serializers as s
from notifications.models import PushDelivery, PushToken
from zinzino import clock
from zinzino.api.idempotency import idempotent
from zinzino.api.renderers import Message, raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response, said


def shown(phone: PushToken, *, session_id: UUID) -> dict[str, Any]:
    return {
        "id": phone.pk,
        "token": phone.masked,
        "platform": phone.platform,
        "provider": phone.provider,
        "device_name": phone.device_name,
        "local_reminders": phone.local_reminders,
        "current": phone.session_id == session_id,
        "created_at": phone.created_at,
        "registered_at": phone.registered_at,
    }


class SettingsViewSet(ApiViewSet):
    @operation("What you want to hear of", response=s.Settings)
    def retrieve(self, request: Request) -> Response:
        user = caller(request)
        return Response(raw(preferences.shown(user.id, user.session_id, now=clock.now())))

    @operation("Change what you want to hear of", request=s.ChangeSettings, response=s.Settings)
    def update(self, request: Request) -> Response:
        user, now = caller(request), clock.now()
        preferences.change(user.id, user.session_id, self.parsed(s.ChangeSettings, request), now=now)
        return Response(raw(preferences.shown(user.id, user.session_id, now=now)))


class PhonesViewSet(ApiViewSet):
    @operation("The phones that you can be reached on", response=s.Phone, many=True)
    def list(self, request: Request) -> Response:
        user = caller(request)
        return Response([shown(phone, session_id=user.session_id) for phone in phones.of(user.id)])

    @operation("Register a phone", request=s.RegisterPhone, response=s.Phone, status=201)
    @idempotent()
    def create(self, request: Request) -> Response:
        user, described = caller(request), self.parsed(s.RegisterPhone, request)
        phone, is_new = phones.register(user.id, user.session_id, now=clock.now(), **described)
        return Response(shown(phone, session_id=user.session_id), status=201 if is_new else 200)

    @operation("Let a phone go", response=Message, errors=(403, 404))
    def destroy(self, request: Request, push_token_id: UUID) -> Response:
        phones.remove(push_token_id, caller(request).id, now=clock.now())
        return said(_("The phone will get no more notifications."))


def delivery_shown(row: PushDelivery) -> dict[str, Any]:
    waits = row.status in (PushDelivery.Status.QUEUED, PushDelivery.Status.SENDING)
    return {
        "id": row.pk,
        "push_token_id": row.phone_id,
        "notification_id": row.notification_id,
        "type": row.kind,
        "status": row.status,
        "reason": row.reason or None,
        "attempts": row.attempts,
        "created_at": row.created_at,
        "next_attempt_at": row.next_attempt_at if waits else None,
        "expires_at": row.expires_at,
        "sent_at": row.sent_at,
    }


class TrialViewSet(ApiViewSet):
    @operation("Send a test to your phones", response=s.Trial, status=202, errors=(409,))
    @idempotent()
    def create(self, request: Request) -> Response:
        made = trial.send_test(caller(request).id, now=clock.now())
        shown = [{"id": each["id"], "push_token_id": each["phone_id"], "status": each["status"]} for each in made]
        return Response({"deliveries": shown}, status=202)

    @operation("What became of a push", response=s.Delivery, errors=(403, 404))
    def retrieve(self, request: Request, delivery_id: UUID) -> Response:
        return Response(delivery_shown(trial.owned(delivery_id, caller(request).id)))
