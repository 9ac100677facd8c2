"""api.md 0, retries."""

import threading
import time
from collections import Counter
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from rest_framework.request import Request
from rest_framework.response import Response

from tests.api.conftest import Caller
from tests.threads import together
from zinzino import clock
from zinzino.api import errors
from zinzino.api.idempotency import AnswerWithSecret, idempotent
from zinzino.api.views import OpenViewSet, route, said
from zinzino.models import RememberedOutcome
from zinzino.tasks import prune

made: Counter[str] = Counter()
guard = threading.Lock()


def count(name: str) -> int:
    with guard:
        made[name] += 1
        return made[name]


def field(request: Request, name: str) -> str:
    data: Any = request.data
    return str(data[name])


def secret_again(_view: Any, _request: Request, reference: UUID) -> Response:
    return Response({"id": reference, "secret": "fresh"}, status=201)


class Counting(OpenViewSet):
    @idempotent()
    def slow(self, request: Request) -> Response:
        number = count(field(request, "name"))
        time.sleep(0.2)
        return Response({"number": number, "at": clock.now()}, status=201)

    @idempotent()
    def sentence(self, request: Request) -> Response:
        count(field(request, "name"))
        return said("Done.")

    @idempotent()
    def refuse(self, request: Request) -> Response:
        if count(field(request, "name")) == 1:
            raise errors.DuplicateEntry
        return said("Done.")

    @idempotent(again=secret_again)
    def secret(self, request: Request) -> Response:
        count(field(request, "name"))
        return AnswerWithSecret({"secret": "first"}, status=201, reference=UUID(field(request, "id")))


urlpatterns = [
    route("v1/slow", Counting, "slow", post="slow"),
    route("v1/sentence", Counting, "sentence", post="sentence"),
    route("v1/refuse", Counting, "refuse", post="refuse"),
    route("v1/secret", Counting, "secret", post="secret"),
]
handler404, handler500 = errors.unknown_path, errors.server_error

pytestmark = [pytest.mark.urls(__name__), pytest.mark.django_db(transaction=True)]


@pytest.fixture
def name() -> str:
    return str(uuid4())


def keyed(key: object = None) -> dict[str, str]:
    return {"Idempotency-Key": str(key or uuid4())}


def test_without_a_key_every_request_takes_effect(caller: Caller, name: str) -> None:
    assert [caller.post("/v1/sentence", {"name": name}).status_code for _ in range(2)] == [200, 200]
    assert made[name] == 2
    assert not RememberedOutcome.objects.exists()


def test_the_same_key_takes_effect_once_and_gets_the_same_answer(caller: Caller, name: str) -> None:
    key = keyed()
    first, second = (caller.post("/v1/slow", {"name": name}, **key) for _ in range(2))
    assert (first.status_code, second.status_code, made[name]) == (201, 201, 1)
    assert first.json() == second.json()


def test_two_requests_at_once_with_one_key_take_effect_once(caller: Caller, name: str) -> None:
    key = keyed()

    first, second = together(lambda path: caller.post(path, {"name": name}, **key).json(), ["/v1/slow"] * 2)
    assert first == second
    assert made[name] == 1


def test_a_sentence_is_repeated_as_a_sentence(caller: Caller, name: str) -> None:
    key = keyed()
    answers = [caller.post("/v1/sentence", {"name": name}, **key).json() for _ in range(2)]
    assert answers == [{"success": True, "message": "Done."}] * 2
    assert made[name] == 1


def test_the_same_key_with_another_body_is_a_duplicate(caller: Caller, name: str) -> None:
    key = keyed()
    caller.post("/v1/sentence", {"name": name}, **key)
    answer = caller.post("/v1/sentence", {"name": name, "more": 1}, **key)
    assert answer.status_code == 409
    assert answer.json()["error"]["details"] == {"reason": "duplicate"}
    assert made[name] == 1


def test_the_order_of_fields_does_not_matter(caller: Caller, name: str) -> None:
    key = keyed()
    caller.post("/v1/sentence", {"name": name, "b": 1}, **key)
    assert caller.post("/v1/sentence", {"b": 1, "name": name}, **key).status_code == 200


def test_a_refused_request_may_be_sent_again(caller: Caller, name: str) -> None:
    key = keyed()
    statuses = [caller.post("/v1/refuse", {"name": name}, **key).status_code for _ in range(3)]
    assert (statuses, made[name]) == ([409, 200, 200], 2)


def test_clients_do_not_share_keys(caller: Caller, name: str) -> None:
    key = keyed()
    caller.post("/v1/sentence", {"name": name}, **key)
    assert Caller().post("/v1/sentence", {"name": name}, **key).status_code == 200
    assert made[name] == 2


def test_a_secret_is_made_anew_and_never_kept(caller: Caller, name: str) -> None:
    key, made_id = keyed(), str(uuid4())
    answers = [caller.post("/v1/secret", {"name": name, "id": made_id}, **key).json() for _ in range(2)]
    assert [answer["data"]["secret"] for answer in answers] == ["first", "fresh"]
    assert RememberedOutcome.objects.get().data is None
    assert made[name] == 1


@pytest.mark.parametrize("key", ["nonsense", "", "1", "x" * 10_000])
def test_a_malformed_key_is_a_validation_error(caller: Caller, name: str, key: str) -> None:
    answer = caller.post("/v1/sentence", {"name": name}, **{"Idempotency-Key": key})
    assert answer.status_code == 422
    assert list(answer.json()["error"]["details"]) == ["Idempotency-Key"]
    assert made[name] == 0


def test_a_key_is_free_again_after_a_day(caller: Caller, name: str) -> None:
    key = keyed()
    with time_machine.travel(clock.now() - timedelta(hours=25)):
        caller.post("/v1/sentence", {"name": name}, **key)
    caller.post("/v1/sentence", {"name": name}, **key)
    assert made[name] == 2
    assert RememberedOutcome.objects.count() == 1


def test_prune_deletes_the_old_ones_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zinzino.api.idempotency.CHUNK_ROWS", 2)
    old, young = clock.now() - timedelta(hours=24, minutes=1), clock.now() - timedelta(hours=23)
    RememberedOutcome.objects.bulk_create(
        RememberedOutcome(scope="a", key=uuid4(), request_hash="", created_at=at) for at in [old] * 5 + [young]
    )
    assert prune() == 5
    assert RememberedOutcome.objects.get().created_at == young
