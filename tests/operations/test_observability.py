"""Dashboard and alert rules: every query can be read, and asks only for what exists."""

import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import promql_parser
import pytest
import yaml
from django.urls import URLPattern, URLResolver, get_resolver
from jsonschema import Draft202012Validator
from prometheus_client import Counter, Gauge, Histogram
from promql_parser import AggregateExpr, BinaryExpr, Call, Expr, MatchOp, VectorSelector

from analytics import gauges
from notifications.models import PushDelivery
from telemetry.reasons import REASONS
from tests.operations.test_deploy import COMPOSE
from tests.test_settings import ROOT
from zinzino import backups, clock, metrics
from zinzino.redis_client import client
from zinzino.tasks import HEARTBEAT_KEY

FOLDER = ROOT / "deploy" / "observability"
RULES = yaml.safe_load((FOLDER / "rules.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"]}
CONFIG: dict[str, Any] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
DASHBOARD = json.loads((FOLDER / "grafana" / "dashboards" / "zinzino.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
# As Grafana fills them in.
VARIABLES = {"$__rate_interval": "1m"}

# What Prometheus accepts in a rule (prometheus.io, "Alerting rules"), and what we want in each of ours.
WORDS = {"type": "string", "minLength": 1}
FORM = {
    "type": "object",
    "required": ["alert", "expr", "labels", "annotations"],
    "additionalProperties": False,
    "properties": {
        "alert": {"type": "string", "pattern": "^[A-Z][A-Za-z]+$"},
        "expr": WORDS,
        "for": {"type": "string", "pattern": r"^\d+[smhd]$"},
        "labels": {
            "type": "object",
            "required": ["severity"],
            "additionalProperties": False,
            "properties": {"severity": {"enum": ["page", "ticket"]}},
        },
        "annotations": {
            "type": "object",
            "required": ["summary", "description", "runbook"],
            "additionalProperties": WORDS,
        },
    },
}
# What Prometheus puts on whatever it scrapes.
SCRAPED = {"job", "instance"}
# Told by Patroni 2 to 4, with these labels; and what Prometheus says itself of each that it asks.
OTHERS = {name: {"scope", "name"} for name in ("patroni_primary", "patroni_sync_standby")} | {"up": SCRAPED}
FUNCTIONS = {"humanize", "humanizePercentage", "humanizeDuration"}


# ------------------------------------------------------------------------------------- what there is


@cache
def series() -> dict[str, set[str]]:
    """Every name that Prometheus can be asked for, with its labels."""
    known: dict[str, set[str]] = {}
    for each in vars(metrics).values():
        if isinstance(each, (Counter, Gauge, Histogram)):
            ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_count", "_sum", "_bucket")}[each._type]
            known |= {each._name + end: set(each._labelnames) for end in ends}
            known |= {f"{each._name}_bucket": {*each._labelnames, "le"}} if "_bucket" in ends else {}
    return known | {family.name: labels_of(family) for family in sampled()} | OTHERS


def sampled() -> list[Any]:
    client().set(HEARTBEAT_KEY, 0)
    for act in backups.ACTS:
        backups.remember(act, now=clock.now())
    return [*gauges.gauges(now=clock.now()), *gauges.Sampled().collect()]


def labels_of(family: Any) -> set[str]:
    return {name for sample in family.samples for name in sample.labels}


def routes(patterns: list[URLPattern | URLResolver] | None = None, above: str = "") -> Iterator[str]:
    """The names that `metrics.route` gives."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        address = above + str(each.pattern)
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, address)
        else:
            yield address.removeprefix("v1/")


@cache
def values() -> dict[tuple[str, str], set[str]]:
    """Of each label that is asked about, what it can be."""
    http, outcomes = "zinzino_http_request_seconds", {"applied", "conflicts", "rejected"}
    statuses = {"200", "401", "429", "500", "503"}
    return {
        **{(f"{http}_{end}", "route"): {*routes(), "admin"} for end in ("bucket", "count")},
        **{(f"{http}_{end}", "method"): set(metrics.METHODS) for end in ("bucket", "count")},
        **{(f"{http}_{end}", "status"): statuses for end in ("bucket", "count")},
        (f"{http}_bucket", "le"): {str(float(bound)) for bound in metrics.REQUESTS._upper_bounds},
        ("zinzino_decisions_total", "reason"): set(REASONS),
        ("zinzino_sync_changes_total", "outcome"): outcomes,
        ("zinzino_journal_events_total", "outcome"): {"accepted", "duplicate", "rejected"},
        ("zinzino_devices", "state"): {"connected", "silent"},
        ("zinzino_pushes_total", "status"): set(PushDelivery.Status.values),
        ("zinzino_pushes_total", "reason"): set(PushDelivery.Reason.values),
        ("zinzino_job_seconds_count", "outcome"): {"success", "failure", "retry"},
        ("zinzino_backup_age_seconds", "act"): set(backups.ACTS),
        ("up", "job"): {job["job_name"] for job in CONFIG["scrape_configs"]},
    }


# ------------------------------------------------------------------------------------- what is asked


def faults(query: str) -> list[str]:
    """What a query asks for and nobody tells; raises where it is no query."""
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return list(faults_of(promql_parser.parse(query)))


def faults_of(tree: Expr) -> Iterator[str]:
    selectors = [each for each in nodes(tree) if isinstance(each, VectorSelector)]
    told: set[str] = set()
    for each in selectors:
        if each.name not in series():
            yield f"nothing is called {each.name}"
            continue
        told |= series()[each.name]
        for matcher in each.matchers.matchers:
            yield from faults_of_matcher(each.name, matcher)
    for each in nodes(tree):
        if isinstance(each, AggregateExpr) and each.modifier:
            yield from (f"nothing has a label {name}" for name in set(each.modifier.labels) - told - SCRAPED)


def faults_of_matcher(name: str, matcher: Any) -> Iterator[str]:
    if matcher.name not in series()[name]:
        yield f"{name} has no label {matcher.name}"
        return
    can_be = values()[name, matcher.name]
    is_pattern = matcher.op in (MatchOp.Re, MatchOp.NotRe)
    for wanted in matcher.value.split("|") if is_pattern else [re.escape(matcher.value)]:
        if not any(re.fullmatch(wanted, each) for each in can_be):
            yield f"{matcher.name} of {name} is never {matcher.value}"


def nodes(tree: Any) -> Iterator[Any]:
    yield tree
    for name in ("expr", "lhs", "rhs", "param", "vector_selector"):
        below = getattr(tree, name, None)
        if isinstance(below, Expr):
            yield from nodes(below)
    for below in tree.args if isinstance(tree, Call) else ():
        yield from nodes(below)


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("sum(rate(zinzino_nothing_total[5m]))", "nothing is called zinzino_nothing_total"),
        ("zinzino_decisions", "nothing is called zinzino_decisions"),
        ('zinzino_decisions_total{device="x"}', "zinzino_decisions_total has no label device"),
        ('zinzino_decisions_total{reason="mood"}', "reason of zinzino_decisions_total is never mood"),
        (
            '1 - zinzino_http_request_seconds_bucket{le="0.7"}',
            "le of zinzino_http_request_seconds_bucket is never 0.7",
        ),
        ("sum by (device) (zinzino_devices)", "nothing has a label device"),
        ('topk(3, zinzino_http_request_seconds_count{route=~"sync/.*|gone"})', "is never sync/.*|gone"),
    ],
)
def test_a_query_for_what_is_not_there_is_found(db: None, query: str, fault: str) -> None:
    [found] = faults(query)
    assert found.endswith(fault)


def test_what_is_no_query_is_found(db: None) -> None:
    with pytest.raises(ValueError, match=r"unexpected|unclosed|invalid"):
        faults("sum(rate(zinzino_decisions_total[5m])")


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_for_what_there_is(db: None, panel: dict[str, Any]) -> None:
    assert panel["description"]
    assert [faults(target["expr"]) for target in panel["targets"]] == [[] for _ in panel["targets"]]


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_asks_for_what_there_is(db: None, alert: str) -> None:
    assert faults(ALERTS[alert]["expr"]) == []


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_the_form_of_one_and_fires_on_a_condition(alert: str) -> None:
    rule = ALERTS[alert]
    Draft202012Validator(FORM).validate(rule)
    tree = promql_parser.parse(rule["expr"])
    assert isinstance(tree, BinaryExpr) or (isinstance(tree, Call) and tree.func.name.startswith("absent"))
    kept = {
        label
        for each in nodes(tree)
        if isinstance(each, AggregateExpr) and each.modifier
        for label in each.modifier.labels
    }
    for text in rule["annotations"].values():
        for place in re.findall(r"\{\{(.*?)\}\}", text):
            found = re.fullmatch(r" \$(?:value|labels\.(?P<label>\w+))(?: \| (?P<function>\w+))? ", place)
            assert found, place
            assert not found["label"] or found["label"] in kept
            assert not found["function"] or found["function"] in FUNCTIONS


def test_no_label_of_ours_is_one_that_prometheus_puts_there(db: None) -> None:
    """Ours would be called `exported_job`, and the name of a process would stand in its place."""
    assert [name for name, labels in series().items() if labels & SCRAPED and name != "up"] == []


def test_every_alert_has_a_name_of_its_own_and_every_group() -> None:
    assert len(ALERTS) == sum(len(group["rules"]) for group in RULES["groups"])
    assert len({group["name"] for group in RULES["groups"]}) == len(RULES["groups"])


def test_everything_that_is_counted_is_shown_somewhere(db: None) -> None:
    """A metric that nobody looks at is only cost."""
    queries = " ".join(target["expr"] for panel in PANELS for target in panel["targets"])
    families = {re.sub(r"_(total|sum|count|bucket)$", "", name) for name in series().keys() - OTHERS.keys()}
    assert {name for name in families if name not in queries} == set()


def test_no_panel_lies_on_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


# ------------------------------------------------------------------------------------- how it is run


def test_prometheus_asks_the_services_of_compose() -> None:
    environment = COMPOSE["x-program"]["environment"]
    for job in CONFIG["scrape_configs"]:
        [found] = job["dns_sd_configs"]
        assert found["names"] == [job["job_name"]]
        assert job["job_name"] in COMPOSE["services"]
        assert str(found["port"]) == ("3000" if job["job_name"] == "web" else environment["METRICS_PORT"])
    [token] = COMPOSE["services"]["prometheus"]["configs"]
    assert CONFIG["scrape_configs"][0]["authorization"]["credentials_file"] == token["target"]
    assert CONFIG["rule_files"] == ["/etc/prometheus/rules.yml"]


@pytest.mark.parametrize("name", ["prometheus", "grafana"])
def test_what_compose_mounts_is_there_and_its_images_are_pinned(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["profiles"] == ["observability"]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"])
    sources = [volume.partition(":")[0] for volume in service["volumes"]]
    assert all((ROOT / source).exists() for source in sources if source.startswith("."))
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
