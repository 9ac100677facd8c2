"""The one table of who may do what. `manage.py setup_groups` writes it into Django's groups; tests read it too.

Least privilege: a role has what its work needs and no more. Only superusers stand outside it.
"""

from collections.abc import Mapping

from django.contrib.auth.models import Group, Permission
from django.db import transaction

DESK = frozenset(
    {"backoffice.open_dashboard", "backoffice.search", "backoffice.open_device", "devices.view_device"}
)
# What cannot harm a customer who is on the phone. On a customer's page the first level needs a support code.
SAFE = frozenset(
    {
        "backoffice.revoke_sessions",
        "backoffice.unlock_login",
        "backoffice.resend_verification",
        "backoffice.send_test_push",
        "backoffice.request_diagnostics",
    }
)
SUPPORT_L1 = DESK | SAFE | {"backoffice.open_customer"}
SUPPORT_L2 = SUPPORT_L1 | {
    "backoffice.see_personal",
    "backoffice.reissue_token",
    "backoffice.release_device",
    "backoffice.rearm_claim",
    "backoffice.correct_dose",
    "backoffice.show_app_view",
    "backoffice.export",
    "accounts.view_user",
    "accounts.view_mail",
    "devices.view_manufacturedunit",
    "notifications.view_notification",
    "notifications.view_pushdelivery",
    "telemetry.view_decision",
}
OPS = DESK | {
    "backoffice.request_diagnostics",
    "backoffice.rearm_claim",
    "backoffice.export",
    "devices.view_manufacturedunit",
    "devices.view_supplementprofile",
    "devices.view_firmwarerelease",
    "devices.change_firmwarerelease",
    "devices.view_firmwarerollout",
    "devices.change_firmwarerollout",
    "notifications.view_pushroute",
    "telemetry.view_decision",
    "telemetry.view_deadletter",
    "telemetry.view_safetystop",
    "telemetry.add_safetystop",
}
AUDITOR = frozenset(
    {
        "backoffice.open_dashboard",
        "backoffice.export",
        "devices.view_supplementprofile",
        "devices.view_firmwarerollout",
        "telemetry.view_safetystop",
        "zinzino.view_auditentry",
    }
)
ADMIN = (
    SUPPORT_L2
    | OPS
    | AUDITOR
    | {
        "backoffice.manage_staff",
        "backoffice.view_staffmember",
        "backoffice.change_staffmember",
        "devices.change_supplementprofile",
    }
)

ROLES: Mapping[str, frozenset[str]] = {
    "support_l1": SUPPORT_L1,
    "support_l2": SUPPORT_L2,
    "ops": OPS,
    "auditor": AUDITOR,
    "admin": ADMIN,
}


@transaction.atomic
def set_up(*, dry_run: bool = False) -> dict[str, list[str]]:
    """Make the groups what the table says, and take away what it no longer says; the changes by role."""
    changes, declared = {}, {named(each): each for each in Permission.objects.select_related("content_type")}
    for role, rights in ROLES.items():
        group = Group.objects.filter(name=role).first()
        held = {named(each) for each in permissions(group)} if group else set()
        changes[role] = [f"+{name}" for name in sorted(rights - held)] + [
            f"-{name}" for name in sorted(held - rights)
        ]
        if not dry_run and (changes[role] or group is None):
            group = group or Group.objects.create(name=role)
            group.permissions.set(found(rights, declared))
    return changes


def permissions(group: Group) -> list[Permission]:
    return list(group.permissions.select_related("content_type"))


def named(permission: Permission) -> str:
    return f"{permission.content_type.app_label}.{permission.codename}"


def found(rights: frozenset[str], declared: Mapping[str, Permission]) -> list[Permission]:
    """Raises LookupError for a right that no model declares, so that a typing mistake takes nobody's rights."""
    if missing := rights - declared.keys():
        raise LookupError(f"No such rights: {', '.join(sorted(missing))}. Has `manage.py migrate` run?")
    return [declared[name] for name in rights]
