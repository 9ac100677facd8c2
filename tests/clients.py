"""Clients of the API for tests: they speak HTTP to the whole stack, middleware included."""

from typing import Any
from uuid import UUID, uuid4

from django.test import Client
from django.test.client import ClientHandler

from accounts.models import User
from tests import make

# One for all clients: to load the middleware takes longer than most requests.
HANDLER = ClientHandler(enforce_csrf_checks=False)


class Api:
    """An HTTP client with a bearer token; every answer is checked to be an envelope."""

    def __init__(self, token: str = "", mount: str = "/v1") -> None:
        self.token = token
        self.mount = mount
        self.http = Client(raise_request_exception=False)
        self.http.handler = HANDLER

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        bearer = {"HTTP_AUTHORIZATION": f"Bearer {self.token}"} if self.token else {}
        sent: dict[str, Any] = {"content_type": "application/json", **bearer, **headers}
        payload = body if isinstance(body, (bytes, str)) else _json(body)
        return checked(self.http.generic(method, self.mount + path, payload, **sent))

    def get(self, path: str, **headers: str) -> Any:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("POST", path, body, **headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("PUT", path, body, **headers)

    def patch(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("PATCH", path, body, **headers)

    def delete(self, path: str, body: Any = None, **headers: str) -> Any:
        return self.send("DELETE", path, body, **headers)


class Phone(Api):
    """The app of one signed-in person."""

    def __init__(self, sign_in: Any) -> None:
        super().__init__(sign_in.tokens.access)
        self.user: User = sign_in.user
        self.refresh_token: str = sign_in.tokens.refresh

    def dispenser(self, **described: Any) -> "Unit":
        made = make.dispenser(self.user, **described)
        return Unit(made.id, made.token)


class Unit(Api):
    """One dispenser with its device token."""

    def __init__(self, device_id: UUID, token: str) -> None:
        super().__init__(token)
        self.id = device_id

    def cup(self, placed: bool, **reading: Any) -> Any:
        return self.post(f"/states/{self.id}", {"cup_placed": placed, **reading})

    def ask(self, *, cup_placed: bool = True, **request: Any) -> Any:
        """A request of the full protocol."""
        return self.post(
            "/iot/dispense/request", {"request_id": str(uuid4()), "cup_placed": cup_placed, **request}
        )

    def confirm(self, dispense_id: str, outcome: str, **report: Any) -> Any:
        body = {"event_id": str(uuid4()), "outcome": outcome, **report}
        return self.post(f"/iot/dispense/{dispense_id}/confirm", body)

    def status(self, **reported: Any) -> Any:
        return self.patch(f"/devices/{self.id}/status", reported)


def checked(response: Any) -> Any:
    """The response, proven to be an envelope or a file; `.data` and `.error` are its parts, `.file` its bytes."""
    response.file = response.getvalue()
    if "Content-Disposition" in response.headers:
        return response
    body = response.json()
    assert body["success"] is (response.status_code < 400), body
    response.data = body.get("data")
    response.error = body.get("error")
    if response.status_code >= 400:
        assert set(body) == {"success", "error"}
        assert set(body["error"]) == {"code", "message", "details", "timestamp", "request_id"}
        assert body["error"]["request_id"] == response["X-Request-ID"]
    else:
        assert set(body) in ({"success", "data"}, {"success", "message"}), body
    return response


def _json(body: Any) -> bytes:
    from zinzino.api.renderers import dumps

    return b"" if body is None else dumps(body)
