"""The back office's pages of firmware: releases, and rollouts with their progress and who may act on them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from devices.firmware import progress, rollouts
from devices.firmware.models import FirmwareRelease, FirmwareRollout
from zinzino import audit, clock
from zinzino.admin import BackOfficeAdmin, actor

# What a person may do from where it stands; the rules (rollouts.ACTS) have the last word.
ACTS = {
    "start": gettext_lazy("Start"),
    "pause": gettext_lazy("Pause"),
    "resume": gettext_lazy("Resume"),
    "advance": gettext_lazy("Next stage"),
    "finish": gettext_lazy("Finish"),
    "abort": gettext_lazy("Abort"),
}
MEANS = {
    "start": gettext_lazy("Units of the first stage are offered it from now on."),
    "pause": gettext_lazy("At once nobody is offered it, and nobody begins to install it. Who installs goes on."),
    "resume": gettext_lazy("It goes on where it stood. After a halt it is judged anew."),
    "advance": gettext_lazy("More units are offered it at once, without waiting for the rules."),
    "finish": gettext_lazy("Nobody is offered it any more; who has begun goes on."),
    "abort": gettext_lazy("It ends for good. Who has not begun to install leaves it."),
}
EVENTS_SHOWN = 50


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label=gettext_lazy("Reason"), max_length=500, widget=forms.Textarea(attrs={"rows": 2, "autofocus": True})
    )


@admin.register(FirmwareRelease)
class FirmwareReleaseAdmin(BackOfficeAdmin):
    """What was signed and published; `manage.py firmware_publish` and `firmware_block` change it."""

    list_display = ("version", "hardware", "counter", "status", "size", "key_id", "published_at", "blocked_at")
    list_filter = ("status",)
    exclude = ("file",)
    ordering = ("-id",)


@admin.register(FirmwareRollout)
class FirmwareRolloutAdmin(BackOfficeAdmin):
    list_display = ("release", "hardware", "status", "reach", "succeeded", "failed", "stage_since", "reason")
    list_filter = ("status",)
    list_select_related = ("release",)
    ordering = ("-id",)
    change_form_outer_before_template: Any = "devices/rollout_progress.html"

    @admin.display(description=gettext_lazy("reaches"))
    def reach(self, rollout: FirmwareRollout) -> str:
        return f"{rollout.percent} %"

    def has_act_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("devices.change_firmwarerollout"))

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.act_view)
        act = path("<uuid:rollout_id>/act/<slug:what>/", page, name="devices_firmwarerollout_act")
        urls: list[URLPattern] = super().get_urls()
        return [act, *urls]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        rollout: Any = self.get_object(request, object_id)
        shown = sheet(rollout, may_act=self.has_act_permission(request)) if rollout else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **shown})

    def act_view(self, request: HttpRequest, rollout_id: Any, what: str) -> HttpResponse:
        """Says what an act means, and does it with a reason."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        rollout = FirmwareRollout.objects.select_related("release").filter(pk=rollout_id).first()
        if rollout is None or what not in ACTS:
            raise Http404
        form = ReasonForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            self.carry_out(request, rollout, what, form.cleaned_data["reason"])
            return HttpResponseRedirect(reverse("admin:devices_firmwarerollout_change", args=[rollout.pk]))
        said = {"title": f"{ACTS[what]}: {rollout.release}", "means": MEANS[what], "form": form, "act": ACTS[what]}
        back = reverse("admin:devices_firmwarerollout_change", args=[rollout.pk])
        context = {**self.admin_site.each_context(request), **said, "back": back, "cancel": _("Back")}
        return TemplateResponse(request, "devices/rollout_act.html", context)

    def carry_out(self, request: HttpRequest, rollout: FirmwareRollout, what: str, reason: str) -> None:
        said: dict[str, Any] = {"by": str(request.user), "reason": reason, "now": clock.now()}
        try:
            with transaction.atomic():
                if what == "advance":
                    rollouts.advance(rollout.pk, **said)
                else:
                    rollouts.act(rollout.pk, what, **said)
                audit.record(actor(request), what, audit.Thing("firmware_rollout", str(rollout.pk)), reason=reason)
            self.message_user(request, _("Done."), messages.SUCCESS)
        except rollouts.RolloutRefused as refusal:
            self.message_user(request, str(refusal), messages.ERROR)


def sheet(rollout: FirmwareRollout, *, may_act: bool) -> dict[str, Any]:
    """The bar, the table and the history of a rollout, and what may be done with it."""
    found = progress.of(rollout)
    reached = round(found.units * rollout.percent / 100)
    states = (
        (_("succeeded"), found.succeeded, "#15803d"),
        (_("installing"), found.installing, "#1d4ed8"),
        (_("under way"), found.under_way, "#a16207"),
        (_("failed"), found.failed, "#b91c1c"),
    )
    width = max(reached, sum(count for _name, count, _colour in states), 1)
    events = rollout.events.order_by("-pk")[:EVENTS_SHOWN]
    return {
        "bar": [
            {"name": name, "count": count, "colour": colour, "width": f"{100 * count / width:.2f}"}
            for name, count, colour in states
        ],
        "figures": [
            (_("Units of this hardware"), found.units),
            (_("Reached by this stage, about"), f"{reached} ({rollout.percent} %)"),
            (_("Run this version"), found.updated),
            (_("Of this stage succeeded / failed"), f"{rollout.succeeded} / {rollout.failed}"),
        ],
        "jobs": sorted(found.jobs.items()),
        "events": [(clock.iso(each.at), each.what, each.by or _("the rules"), each.reason) for each in events],
        "headers": (_("When"), _("What"), _("Who"), _("Why")),
        "acts": possible(rollout) if may_act else [],
        "bar_says": ", ".join(f"{name}: {count}" for name, count, _colour in states),
    }


def possible(rollout: FirmwareRollout) -> list[tuple[str, Any]]:
    def fits(what: str) -> bool:
        if what == "advance":
            return rollout.status == rollouts.Status.RUNNING and rollout.stage + 1 < len(rollout.stages)
        return rollout.status in rollouts.ACTS[what][1]

    return [
        (reverse("admin:devices_firmwarerollout_act", args=[rollout.pk, what]), name)
        for what, name in ACTS.items()
        if fits(what)
    ]
