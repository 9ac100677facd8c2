"""Apple's push service: HTTP/2, a connection a thread, a provider token for all (Apple, "Sending
notification requests to APNs", "Handling notification responses from APNs")."""

import ssl
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import jwt

from notifications.models import PushToken
from notifications.push import retry_after
from notifications.push.connections import Connections
from notifications.push.messages import SENT, Outcome, Push, Verdict, outage, readable
from zinzino.api.renderers import dumps

# Apple refuses provider tokens older than an hour, and clients that make a new one within 20 minutes.
TOKEN_GOOD_FOR_S = 50 * 60
# Apple wants connections to be kept, and closes idle ones after an hour.
KEEP_ALIVE_S = 300
EndReason = PushToken.EndReason
GONE = {
    "BadDeviceToken": EndReason.BAD_TOKEN,
    "Unregistered": EndReason.UNREGISTERED,
    "ExpiredToken": EndReason.UNREGISTERED,
}
# Answered with a 4xx although nothing is wrong with the message.
AGAIN = ("IdleTimeout", "TooManyRequests", "TooManyProviderTokenUpdates")


@dataclass(frozen=True, slots=True)
class Config:
    url: str
    key: str
    key_id: str
    team_id: str
    topic: str
    timeout_s: float
    ca_file: str = ""


class Apns:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.connections = Connections(self.connect)
        self.lock = threading.Lock()
        self.token, self.token_made_at = "", 0.0

    def send(self, push: Push, *, now: datetime) -> Outcome:
        headers = headers_of(push, self.config.topic)
        try:
            headers["authorization"] = f"bearer {self.provider_token()}"
            with self.connections.one() as client:
                answer = client.post(f"/3/device/{push.token}", content=dumps(payload_of(push)), headers=headers)
        except (httpx.HTTPError, httpx.StreamError, OSError) as error:
            return outage(type(error).__name__)
        except (jwt.PyJWTError, ValueError) as error:
            return Outcome(Verdict.REFUSED, f"APNS_KEY: {type(error).__name__}")
        return outcome_of(answer, now=now)

    def connect(self) -> httpx.Client:
        return httpx.Client(
            http2=True,
            http1=False,
            base_url=self.config.url,
            verify=ssl.create_default_context(cafile=self.config.ca_file or None),
            timeout=self.config.timeout_s,
            limits=httpx.Limits(keepalive_expiry=KEEP_ALIVE_S),
            trust_env=False,
        )

    def provider_token(self) -> str:
        with self.lock:
            now = time.time()
            if now - self.token_made_at > TOKEN_GOOD_FOR_S:
                claims = {"iss": self.config.team_id, "iat": int(now)}
                headers = {"kid": self.config.key_id}
                self.token = jwt.encode(claims, self.config.key, algorithm="ES256", headers=headers)
                self.token_made_at = now
            return self.token


def headers_of(push: Push, topic: str) -> dict[str, str]:
    return {
        "apns-topic": topic,
        "apns-id": str(push.id),
        "apns-collapse-id": str(push.id),
        "apns-push-type": "background" if push.silent else "alert",
        # 10 is refused for what shows nothing.
        "apns-priority": "5" if push.silent else "10",
        "apns-expiration": str(int(push.expires_at.timestamp())),
    }


def payload_of(push: Push) -> dict[str, Any]:
    if push.silent:
        return {"aps": {"content-available": 1}, **push.data}
    alert = {"title": push.title, "body": push.body}
    return {"aps": {"alert": alert, "sound": "default", "thread-id": push.kind}, **push.data}


def outcome_of(answer: httpx.Response, *, now: datetime) -> Outcome:
    if answer.status_code == httpx.codes.OK:
        return SENT
    said = body_of(answer)
    reason = readable(said.get("reason") or answer.status_code)
    wait = retry_after.seconds(answer.headers.get("retry-after"), now=now)
    if answer.status_code == httpx.codes.GONE or reason in GONE:
        end_reason = GONE.get(reason, EndReason.UNREGISTERED)
        return Outcome(Verdict.GONE, reason, end_reason=end_reason, gone_at=moment(said.get("timestamp")))
    if reason in AGAIN or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        return Outcome(Verdict.RETRY, reason, wait)
    if answer.status_code in (401, 403):
        return Outcome(Verdict.REFUSED, reason)
    if answer.is_server_error:
        return outage(reason, retry_after_s=wait)
    return Outcome(Verdict.REJECTED, reason)


def body_of(answer: httpx.Response) -> dict[str, Any]:
    """Empty where there is none, or nothing that can be read: it is not always Apple that answers."""
    try:
        said = answer.json()
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def moment(timestamp_ms: Any) -> datetime | None:
    if not isinstance(timestamp_ms, int) or not 0 < timestamp_ms < 1e14:
        return None
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC)
