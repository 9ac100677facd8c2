"""What the whole of one request may ask for: its id and whether it is an API request."""

import re
import uuid
from contextvars import ContextVar

from django.http import HttpRequest

_request_id: ContextVar[str] = ContextVar("request_id", default="")

API_MOUNTS = ("/v1/", "/api/")
# An id from outside goes into logs and answers: only harmless characters, bounded length.
WELL_FORMED_ID = re.compile(r"[A-Za-z0-9-]{8,64}")


def current_request_id() -> str:
    return _request_id.get()


def adopt_request_id(offered: str) -> str:
    """Keep a well-formed id of the client or a proxy, else make one."""
    request_id = offered if WELL_FORMED_ID.fullmatch(offered) else str(uuid.uuid4())
    _request_id.set(request_id)
    return request_id


def is_api(request: HttpRequest) -> bool:
    return request.path_info.startswith(API_MOUNTS) or request.path_info in ("/v1", "/api")


def api_path(request: HttpRequest) -> str:
    """The path below the mount, the same for `/v1` and `/api`: `/auth/login`."""
    for mount in API_MOUNTS:
        if request.path_info.startswith(mount):
            return request.path_info[len(mount) - 1 :]
    return request.path_info
