"""A real Prometheus asks the running product, as `deploy/observability` says."""

import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.embedded.conftest import eventually
from tests.faults.product import Product
from tests.live.conftest import free_port
from tests.operations.test_observability import ALERTS, CONFIG, FOLDER
from tests.processes import bare_environment, end

pytestmark = [
    pytest.mark.enable_socket,
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("prometheus"), reason="There is no prometheus on this machine."),
]
Ask = Callable[..., Any]


def config(folder: Path, product: Product) -> dict[str, Any]:
    """Ours for the REST processes, at the product's address and in a hurry; `stranger` has another token."""
    shutil.copy(FOLDER / "rules.yml", folder)
    [web] = [job for job in CONFIG["scrape_configs"] if job["job_name"] == "web"]
    web = {name: said for name, said in web.items() if name != "dns_sd_configs"}
    web["static_configs"] = [{"targets": [f"127.0.0.1:{product.port}"]}]
    jobs = []
    for name, token in (("web", product.extra["METRICS_TOKEN"]), ("stranger", "another")):
        (folder / name).write_text(token)
        bearer = web["authorization"] | {"credentials_file": str(folder / name)}
        jobs.append(web | {"job_name": name, "authorization": bearer})
    hurry = {"scrape_interval": "500ms", "scrape_timeout": "500ms", "evaluation_interval": "500ms"}
    return CONFIG | {"global": hurry, "rule_files": [str(folder / "rules.yml")], "scrape_configs": jobs}


@pytest.fixture
def prometheus(running: Product, tmp_path: Path) -> Iterator[Ask]:
    """Asks its HTTP API. It looks up whom to ask 5 s after its start, whatever it is told, and idles meanwhile."""
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config(tmp_path, running)))
    address = f"127.0.0.1:{free_port()}"

    def ask(path: str, **words: str) -> Any:
        url = f"http://{address}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["data"]

    options = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            ["prometheus", *options], cwd=tmp_path, env=bare_environment(), stdout=log, stderr=log
        )
    yield ask
    end(process)


def test_it_hears_us_by_the_token_alone_and_judges_every_rule(prometheus: Ask, running: Product) -> None:
    with urllib.request.urlopen(f"{running.url}/v1/time") as answer:  # noqa: S310
        assert answer.status == 200

    def value(query: str) -> float:
        [found] = prometheus("query", query=query)["result"]
        return float(found["value"][1])

    eventually(lambda: value('sum(zinzino_http_request_seconds_count{job="web",route="time"})') >= 1)
    eventually(lambda: value('min(zinzino_database_up{job="web"})') == 1)
    eventually(lambda: value('sum(zinzino_job_seconds_count{task="zinzino.tasks.heartbeat"})') >= 1, within_s=15)
    targets = {each["labels"]["job"]: each for each in prometheus("targets")["activeTargets"]}
    assert (targets["web"]["health"], targets["web"]["lastError"]) == ("up", "")
    eventually(lambda: value('up{job="stranger"}') == 0)
    targets = {each["labels"]["job"]: each for each in prometheus("targets")["activeTargets"]}
    assert "401 Unauthorized" in targets["stranger"]["lastError"]

    def judged() -> dict[str, str]:
        groups = prometheus("rules", type="alert")["groups"]
        return {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}

    eventually(lambda: judged() == dict.fromkeys(ALERTS, "ok"))
