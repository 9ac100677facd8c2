"""The back office's pages of firmware: releases, and rollouts with their progress and who may act on them."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from devices.firmware import progress, releases, rollouts
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
        label=gettext_lazy("Reason"),
        max_length=500,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "autofocus": True}),
    )


class BlockForm(ReasonForm):
    """Nothing takes a block back, so that the version has to be typed."""

    def __init__(self, *args: Any, version: str, **named: Any) -> None:
        super().__init__(*args, **named)
        self.version = version
        label = _("Type the version, %(version)s, to confirm") % {"version": version}
        self.fields["version"] = forms.CharField(label=label, max_length=50, widget=UnfoldAdminTextInputWidget())

    def clean_version(self) -> str:
        if self.cleaned_data["version"] != self.version:
            raise forms.ValidationError(_("This is not the version that the page is about."))
        return self.version


@admin.register(FirmwareRelease)
class FirmwareReleaseAdmin(BackOfficeAdmin):
    """What was signed and published (`manage.py firmware_publish`), and blocking it."""

    list_display = ("version", "hardware", "counter", "status", "size", "key_id", "published_at", "blocked_at")
    list_filter = ("status",)
    exclude = ("file",)
    ordering = ("-id",)
    change_form_outer_before_template: Any = "devices/release_acts.html"

    def has_act_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("devices.change_firmwarerelease"))

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(self.block_view)
        block = path("<uuid:release_id>/block/", page, name="devices_firmwarerelease_block")
        urls: list[URLPattern] = super().get_urls()
        return [block, *urls]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        release: Any = self.get_object(request, object_id)
        may = release and release.status != releases.Status.BLOCKED and self.has_act_permission(request)
        page = reverse("admin:devices_firmwarerelease_block", args=[release.pk]) if may else ""
        said = {"block_page": page, "block_label": _("Block this release")}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **said})

    def block_view(self, request: HttpRequest, release_id: UUID) -> HttpResponse:
        """Says what a block means, and does it with a reason and the version typed."""
        if not self.has_act_permission(request):
            raise PermissionDenied
        release = get_object_or_404(FirmwareRelease, pk=release_id)
        form = BlockForm(request.POST or None, version=release.version)
        back = reverse("admin:devices_firmwarerelease_change", args=[release.pk])
        if request.method == "POST" and form.is_valid():
            self.block(request, release, form.cleaned_data["reason"])
            return HttpResponseRedirect(back)
        act = _("Block this release")
        return asked(
            request, form, title=f"{act}: {release}", means=what_a_block_means(release), act=act, back=back
        )

    def block(self, request: HttpRequest, release: FirmwareRelease, reason: str) -> None:
        """The block and its line in the audit log, unless somebody was faster: theirs is the reason that stays."""
        now = clock.now()
        try:
            with transaction.atomic():
                halted = rollouts.block(release.pk, reason=reason, by=str(request.user), now=now)
                release.refresh_from_db()
                if release.blocked_at != now:
                    raise rollouts.RolloutRefused(_("%(release)s is blocked already.") % {"release": release})
                about = audit.Thing("firmware_release", str(release.pk))
                after = {"release": str(release), "halted": [str(each.pk) for each in halted]}
                audit.record(actor(request), "block", about, reason=reason, after=after)
            self.message_user(request, _("Done."), messages.SUCCESS)
        except rollouts.RolloutRefused as refusal:
            self.message_user(request, str(refusal), messages.ERROR)


@admin.register(FirmwareRollout)
class FirmwareRolloutAdmin(BackOfficeAdmin):
    list_display = ("release", "hardware", "status", "reach", "succeeded", "failed", "stage_since", "reason")
    list_filter = ("status",)
    ordering = ("-id",)
    change_form_outer_before_template: Any = "devices/rollout_progress.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[FirmwareRollout]:
        """With the release, which its name is made of."""
        rows: QuerySet[FirmwareRollout] = super().get_queryset(request)
        return rows.select_related("release")

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
        back = reverse("admin:devices_firmwarerollout_change", args=[rollout.pk])
        title = f"{ACTS[what]}: {rollout.release}"
        return asked(request, form, title=title, means=MEANS[what], act=ACTS[what], back=back)

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


def asked(
    request: HttpRequest, form: ReasonForm, *, title: str, means: Any, act: Any, back: str
) -> TemplateResponse:
    """The page between a button and what it does."""
    said = {"title": title, "means": means, "form": form, "act": act, "back": back, "cancel": _("Back")}
    return TemplateResponse(request, "devices/firmware_act.html", {**admin.site.each_context(request), **said})


def what_a_block_means(release: FirmwareRelease) -> str:
    """With how many units it comes too late for."""
    return _(
        "At once nobody is offered %(release)s or begins to install it, and its rollout halts. Nothing takes this "
        "back: a corrected image has to be signed and published. Units that run it already (%(units)s) go on; a "
        "safety stop keeps those from pouring, a rollout of a later image brings them away from it."
    ) % {"release": release, "units": progress.running(release)}


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
