"""The base of every API view: Django REST framework without the parts that nobody here uses."""

from collections.abc import Callable
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path, register_converter
from django.urls.converters import UUIDConverter
from rest_framework.request import Request as Request  # one import for the views
from rest_framework.response import Response as Response
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ViewSet

from zinzino.api import language
from zinzino.api.forms import filled_in
from zinzino.api.parsers import body_of
from zinzino.api.renderers import Message


class ApiViewSet(ViewSet):
    """A view parses, makes one call and renders.

    `validation_status` is 400 where the mission's page says so, else 422 (api.md 0).
    """

    validation_status = 422
    # DRF's OPTIONS would tell docstrings to strangers; what a browser asks before a request is answered by CORS.
    http_method_names = ("get", "head", "post", "put", "patch", "delete")

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        language.activate(request._request, getattr(request.user, "language", None))

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        if isinstance(answer, Response):
            answer.add_post_render_callback(self.let_go)
        return answer

    def let_go(self, answer: Response) -> None:
        """View, request and answer forget each other, and so end with their last reference.

        DRF ties them in circles. A hundred objects of each request waited for the garbage collector, which then
        stopped the process for a tenth of a second, and that about once a second under load.
        """
        answer.renderer_context.clear()  # type: ignore[attr-defined]  # its stubs do not know
        self.request.parser_context.clear()
        self.__dict__.clear()

    def parsed(self, serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
        """The validated body. Raises ValidationError with every failing field."""
        return filled_in(serializer, body_of(request), {"request": request, "view": self})

    def queried(self, serializer: type[BaseSerializer[Any]], request: Request) -> dict[str, Any]:
        """The validated query string, the same way."""
        return filled_in(serializer, request.query_params.dict(), {"request": request, "view": self})


class OpenViewSet(ApiViewSet):
    """For routes that need no token."""

    authentication_classes = ()
    permission_classes = ()


class AnyCaseUUID(UUIDConverter):
    """Swift writes UUIDs in capitals; Django's own converter knows small letters only."""

    regex = "(?i:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"


register_converter(AnyCaseUUID, "id")


def said(sentence: Any, status: int = 200) -> Response:
    return Response(Message(sentence), status=status)


def route(address: str, view: type[ViewSet], name: str, **actions: str) -> URLPattern:
    """`route("devices", DeviceViewSet, "devices", get="list", post="create")`."""
    handler: Callable[..., HttpResponse] = view.as_view({**actions}, detail=None)
    return path(address, handler, name=name)
