"""Rights, and what every page of ours shares: the frame around a sheet."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from backoffice.sections import Sheet


def may(request: HttpRequest, right: str) -> bool:
    user: Any = request.user
    return bool(user.has_perm(f"backoffice.{right}"))


def need(request: HttpRequest, *rights: str) -> None:
    """Raises PermissionDenied where one of the rights is missing."""
    if not all(may(request, right) for right in rights):
        raise PermissionDenied


def shown(
    request: HttpRequest, sheet: Sheet, *, template: str = "page", status: int = 200, **more: Any
) -> HttpResponse:
    context = {**admin.site.each_context(request), "title": sheet.title, "sheet": sheet, **more}
    response = TemplateResponse(request, f"backoffice/{template}.html", context, status=status)
    # What stands here is somebody's: no browser keeps it after the session.
    response["Cache-Control"] = "no-store"
    return response
