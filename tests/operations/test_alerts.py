"""The alert rules as Prometheus judges them: each fires at the figures of `rules.test.yml`, and only at those."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.operations.test_observability import ALERTS, FOLDER

# Each alert is asked apart: all of them at every step of every case would take ten times as long.
CASES = [yaml.safe_load((FOLDER / name).read_text()) for name in ("rules.test.yml", "rules.slow.test.yml")]
UNITS = {"h": 60, "m": 1}
promtool = pytest.mark.skipif(not shutil.which("promtool"), reason="There is no promtool on this machine.")


def run(*arguments: object) -> str:
    """What is wrong, by promtool."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr if done.returncode else ""


def alone(page: dict[str, Any], alert: str) -> dict[str, Any]:
    """What a page of cases says of one alert."""
    tests = [
        test | {"alert_rule_test": [check for check in test["alert_rule_test"] if check["alertname"] == alert]}
        for test in page["tests"]
    ]
    return page | {"tests": [test for test in tests if test["alert_rule_test"]]}


def minutes(duration: str) -> int:
    return sum(int(count) * UNITS[unit] for count, unit in re.findall(r"(\d+)([hm])", duration))


def beginnings(alert: str) -> Iterator[int]:
    """How many steps before each first firing it was seen to keep silent."""
    for page in CASES:
        for test in alone(page, alert)["tests"]:
            fires = {minutes(each["eval_time"]): bool(each.get("exp_alerts")) for each in test["alert_rule_test"]}
            begins = min((at for at in fires if fires[at]), default=None)
            silent = [at for at in fires if begins and at < begins]
            if begins and silent:
                yield (begins - max(silent)) // minutes(page["evaluation_interval"])


@promtool
@pytest.mark.parametrize("alert", ALERTS)
def test_it_fires_when_it_should_and_not_before(tmp_path: Path, alert: str) -> None:
    groups = [{"name": "alone", "rules": [ALERTS[alert]]}]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    pages = [alone(page, alert) for page in CASES]
    for number, page in enumerate(pages):
        (tmp_path / f"{number}.yml").write_text(yaml.safe_dump(page))
    asked = [tmp_path / f"{number}.yml" for number, page in enumerate(pages) if page["tests"]]
    assert run("test", "rules", *asked) == ""


@pytest.mark.parametrize("alert", ALERTS)
def test_its_cases_know_the_minute_when_it_begins(alert: str) -> None:
    """A new alert without cases fails here; so does one that nobody saw keep silent just before."""
    assert min(beginnings(alert), default=None) == 1


@pytest.mark.parametrize("alert", ALERTS)
def test_one_unlucky_request_of_a_quiet_night_wakes_nobody(alert: str) -> None:
    """A share is looked at over no more than has to go by before the alert fires."""
    ranges = re.findall(r"\brate\([^\[]*\[(\w+)\]", ALERTS[alert]["expr"])
    assert all(minutes(each) <= minutes(ALERTS[alert].get("for", "")) for each in ranges)


def test_no_case_is_of_an_alert_that_is_gone() -> None:
    asked = {check["alertname"] for page in CASES for test in page["tests"] for check in test["alert_rule_test"]}
    assert asked == set(ALERTS)


@promtool
def test_promtool_takes_the_rules() -> None:
    assert run("check", "rules", "--lint=all", "--lint-fatal", FOLDER / "rules.yml") == ""


@promtool
@pytest.mark.parametrize("patroni", [False, True])
def test_promtool_takes_the_scrape_config(tmp_path: Path, patroni: bool) -> None:
    """Also with what is left to take in where Patroni runs."""
    text = (FOLDER / "prometheus.yml").read_text().replace("/etc/prometheus/", f"{tmp_path}/")
    text = re.sub(r"(?m)^  # (- job_name: patroni|  static_configs)", r"  \1", text) if patroni else text
    assert len(yaml.safe_load(text)["scrape_configs"]) == 4 + patroni
    shutil.copy(FOLDER / "rules.yml", tmp_path)
    (tmp_path / "metrics-token").write_text("any")
    (tmp_path / "prometheus.yml").write_text(text)
    assert run("check", "config", tmp_path / "prometheus.yml") == ""
