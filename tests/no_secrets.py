"""Looks for credentials in what the repository holds: `python -m tests.no_secrets`, part of `make lint`.

Few patterns that are hardly ever wrong, instead of many that somebody has to silence: detect-secrets 1.5.0 finds
71 here, and not one of them is a secret.
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_BYTES = 2_000_000
MADE = {"var", "htmlcov"}

PATTERNS = {
    "a private key": r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----\s*[A-Za-z0-9+/=\\n\s]{80}",
    "a key of AWS": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "a key of Google": r"\bAIza[0-9A-Za-z_-]{35}\b",
    "a secret of Google OAuth": r"\bGOCSPX-[0-9A-Za-z_-]{28}\b",
    "a token of GitHub": r"\b(?:gh[opusr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{60,})\b",
    "a token of GitLab": r"\bglpat-[0-9A-Za-z_-]{20}\b",
    "a token of Slack": r"\bxox[abprs]-[0-9A-Za-z-]{20,}",
    "a key of Stripe": r"\b[rs]k_live_[0-9A-Za-z]{20,}\b",
    "a token of PyPI": r"\bpypi-AgEI[0-9A-Za-z_-]{50,}",
    "a JSON web token": r"\beyJ[0-9A-Za-z_-]{15,}\.eyJ[0-9A-Za-z_-]{15,}\.[0-9A-Za-z_-]{20,}",
    "a device token of ours": r"\bznd_[0-9A-Za-z_-]{60,}={0,2}",
    "an address of Sentry": r"https://[0-9a-f]{32}@[\w.-]+/\d+",
    "a password in an address": (
        r"\b(?:postgres(?:ql)?|rediss?|amqps?|smtp(?:\+\w+)?|mqtts?|https?)://[^\s/:@'\"{}$<>]+"
        r":(?P<value>[^\s@/'\"{}$<>]{6,})@"
    ),
    "a value for a name of a secret": (
        r"(?m)^\s*(?:SECRET_KEY|JWT_SIGNING_KEY|JWT_OLD_KEYS|METRICS_TOKEN|MQTT_PASSWORD|MEDIA_S3_SECRET_KEY"
        r"|APPLE_PRIVATE_KEY|APNS_KEY|SENTRY_DSN)\s*[=:]\s*(?P<value>[A-Za-z0-9_+/=-]{20,})\s*$"
    ),
}
# Said in tests and examples, good for nothing.
KNOWN = frozenset({"password", "zinzino", "p%40ss", "secret"})


def found(texts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Of (name, text) pairs: what looks like a secret, and where; never the secret itself."""
    for name, text in texts:
        for what, pattern in PATTERNS.items():
            for match in re.finditer(pattern, text):
                value = match.groupdict().get("value") or match.group()
                if value not in KNOWN:
                    yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}: {what} ({value[:4]}…)"


def files() -> Iterator[tuple[str, str]]:
    """What the repository holds, and what is about to be added to it."""
    for name in names():
        path = ROOT / name
        if path.is_file() and path.stat().st_size <= MOST_BYTES:
            yield name, path.read_text(errors="ignore")


def names() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    with suppress(OSError):
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if listed.returncode == 0:
            return [name for name in listed.stdout.split("\0") if name]
    # A copy without its history: everything but what is made here.
    tops = [path for path in ROOT.iterdir() if path.name not in MADE and not path.name.startswith(".")]
    found = [path for top in tops for path in (top.rglob("*") if top.is_dir() else [top])]
    return sorted(str(path.relative_to(ROOT)) for path in found)


def main() -> int:
    faults = list(found(files()))
    sys.stdout.write("".join(f"{fault}\n" for fault in faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
