"""api.md 0, rate limits."""

import json
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.test import RequestFactory

from tests.api.conftest import Caller, access_token
from zinzino.api import ratelimit
from zinzino.api.bearer import new_device_token
from zinzino.redis_client import client as redis_client


@pytest.fixture(autouse=True)
def documented_limits(settings: Any) -> None:
    settings.RATE_LIMITS = {"general": 100, "auth": 10, "sync": 20, "iot": 200, "dispense": 30}


def bucket(path: str, token: str = "", body: Any = None, address: str = "192.0.2.1") -> tuple[str, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    content = "" if body is None else json.dumps(body)
    request = RequestFactory().generic(
        "POST", path, content, content_type="application/json", headers=headers, REMOTE_ADDR=address
    )
    return ratelimit.bucket(request)


def test_of_240_parallel_requests_exactly_100_pass(caller: Caller) -> None:
    with ThreadPoolExecutor(48) as pool:
        statuses = list(pool.map(lambda _: caller.get("/v1/time").status_code, range(240)))
    assert (statuses.count(200), statuses.count(429)) == (100, 140)


def test_both_mounts_share_one_counter(caller: Caller) -> None:
    assert caller.get("/v1/time")["X-RateLimit-Remaining"] == "99"
    assert caller.get("/api/time")["X-RateLimit-Remaining"] == "98"


def test_a_refused_request_says_when_to_come_again(caller: Caller, settings: Any) -> None:
    settings.RATE_LIMITS = {**settings.RATE_LIMITS, "general": 2}
    before = time.time()
    answers = [caller.get("/v1/time") for _ in range(3)]
    refused = answers[-1]
    wait = int(refused["Retry-After"])
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert refused.json()["error"]["code"] == "RATE_LIMIT_EXCEEDED"
    assert refused.json()["error"]["details"] == {"retry_after": wait}
    # Two a minute: one is free again half a minute after the first minute.
    assert wait in (90, 91)
    assert before + 89 <= int(refused["X-RateLimit-Reset"]) <= before + 92


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing/here", 404),
        ("GET", "/v1/time/", 404),
        ("POST", "/v1/time", 405),
        ("GET", "/v1/time?x=%00", 400),
        ("GET", "/v1/openapi.json", 200),
    ],
)
def test_every_answer_carries_the_headers(caller: Caller, method: str, path: str, status: int) -> None:
    answer = caller(method, path)
    assert answer.status_code == status
    assert (answer["X-RateLimit-Limit"], answer["X-RateLimit-Remaining"]) == ("100", "99")
    assert int(answer["X-RateLimit-Reset"]) > time.time()


@pytest.mark.parametrize("path", ["/health/live", "/v1/health/live", "/api/health/live", "/docs", "/unknown"])
def test_probes_and_pages_are_not_counted(caller: Caller, path: str) -> None:
    assert "X-RateLimit-Limit" not in caller.get(path)


@pytest.mark.parametrize(
    "path", ["register", "login", "google", "apple", "forgot-password", "reset-password", "verify-email"]
)
def test_sign_in_counts_by_address_whoever_is_signed_in(path: str) -> None:
    scope, who = bucket(f"/v1/auth/{path}", access_token())
    assert (scope, who) == bucket(f"/api/auth/{path}")
    assert (scope, who.partition(":")[0]) == ("auth", "address")


def test_a_refresh_counts_by_its_session() -> None:
    token = access_token(token_type="refresh", sid="0198b2c4-0000-7000-8000-000000000001")
    body = {"refresh_token": token}
    assert bucket("/v1/auth/refresh", body=body) == ("auth", "session:0198b2c4-0000-7000-8000-000000000001")


@pytest.mark.parametrize("body", [None, [], {}, {"refresh_token": 5}, {"refresh_token": "eyJ.x.y"}])
def test_a_refresh_without_a_good_token_counts_by_address(body: Any) -> None:
    assert bucket("/v1/auth/refresh", body=body) == bucket("/v1/auth/login")


def test_an_access_token_is_no_refresh_token() -> None:
    assert bucket("/v1/auth/refresh", body={"refresh_token": access_token()}) == bucket("/v1/auth/login")


def test_a_body_announced_too_large_is_not_read() -> None:
    request: Any = RequestFactory().post("/v1/auth/refresh", b"{}", content_type="application/json")
    request.META["CONTENT_LENGTH"] = "262145"
    assert ratelimit.bucket(request)[1].startswith("address:")
    assert not request._read_started


def test_other_auth_routes_count_by_user() -> None:
    user_id = str(uuid4())
    assert bucket("/v1/auth/logout", access_token(user_id=user_id)) == ("auth", f"user:{user_id}")


@pytest.mark.parametrize(("path", "scope"), [("/v1/sync/delta", "sync"), ("/v1/devices", "general")])
def test_a_person_counts_by_user(path: str, scope: str) -> None:
    user_id = str(uuid4())
    assert bucket(path, access_token(user_id=user_id)) == (scope, f"user:{user_id}")


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/v1/states/x", "iot"),
        ("/v1/devices/x/status", "iot"),
        ("/v1/iot/events", "iot"),
        ("/v1/iot/dispense/request", "dispense"),
        ("/api/iot/dispense/x/confirm", "dispense"),
    ],
)
def test_a_device_counts_by_device(path: str, scope: str) -> None:
    device_id = uuid4()
    assert bucket(path, new_device_token(device_id)) == (scope, f"device:{device_id}")


FORGED = [new_device_token(uuid4())[:-2] + "AA"]


@pytest.mark.parametrize(
    "token", ["", "nonsense", "znd_AAAA", *FORGED], ids=["none", "nonsense", "short", "forged"]
)
def test_without_a_good_token_the_address_counts(token: str) -> None:
    assert bucket("/v1/states/x", token) == bucket("/v1/devices")
    assert bucket("/v1/devices")[0] == "general"


def test_an_expired_token_counts_by_address() -> None:
    assert bucket("/v1/devices", access_token(exp=1)) == bucket("/v1/devices")


def test_ipv6_clients_count_by_their_network() -> None:
    def home(last: str) -> str:
        return bucket("/v1/devices", address=f"2001:db8:1:2:{last}")[1]

    assert home("a:b:c:d") == home("1::")
    assert home("a:b:c:d") != bucket("/v1/devices", address="2001:db8:1:3::1")[1]
    assert bucket("/v1/devices", address="::ffff:192.0.2.1") == bucket("/v1/devices")


def test_counters_name_neither_address_nor_e_mail_nor_token(caller: Caller) -> None:
    caller.post("/v1/auth/nothing", {"email": "ayse@example.com"}, Authorization="Bearer znd_abc")
    names = b" ".join(redis_client().scan_iter("rate:*")).decode()
    assert caller.address not in names
    assert "ayse" not in names
    assert "znd_" not in names


def test_one_counter_is_one_small_key_that_ends_by_itself() -> None:
    who = f"user:{uuid4()}"
    ratelimit.take("general", who)
    key = f"rate:general:{who}"
    assert redis_client().type(key) == b"hash"
    assert 0 < redis_client().pttl(key) <= 2 * ratelimit.WINDOW_MS


def test_after_the_wait_one_request_passes_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimit, "WINDOW_MS", 400)
    key = f"rate:test:{uuid4()}"
    passed = [ratelimit.counted_by_redis(key, 4).passed for _ in range(5)]
    refused = ratelimit.counted_by_redis(key, 4)
    assert passed == [True] * 4 + [False]
    assert 400 < refused.wait_ms <= 500
    time.sleep((refused.wait_ms - 30) / 1000)
    assert not ratelimit.counted_by_redis(key, 4).passed
    time.sleep(0.04)
    assert ratelimit.counted_by_redis(key, 4).passed
    assert not ratelimit.counted_by_redis(key, 4).passed


def test_with_none_left_reset_is_the_moment_of_the_next_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ratelimit, "WINDOW_MS", 300)
    key = f"rate:test:{uuid4()}"
    last = [ratelimit.counted_by_redis(key, 3) for _ in range(3)][-1]
    assert (last.passed, last.remaining) == (True, 0)
    time.sleep(max(0.0, last.reset_at_ms / 1000 - time.time()) + 0.002)
    assert ratelimit.counted_by_redis(key, 3).passed


class TestRedisAway:
    pytestmark = pytest.mark.usefixtures("redis_away")

    def test_general_requests_pass(self, caller: Caller) -> None:
        answers = [caller.get("/v1/time") for _ in range(110)]
        assert {answer.status_code for answer in answers} == {200}
        assert answers[-1]["X-RateLimit-Limit"] == "100"

    def test_sign_in_is_counted_by_the_process(self, caller: Caller) -> None:
        statuses = [caller.post("/v1/auth/login", "[").status_code for _ in range(12)]
        assert statuses[:10].count(429) == 0
        assert statuses[10:] == [429, 429]

    def test_it_is_said_once_and_tried_once(self, caller: Caller, caplog: pytest.LogCaptureFixture) -> None:
        attempts = []
        original = ratelimit.counted_by_redis

        def counted(key: str, limit: int) -> ratelimit.Verdict:
            attempts.append(key)
            return original(key, limit)

        with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
            patch.setattr(ratelimit, "counted_by_redis", counted)
            for _ in range(20):
                caller.get("/v1/time")
        assert len(attempts) == 1
        assert [record.name for record in caplog.records].count("zinzino.api.ratelimit") == 1


class TestInProcess:
    def test_it_refuses_and_says_when(self) -> None:
        limiter = ratelimit.InProcess()
        with time_machine.travel(1_800_000_000, tick=False) as clock:
            assert [limiter.take("a", 10).passed for _ in range(12)] == [True] * 10 + [False] * 2
            refused = limiter.take("a", 10)
            assert (refused.remaining, refused.retry_after_s) == (0, 66)
            assert limiter.take("b", 10).passed
            clock.shift(refused.wait_ms / 1000 - 0.002)
            assert not limiter.take("a", 10).passed
            clock.shift(0.002)
            assert limiter.take("a", 10).passed

    def test_any_minute_holds_at_most_the_limit_and_one_fading_tenth(self) -> None:
        limiter = ratelimit.InProcess()
        passed: list[float] = []
        with time_machine.travel(1_800_000_000, tick=False) as clock:
            for second in range(600):
                clock.shift(1)
                passed += [float(second)] * sum(limiter.take("a", 10).passed for _ in range(3))
        assert max(sum(1 for at in passed if start <= at < start + 60) for start in range(540)) <= 11
        assert len(passed) == pytest.approx(100, abs=10)

    def test_it_forgets_the_clients_seen_longest_ago(self) -> None:
        limiter = ratelimit.InProcess()
        for number in range(ratelimit.REMEMBERED_CLIENTS + 50):
            limiter.take(str(number), 10)
        assert len(limiter._seen) == ratelimit.REMEMBERED_CLIENTS
        assert "0" not in limiter._seen

    def test_240_threads_get_exactly_the_limit(self) -> None:
        limiter = ratelimit.InProcess()
        with ThreadPoolExecutor(24) as pool:
            verdicts = list(pool.map(lambda _: limiter.take("a", 100), range(240)))
        assert sum(verdict.passed for verdict in verdicts) == 100


def test_a_wait_is_never_less_than_a_second() -> None:
    verdict = ratelimit.Verdict(limit=1, passed=False, remaining=0, reset_at_ms=1, wait_ms=3)
    assert verdict.retry_after_s == 1
