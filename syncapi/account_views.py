"""Section 2 of the API, as far as it touches all tables of a person: deletion and export (ADR 0009)."""

from typing import Any
from uuid import UUID

from django.core.files.storage import Storage
from django.http import FileResponse, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.utils.translation import gettext as _

from accounts import services as accounts
from accounts import sql
from accounts.authentication import caller
from accounts.deletion import Proof
from accounts.models import DataExport
from accounts.serializers import Profile
from accounts.views import ProfileViewSet
from syncapi import edits, erasure, exports
from syncapi import serializers as s
from zinzino import clock
from zinzino.api import errors
from zinzino.api.idempotency import idempotent
from zinzino.api.renderers import Message, raw
from zinzino.api.schema import operation
from zinzino.api.views import ApiViewSet, Request, Response, said

DELETION = {"password": "CurrentPassword123!", "confirmation": "DELETE"}
WITHOUT_PASSWORD = """\
Everything ends at once: sessions, device tokens, links; e-mail, MAC and serial can be registered again. Rows
and files are gone within a day. An account without a password sends `provider` and a fresh `id_token`."""


def deleted(view: ApiViewSet, request: Request) -> Response:
    form = view.parsed(s.Deletion, request)
    del form["confirmation"]
    user = caller(request)
    erasure.delete_account(user.id, user.session_id, Proof(**form), now=clock.now())
    return said(_("Your account has been deleted for good."))


class AccountViewSet(ProfileViewSet):
    """`/profile`: its end needs all tables, so that the route lives here."""

    @property
    def validation_status(self) -> int:  # type: ignore[override]  # 400 for the deletion only (api.md 0)
        return 400 if self.action == "destroy" else 422

    @operation("Change your profile", request=s.ProfileUpdate, response=Profile, errors=(409,))
    def update(self, request: Request) -> Response:
        user, fields = caller(request), self.parsed(s.ProfileUpdate, request)
        if base := fields.pop("base_version", None):
            edits.put_profile(user.id, fields, base=base, now=clock.now())
        else:
            accounts.update_profile(user.id, fields, now=clock.now())
        return Response(raw(sql.profile(user.id)))

    @operation(
        "Delete your account",
        request=s.Deletion,
        response=Message,
        errors=(403,),
        example=DELETION,
        description=WITHOUT_PASSWORD,
    )
    def destroy(self, request: Request) -> Response:
        return deleted(self, request)


class DeletionViewSet(ApiViewSet):
    validation_status = 400

    @operation(
        "Delete your account, for clients that cannot send a body with DELETE",
        request=s.Deletion,
        response=Message,
        errors=(403,),
        example=DELETION,
        description=WITHOUT_PASSWORD,
    )
    def create(self, request: Request) -> Response:
        return deleted(self, request)


class ExportViewSet(ApiViewSet):
    @operation(
        "Ask for a copy of all your data",
        response=s.RequestedExport,
        status=202,
        description="An unexpired one of the last 24 hours is answered instead of a new one.",
    )
    @idempotent()
    def create(self, request: Request) -> Response:
        export = exports.request(caller(request).id, now=clock.now())
        return Response({"id": export.pk, "status": export.status}, status=202)

    @operation("How far the copy is, and where it can be had", response=s.Export, errors=(403, 404))
    def retrieve(self, request: Request, export_id: UUID) -> Response:
        return Response(shown(exports.of_caller(export_id, caller(request).id)))


def shown(export: DataExport) -> dict[str, Any]:
    return {
        "id": export.pk,
        "status": export.status,
        "created_at": export.created_at,
        "ready_at": export.ready_at,
        "expires_at": export.expires_at,
        "download_url": exports.download_url(export, now=clock.now()),
    }


def download(request: HttpRequest, export_id: UUID, signature: str) -> HttpResponseBase:
    """The zip itself. Whoever has the address has the file; it is given to its owner only."""
    if request.method not in ("GET", "HEAD"):
        return errors.http_response(errors.MethodNotAllowed())
    try:
        export = exports.downloadable(export_id, signature, now=clock.now())
        response = handed_out(exports.store(), export)
    except (errors.NotFound, FileNotFoundError):
        return errors.http_response(errors.NotFound())
    response["Cache-Control"] = "private, no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response


def handed_out(storage: Storage, export: DataExport) -> HttpResponseBase:
    """The file; from a bucket, by an address of its own for a few minutes."""
    try:
        storage.path(export.file)
    except NotImplementedError:
        return HttpResponseRedirect(storage.url(export.file))
    name = f"zinzino-{export.created_at:%Y-%m-%d}.zip"
    return FileResponse(storage.open(export.file), as_attachment=True, filename=name)
