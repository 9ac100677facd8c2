"""`/devices/:id/plan` (api.md 3)."""

from uuid import UUID

from accounts.authentication import caller
from devices import planning
from devices.plan_serializers import PlanEdit
from devices.serializers import PlanWithWarnings
from zinzino import clock
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response

EDIT = {
    "dose": {"amount": 5},
    "slots": [{"local_time": "08:00", "days": ["mon", "tue", "wed", "thu", "fri"], "after_min": 120}],
    "base_version": 1,
}
RULES = """\
Partial; `slots` are replaced whole. Left out with `slots`: the target becomes a dose for each slot of a full
day, the daily maximum has room for it, and the interval is 12 hours shared among them, at least that of the
supplement. A new time zone takes effect with the next local day. The same edit again changes nothing."""


class PlanViewSet(ApiViewSet):
    @operation("The dose plan of a device", response=PlanWithWarnings, errors=(403, 404))
    def retrieve(self, request: Request, device_id: UUID) -> Response:
        return Response(planning.shown_plan(device_id, caller(request).id, now=clock.now()))

    @operation(
        "Change the dose plan of a device",
        request=PlanEdit,
        response=PlanWithWarnings,
        errors=(403, 404, 409),
        example=EDIT,
        description=RULES,
    )
    def update(self, request: Request, device_id: UUID) -> Response:
        fields, user, now = self.parsed(PlanEdit, request), caller(request), clock.now()
        base_version = fields.pop("base_version", None)
        planning.edit_plan(device_id, user.id, fields, now=now, base_version=base_version)
        return Response(planning.shown_plan(device_id, user.id, now=now))
