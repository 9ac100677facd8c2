"""What the live process counts of itself, at a port of its own (api.md 10, ADR 0021)."""

from collections.abc import Callable
from http.client import HTTPConnection

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.clients import Phone, Unit
from tests.live.conftest import Server, free_port, until

pytestmark = pytest.mark.django_db(transaction=True)


def scrape(port: int) -> dict[str, float]:
    line = HTTPConnection("127.0.0.1", port, timeout=5)
    line.request("GET", "/metrics")
    text = line.getresponse().read().decode()
    line.close()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {f"{each.name}{sorted(each.labels.values())}": each.value for each in samples}


def test_sockets_pages_hints_and_ends(servers: Callable[..., Server], alice: Phone, kitchen: Unit) -> None:
    port = free_port()
    server = servers(METRICS_PORT=str(port))
    before = scrape(port)

    def grown(name: str) -> float:
        return scrape(port).get(f"zinzino_live_{name}", 0) - before.get(f"zinzino_live_{name}", 0)

    first, second = server.open(alice), server.open(alice)
    for each in (first, second):
        each.page()
    assert (grown("sockets[]"), grown("page_seconds_count[]")) == (2, 2)
    kitchen.cup(True)
    first.page()
    assert until(lambda: grown("page_seconds_count[]") == 4)
    assert grown("hints_total[]") >= 1
    first.close()
    second.socket.send("nonsense")
    second.end()
    assert until(lambda: grown("sockets[]") == 0)
    assert (grown("ends_total['client']"), grown("ends_total['bad_message']")) == (1, 1)

    line = HTTPConnection("127.0.0.1", server.port, timeout=40)
    line.request("GET", "/v1/iot/commands?wait=25", headers={"Authorization": f"Bearer {kitchen.token}"})
    assert until(lambda: grown("polls[]") == 1)
    line.close()
    assert until(lambda: grown("polls[]") == 0)
