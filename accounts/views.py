"""Sections 1 and 2 of the API: authentication and profile."""

from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from accounts import pictures, services, sessions, sql, support_codes
from accounts import serializers as s
from accounts.authentication import caller
from accounts.models import Session
from zinzino import clock
from zinzino.api import language
from zinzino.api.idempotency import AnswerWithSecret, idempotent
from zinzino.api.renderers import Message, raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, OpenViewSet, Request, Response, said


def signed_in(sign_in: services.SignIn, *, with_picture: bool) -> dict[str, Any]:
    user = sign_in.user
    picture = {"profile_picture": pictures.address(user.profile_picture)} if with_picture else {}
    return {
        "user": {"id": user.id, "email": user.email, "full_name": user.full_name}
        | picture
        | {"created_at": user.created_at},
        "token": sign_in.tokens.access,
        "refresh_token": sign_in.tokens.refresh,
    }


def shown(session: Session, *, current: UUID) -> dict[str, Any]:
    return {
        "id": session.pk,
        "device_name": session.device_name,
        "platform": session.platform,
        "app_version": session.app_version,
        "created_at": session.created_at,
        "last_seen_at": session.last_seen_at,
        "current": session.pk == current,
    }


def register_again(view: "RegisterViewSet", request: Request, reference: UUID) -> Response:
    """The same registration again: a new session for who knows the password (api.md 0)."""
    form = view.parsed(s.Register, request)
    client = sessions.Client.of(request._request)
    sign_in = services.sign_in_again(reference, form["password"], client=client, now=clock.now())
    return Response(signed_in(sign_in, with_picture=False), status=201)


class RegisterViewSet(OpenViewSet):
    validation_status = 400

    @operation(
        "Create an account", request=s.Register, response=s.SignedIn, status=201, errors=(409,), auth="none"
    )
    @idempotent(again=register_again)
    def create(self, request: Request) -> Response:
        form = self.parsed(s.Register, request)
        form.setdefault("language", language.of_request(request._request) or "tr")
        client = sessions.Client.of(request._request)
        sign_in = services.register(**form, client=client, now=clock.now())
        answer = signed_in(sign_in, with_picture=False)
        return AnswerWithSecret(answer, status=201, reference=sign_in.user.id)


class LoginViewSet(OpenViewSet):
    @operation("Sign in", request=s.Login, response=s.SignedIn, errors=(401, 403), auth="none")
    def create(self, request: Request) -> Response:
        form = self.parsed(s.Login, request)
        client = sessions.Client.of(request._request)
        return Response(signed_in(services.login(**form, client=client, now=clock.now()), with_picture=True))

    @operation("Refresh the tokens", request=s.Refresh, response=s.Refreshed, errors=(401,), auth="none")
    def refresh(self, request: Request) -> Response:
        token = self.parsed(s.Refresh, request)["refresh_token"]
        pair = sessions.rotate(token, now=clock.now())
        return Response({"token": pair.access, "refresh_token": pair.refresh, "expires_in": pair.expires_in})


class LogoutViewSet(ApiViewSet):
    @operation("Sign out of this session, or of all", request=s.Logout, response=Message)
    def create(self, request: Request) -> Response:
        user, everywhere = caller(request), self.parsed(s.Logout, request)["all"]
        services.logout(user.id, user.session_id, everywhere=everywhere, now=clock.now())
        return said(_("Signed out."))


class SessionsViewSet(ApiViewSet):
    @operation("Your living sessions", response=s.Session, many=True)
    def list(self, request: Request) -> Response:
        user = caller(request)
        return Response([shown(row, current=user.session_id) for row in services.living_sessions(user.id)])

    @operation("End one session", response=Message, errors=(403, 404))
    def destroy(self, request: Request, session_id: UUID) -> Response:
        services.end_session(session_id, caller(request).id, now=clock.now())
        return said(_("The session has been ended."))

    @operation("End all other sessions", response=s.Ended)
    def destroy_others(self, request: Request) -> Response:
        user = caller(request)
        ended = services.end_other_sessions(user.id, user.session_id, now=clock.now())
        return Response({"ended_count": ended})


class ProfileViewSet(ApiViewSet):
    @operation("Your profile", response=s.Profile)
    def retrieve(self, request: Request) -> Response:
        return Response(raw(sql.profile(caller(request).id)))

    @operation("Change your profile", request=s.ProfileUpdate, response=s.Profile)
    def update(self, request: Request) -> Response:
        services.update_profile(caller(request).id, self.parsed(s.ProfileUpdate, request), now=clock.now())
        return Response(raw(sql.profile(caller(request).id)))


class SupportCodeViewSet(ApiViewSet):
    @operation(
        "A code for support: whoever you read it out to sees your account", response=s.SupportCode, status=201
    )
    def create(self, request: Request) -> Response:
        code, expires_at = support_codes.issue(caller(request).id, now=clock.now())
        return Response({"code": code, "expires_at": expires_at}, status=201)
