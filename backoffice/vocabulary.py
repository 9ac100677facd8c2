"""What is translated by its value at run time, so that the catalogue knows of it: names of models, columns and
values as models have them, and the words of Django's and Unfold's pages that neither brings in Turkish."""

from django.utils.translation import gettext_lazy as _

MODELS = {
    ("accounts", "User"): (_("customer"), _("customers")),
    ("accounts", "Mail"): (_("mail"), _("mails")),
    ("devices", "Device"): (_("dispenser"), _("dispensers")),
    ("devices", "ManufacturedUnit"): (_("manufactured unit"), _("manufactured units")),
    ("devices", "SupplementProfile"): (_("supplement profile"), _("supplement profiles")),
    ("notifications", "Notification"): (_("notification"), _("notifications")),
    ("notifications", "PushDelivery"): (_("push"), _("pushes")),
    ("notifications", "PushRoute"): (_("push route"), _("push routes")),
    ("telemetry", "Decision"): (_("decision"), _("decisions")),
    ("telemetry", "DeadLetter"): (_("dead letter"), _("dead letters")),
    ("telemetry", "SafetyStop"): (_("safety stop"), _("safety stops")),
    ("zinzino", "AuditEntry"): (_("entry of the audit log"), _("audit log")),
    ("backoffice", "StaffMember"): (_("member of staff"), _("staff")),
}
