"""Google's push service, HTTP v1: an access token of a service account, a connection a thread (Firebase,
"FCM HTTP v1 API", error codes of the REST reference)."""

import json
import threading
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import requests
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from notifications.models import PushToken
from notifications.push import retry_after
from notifications.push.connections import Connections
from notifications.push.messages import SENT, Outcome, Push, Verdict, outage, readable

SCOPES = ["https://www.googleapis.com/auth/firebase.messaging"]
EndReason = PushToken.EndReason
GONE = {"UNREGISTERED": EndReason.UNREGISTERED, "SENDER_ID_MISMATCH": EndReason.WRONG_SENDER}
# Google asks for a minute where it names no time.
QUOTA_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Config:
    url: str
    # The JSON of the service account's key, as the console gives it out.
    service_account: str
    timeout_s: float


class Fcm:
    def __init__(self, config: Config) -> None:
        self.timeout_s = config.timeout_s
        account = json.loads(config.service_account)
        self.address = f"{config.url}/v1/projects/{account['project_id']}/messages:send"
        self.credentials = service_account.Credentials.from_service_account_info(account, scopes=SCOPES)
        self.lock = threading.Lock()
        self.connections = Connections(connect)

    def send(self, push: Push, *, now: datetime) -> Outcome:
        try:
            with self.connections.one() as session:
                headers = {"Authorization": f"Bearer {self.access_token(session)}"}
                body = {"message": message_of(push, now=now)}
                answer = session.post(
                    self.address, json=body, headers=headers, timeout=self.timeout_s, allow_redirects=False
                )
        except (requests.RequestException, TransportError, OSError) as error:
            return outage(type(error).__name__)
        except GoogleAuthError as error:
            # Google's own failures can pass; anything else it says of our key does not.
            detail = type(error).__name__
            return outage(detail) if error.retryable else Outcome(Verdict.REFUSED, detail)
        outcome = outcome_of(answer, now=now)
        if outcome.verdict is Verdict.REFUSED:
            self.forget_token()
        return outcome

    def access_token(self, session: requests.Session) -> str:
        with self.lock:
            if not self.credentials.valid:
                self.credentials.refresh(partial(Request(session), timeout=self.timeout_s))
            return str(self.credentials.token)

    def forget_token(self) -> None:
        with self.lock:
            self.credentials.token = None


def connect() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def message_of(push: Push, *, now: datetime) -> dict[str, Any]:
    left_s = max(0, int((push.expires_at - now).total_seconds()))
    android: dict[str, Any] = {"priority": "HIGH", "ttl": f"{left_s}s", "collapse_key": str(push.id)}
    headers = {
        "apns-collapse-id": str(push.id),
        "apns-push-type": "background" if push.silent else "alert",
        "apns-priority": "5" if push.silent else "10",
        "apns-expiration": str(int(push.expires_at.timestamp())),
    }
    aps: dict[str, Any] = {"content-available": 1} if push.silent else {"sound": "default", "thread-id": push.kind}
    message: dict[str, Any] = {
        "token": push.token,
        "data": dict(push.data),
        "android": android,
        "apns": {"headers": headers, "payload": {"aps": aps}},
    }
    if push.silent:
        android["priority"] = "NORMAL"
    else:
        message["notification"] = {"title": push.title, "body": push.body}
        # What replaces a notification that is already shown.
        android["notification"] = {"tag": str(push.id), "channel_id": push.kind, "sound": "default"}
    return message


def outcome_of(answer: requests.Response, *, now: datetime) -> Outcome:
    status = answer.status_code
    if status == 200:
        return SENT
    code = error_code(answer)
    detail = readable(code or status)
    wait = retry_after.seconds(answer.headers.get("Retry-After"), now=now)
    if code in GONE:
        return Outcome(Verdict.GONE, detail, end_reason=GONE[code])
    if status == 429:
        return Outcome(Verdict.RETRY, detail, wait if wait is not None else QUOTA_WAIT_S)
    if status in (401, 403):
        return Outcome(Verdict.REFUSED, detail)
    if status >= 500:
        return outage(detail, retry_after_s=wait)
    return Outcome(Verdict.REJECTED, detail)


def error_code(answer: requests.Response) -> str:
    """FCM's own code, which is more exact than Google's status; that one where there is no other."""
    try:
        error = answer.json()["error"]
        details = [each for each in error.get("details", ()) if str(each.get("@type", "")).endswith("FcmError")]
        return str(details[0]["errorCode"] if details else error.get("status") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
