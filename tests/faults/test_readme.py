"""The tour of the README, run as it is printed."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.faults.product import Product
from zinzino import embedded

pytestmark = [pytest.mark.enable_socket, pytest.mark.slow]

README = Path(embedded.PROJECT) / "README.md"


def test_the_tour_works_as_printed(running: Product) -> None:
    script = "\n".join(re.findall(r"```bash\n(.*?)```", README.read_text(), re.DOTALL))
    done = subprocess.run(
        # As it is pasted: an interactive shell gives some signs a meaning that a script does not know.
        ["bash", "--norc", "--noprofile", "-i"],
        input=f"set -euo pipefail\n{script}",
        env={**running.environment, "API": f"{running.url}/v1", "HISTFILE": ""},
        start_new_session=True,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    profile, confirmed, yes, again, removed, too_soon, status, notifications, delta, refused = (
        json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")
    )
    assert profile["data"]["full_name"] == "Ahmet Yılmaz"
    assert confirmed == {"success": True, "message": "Your email address has been confirmed."}
    assert yes["data"]["should_dispense"] is True
    assert yes["data"]["dispense_amount"] == "5ml"
    assert again["data"]["dispense_id"] == yes["data"]["dispense_id"]
    assert removed["data"]["reason"] == "cup_not_placed"
    assert (too_soon["data"]["should_dispense"], too_soon["data"]["next_dose_at"] is None) == (False, False)
    assert status["data"]["notifications_sent"] == ["low_supplement"]
    assert notifications["data"]["unread_count"] == 1
    assert [row["action"] for row in delta["data"]["new_activity_logs"]] == ["dose_dispensed", "supplement_low"]
    assert refused["error"]["code"] == "UNAUTHORIZED"
