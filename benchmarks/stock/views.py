"""Sections 3, 4, 6 and 7 of the API."""

import hashlib
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID, uuid4

from django.conf import settings
from django.db import transaction
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils import timezone
from rest_framework import viewsets
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import User
from benchmarks.stock import doses
from benchmarks.stock import serializers as s
from devices import plans
from devices.models import Device, DeviceCredential, DoseDay
from notifications.models import AlertKind, AlertState, Notification
from telemetry import dispensing, reasons
from telemetry.dispensing import Dose, Limits, Verdict
from telemetry.models import ActivityLog, Decision, DeviceState, Dispense
from zinzino.ids import uuid7

LOW = 20


def person(request: Request) -> User:
    return cast("User", request.user)


def enveloped(data: Any) -> Response:
    return Response({"success": True, "data": data})


class DeviceViewSet(viewsets.GenericViewSet[Device]):
    pagination_class = None

    def get_queryset(self) -> QuerySet[Device]:
        return Device.objects.filter(user=self.request.user.pk).order_by("created_at")

    def list(self, request: Request) -> Response:
        return enveloped(s.DeviceSerializer(self.get_queryset(), many=True).data)

    def retrieve(self, request: Request, pk: UUID) -> Response:
        return enveloped(s.DetailsSerializer(self.get_object()).data)


class StateViewSet(DeviceViewSet):
    def list(self, request: Request) -> Response:
        return enveloped(s.NamedStateSerializer(self.get_queryset().filter(is_active=True), many=True).data)


class Fifty(LimitOffsetPagination):
    default_limit = 50


class Paged(viewsets.GenericViewSet[Any]):
    name = ""
    pagination_class = Fifty

    def list(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        rows = self.get_serializer(page, many=True).data
        total = self.paginator.count  # type: ignore[union-attr]
        pagination = {"total": total, "limit": 50, "offset": 0, "has_more": total > len(rows)}
        return enveloped({self.name: rows, "pagination": pagination, **self.more()})

    def more(self) -> dict[str, Any]:
        return {}


class NotificationViewSet(Paged):
    name = "notifications"
    serializer_class = s.NotificationSerializer

    def get_queryset(self) -> QuerySet[Notification]:
        return Notification.objects.filter(user=self.request.user.pk).order_by("-created_at", "-id")

    def more(self) -> dict[str, Any]:
        return {"unread_count": self.get_queryset().filter(is_read=False).count()}


class ActivityViewSet(Paged):
    name = "activities"
    serializer_class = s.NamedActivitySerializer

    def get_queryset(self) -> QuerySet[ActivityLog]:
        named = Device.objects.filter(pk=OuterRef("device_id")).values("device_name")
        lines = ActivityLog.objects.filter(user_id=person(self.request).pk)
        return lines.annotate(device_name=Subquery(named)).order_by("-timestamp", "-id")


class DeviceTokenAuthentication(BaseAuthentication):
    def authenticate(self, request: Request) -> tuple[Any, Any]:
        hashed = hashlib.sha256(request.headers["Authorization"].removeprefix("Bearer ").encode()).hexdigest()
        try:
            found = DeviceCredential.objects.select_related("device__user").get(token_hash=hashed, ended_at=None)
        except DeviceCredential.DoesNotExist as error:
            raise AuthenticationFailed from error
        return found.device.user, found


class ReportViewSet(viewsets.ViewSet):
    """What dispensers say."""

    authentication_classes = (DeviceTokenAuthentication,)

    def own(self, request: Request, pk: UUID) -> Device:
        device: Device = cast("DeviceCredential", request.auth).device
        if device.pk != pk:
            raise PermissionDenied
        return device

    @transaction.atomic
    def state(self, request: Request, pk: UUID) -> Response:
        form = s.ReadingSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        placed, sensor = form.validated_data["cup_placed"], form.validated_data.get("sensor_reading")
        now, device = timezone.now(), self.own(request, pk)
        # The doses of a family count against each other.
        types = plans.members(device.family)
        family = Device.objects.select_for_update().filter(user_id=device.user_id, device_type__in=types)
        device = next(each for each in family.order_by("pk") if each.pk == pk)
        facts = doses.facts_of(device, cup_placed=placed, now=now)
        verdict = dispensing.decide(facts)
        DeviceState.objects.create(
            id=uuid7(now), device_id=pk, cup_placed=placed, sensor_reading=sensor, timestamp=now, received_at=now
        )
        dispense = self.poured(device, now) if verdict.should_dispense else None
        device.event_count += 1
        if placed:
            self.decided(device, verdict, dispense, now)
        else:
            device.last_removal_at = now
        if device.cup_placed != placed:
            device.cup_placed, device.last_state_change = placed, now
        device.sensor_reading, device.last_event_at = sensor, now
        self.seen(device, now)
        device.save()
        return enveloped(self.answer(device, facts.limits, verdict, dispense, now))

    def answer(
        self, device: Device, limits: Limits, verdict: Verdict, dispense: Dispense | None, now: datetime
    ) -> dict[str, Any]:
        if dispense:
            limits = limits.with_dose(Dose(now, dispense.amount))
        plan = limits.plan
        dose = {"amount": float(plan.amount), "unit": plan.unit, "volume_ul": plan.volume_ul}
        return {
            "device_id": device.pk,
            "cup_placed": device.cup_placed,
            "last_state_change": device.last_state_change,
            "should_dispense": dispense is not None,
            "dispense_amount": plan.dose_text if dispense else None,
            "reason": verdict.reason,
            "reason_class": reasons.reason_class(verdict.reason),
            "dispense_id": dispense and dispense.pk,
            "dose": dose if dispense else None,
            "expires_at": dispense and dispense.expires_at,
            "next_dose_at": dispensing.next_dose_at(limits, now=now),
            "plan_version": plan.version,
            "server_time": now,
            "server_ms": int(now.timestamp() * 1000),
        }

    def poured(self, device: Device, now: datetime) -> Dispense:
        plan, activity_id, dispense_id = device.dose_plan, uuid7(now), uuid4()
        dispense = Dispense.objects.create(
            id=dispense_id,
            user_id=device.user_id,
            device_id=device.pk,
            family=device.family,
            status="authorized",
            amount=plan.amount,
            unit=plan.unit,
            plan_version=plan.version,
            activity_id=activity_id,
            authorized_at=now,
            expires_at=now + dispensing.VALID_FOR,
        )
        ActivityLog.objects.create(
            id=activity_id,
            user_id=device.user_id,
            device_id=device.pk,
            action="dose_dispensed",
            dose_amount=plan.dose_text,
            triggered_by="automatic",
            confirmation="pending",
            local_date=plan.local_date(now),
            metadata={"dispense_id": str(dispense_id)},
            timestamp=now,
        )
        day, _ = DoseDay.objects.get_or_create(
            device_id=device.pk, local_date=plan.local_date(now), defaults={"user_id": device.user_id}
        )
        DoseDay.objects.filter(pk=day.pk).update(doses=F("doses") + 1)
        device.last_dose_event_at = now
        device.total_doses_dispensed += 1
        return dispense

    def decided(self, device: Device, verdict: Verdict, dispense: Dispense | None, now: datetime) -> None:
        Decision.objects.create(
            id=uuid7(now),
            device=device,
            decided_at=now,
            should_dispense=verdict.should_dispense,
            reason=verdict.reason,
            trace=[asdict(step) for step in verdict.trace],
            dispense_id=dispense.pk if dispense else None,
            event_count=device.event_count,
        )
        device.last_decision = {
            "at": now.isoformat(),
            "should_dispense": verdict.should_dispense,
            "reason": verdict.reason,
            "reason_class": reasons.reason_class(verdict.reason),
            "dispense_id": str(dispense.pk) if dispense else None,
        }

    def seen(self, device: Device, now: datetime) -> None:
        device.is_connected, device.setup_state = True, "online"
        device.contact_at = device.last_seen = device.last_sync = device.updated_at = now
        device.silent_at = now + timedelta(seconds=2.5 * settings.HEARTBEAT_S)

    @transaction.atomic
    def status(self, request: Request, pk: UUID) -> Response:
        form = s.StatusSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        now = timezone.now()
        device = Device.objects.select_for_update().get(pk=self.own(request, pk).pk)
        told = [
            f"low_{kind}"
            for kind in (AlertKind.BATTERY, AlertKind.SUPPLEMENT)
            if f"{kind}_level" in form.validated_data
            and self.alerted(device, kind, form.validated_data[f"{kind}_level"], now)
        ]
        for name, value in form.validated_data.items():
            setattr(device, name, value)
        self.seen(device, now)
        device.save()
        return enveloped(
            {
                "id": device.pk,
                "battery_level": device.battery_level,
                "supplement_level": device.supplement_level,
                "is_connected": device.is_connected,
                "last_sync": device.last_sync,
                "notifications_sent": told,
                "next_dose_at": doses.next_dose_at(device, now=now),
                "plan_version": device.plan_version,
                "heartbeat_s": settings.HEARTBEAT_S,
                "rotate_token": False,
                "server_time": now,
                "server_ms": int(now.timestamp() * 1000),
            }
        )

    def alerted(self, device: Device, kind: AlertKind, level: int, now: datetime) -> bool:
        state, _ = AlertState.objects.get_or_create(device=device, kind=kind)
        opens = level <= LOW and state.severity is None
        if opens or (level > LOW and state.severity):
            state.severity = "low" if opens else None
            state.save()
        if opens:
            Notification.objects.create(
                id=uuid7(now),
                user_id=device.user_id,
                device_id=device.pk,
                type=f"low_{kind}",
                title=f"Low {kind}",
                message=f"{device.device_name}: {level} %",
                dedupe_key=f"{kind}:{device.pk}:{now}",
                created_at=now,
            )
        return opens
