"""What members of staff may do beyond looking at single tables: rights without a table of their own."""

from django.db import models

from accounts.models import User


class Desk(models.Model):
    """Never stored: it carries the rights that roles are made of (`backoffice.roles`)."""

    class Meta:
        managed = False
        default_permissions = ()
        permissions = (
            ("open_dashboard", "Look at the dashboard"),
            ("search", "Search for customers and dispensers"),
            ("open_customer", "Open customer pages"),
            ("open_device", "Open dispenser pages"),
            ("see_personal", "See personal data without a support code"),
            ("revoke_sessions", "End sessions"),
            ("unlock_login", "Lift a login lock"),
            ("resend_verification", "Send the confirmation mail again"),
            ("send_test_push", "Send a test notification"),
            ("request_diagnostics", "Ask a dispenser for its log"),
            ("reissue_token", "Give a dispenser a new token"),
            ("release_device", "Take a dispenser off an account"),
            ("rearm_claim", "Forget wrong claim codes"),
            ("correct_dose", "Write down what became of a dose"),
            ("show_app_view", "See what the app would get"),
            ("export", "Export lists as CSV"),
            ("manage_staff", "Give and take roles"),
        )

    def __str__(self) -> str:
        return "desk"


class StaffMember(User):
    """A member of staff, whose roles an administrator gives."""

    class Meta:
        proxy = True
