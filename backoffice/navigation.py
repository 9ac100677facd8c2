"""What stands in the navigation: what its reader may open, and nothing else."""

from typing import Any

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

# Title, icon, page, right. A list is left out where its model has no page (yet).
Item = tuple[Promise, str, str, str]
GROUPS: tuple[tuple[Promise, tuple[Item, ...]], ...] = (
    (
        _("Desk"),
        (
            (_("Dashboard"), "dashboard", "admin:index", "backoffice.open_dashboard"),
            (_("Customers"), "group", "admin:accounts_user_changelist", "accounts.view_user"),
            (_("Dispensers"), "water_drop", "admin:devices_device_changelist", "devices.view_device"),
        ),
    ),
    (
        _("What happened"),
        (
            (_("Decisions"), "rule", "admin:telemetry_decision_changelist", "telemetry.view_decision"),
            (
                _("Notifications"),
                "notifications",
                "admin:notifications_notification_changelist",
                "notifications.view_notification",
            ),
            (
                _("Pushes"),
                "send",
                "admin:notifications_pushdelivery_changelist",
                "notifications.view_pushdelivery",
            ),
            (_("Mails"), "mail", "admin:accounts_mail_changelist", "accounts.view_mail"),
        ),
    ),
    (
        _("Fleet"),
        (
            (_("Fleet report"), "monitoring", "admin:fleet", "backoffice.open_dashboard"),
            (
                _("Safety stops"),
                "front_hand",
                "admin:telemetry_safetystop_changelist",
                "telemetry.view_safetystop",
            ),
            (
                _("Firmware rollouts"),
                "system_update",
                "admin:devices_firmwarerollout_changelist",
                "devices.view_firmwarerollout",
            ),
            (
                _("Firmware releases"),
                "memory",
                "admin:devices_firmwarerelease_changelist",
                "devices.view_firmwarerelease",
            ),
            (
                _("Manufactured units"),
                "factory",
                "admin:devices_manufacturedunit_changelist",
                "devices.view_manufacturedunit",
            ),
            (
                _("Supplement profiles"),
                "vaccines",
                "admin:devices_supplementprofile_changelist",
                "devices.view_supplementprofile",
            ),
            (
                _("Dead letters"),
                "unsubscribe",
                "admin:telemetry_deadletter_changelist",
                "telemetry.view_deadletter",
            ),
            (
                _("Push routes"),
                "route",
                "admin:notifications_pushroute_changelist",
                "notifications.view_pushroute",
            ),
        ),
    ),
    (
        _("House"),
        (
            (_("Audit log"), "history_edu", "admin:zinzino_auditentry_changelist", "zinzino.view_auditentry"),
            (_("Staff"), "badge", "admin:backoffice_staffmember_changelist", "backoffice.view_staffmember"),
        ),
    ),
)


def of(request: HttpRequest) -> list[dict[str, Any]]:
    shown = [
        (title, [entry(request, item) for item in items if allowed(request, item)]) for title, items in GROUPS
    ]
    return [{"title": title, "items": items} for title, items in shown if items]


def allowed(request: HttpRequest, item: Item) -> bool:
    _title, _icon, page, right = item
    try:
        reverse(page)
    except NoReverseMatch:
        return False
    user: Any = request.user
    return bool(user.has_perm(right))


def entry(request: HttpRequest, item: Item) -> dict[str, Any]:
    title, icon, page, _right = item
    link = reverse(page)
    active = request.path == link or (page != "admin:index" and request.path.startswith(link))
    return {"title": title, "icon": icon, "link": link, "active": active, "has_permission": True}
