"""Sections 1.6, 1.7, 1.9 and 2.4: passwords and addresses."""

from django.utils.translation import gettext as _

from accounts import recovery
from accounts import serializers as s
from accounts.authentication import caller
from zinzino import clock
from zinzino.api.idempotency import idempotent
from zinzino.api.renderers import Message
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, OpenViewSet, Request, Response, said


class MailedTokenViewSet(OpenViewSet):
    @operation("Ask for a link to a new password", request=s.Email, response=Message, errors=(404,), auth="none")
    @idempotent()
    def forgot_password(self, request: Request) -> Response:
        recovery.request_reset(self.parsed(s.Email, request)["email"], now=clock.now())
        return said(_("A link to reset your password has been sent to your email address."))

    @operation(
        "Set a new password by a mailed token",
        request=s.ResetPassword,
        response=Message,
        errors=(400,),
        auth="none",
    )
    @idempotent()
    def reset_password(self, request: Request) -> Response:
        recovery.reset_password(**self.parsed(s.ResetPassword, request), now=clock.now())
        return said(_("Your password has been reset."))

    @operation(
        "Confirm an e-mail address", request=s.MailedToken, response=Message, errors=(400, 409), auth="none"
    )
    @idempotent()
    def verify_email(self, request: Request) -> Response:
        recovery.verify_email(self.parsed(s.MailedToken, request)["token"], now=clock.now())
        return said(_("Your email address has been confirmed."))


class CredentialsViewSet(ApiViewSet):
    @operation("Send the confirmation mail again", response=Message, errors=(422,))
    @idempotent()
    def resend_verification(self, request: Request) -> Response:
        sent = recovery.resend_verification(caller(request).id, now=clock.now())
        if not sent:
            return said(_("Your email address is already confirmed."))
        return said(_("A confirmation link has been sent to your email address."))

    @operation("Change your password", request=s.ChangePassword, response=Message, errors=(401, 403))
    def change_password(self, request: Request) -> Response:
        form, user = self.parsed(s.ChangePassword, request), caller(request)
        recovery.change_password(
            user.id, user.session_id, form["current_password"], form["new_password"], now=clock.now()
        )
        return said(_("Your password has been changed."))

    @operation("Move to another e-mail address", request=s.ChangeEmail, response=Message, errors=(401, 403, 409))
    @idempotent()
    def change_email(self, request: Request) -> Response:
        form, user = self.parsed(s.ChangeEmail, request), caller(request)
        recovery.request_email_change(user.id, user.session_id, **form, now=clock.now())
        return said(_("A confirmation link has been sent to the new address."))
