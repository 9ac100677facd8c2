"""`python -m benchmarks.bridge`: what the MQTT bridge takes, with everything on that a product needs.

The messages wait in the broker; then the bridges start and drain them with the product's own code: events taken
once, states and current cups written, changes stamped for sync, journals acknowledged. CPU seconds stand beside
the rate, because they do not change with what else the machine is doing.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import orjson
import psutil
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "var" / "bench-bridge"
WAITS_AT_MOST_S = 60.0
LOOK_EVERY_S = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bridge", description=__doc__)
    parser.add_argument("--devices", type=int, default=2_000)
    parser.add_argument("--rows", type=int, default=40_000, help="events of each run")
    parser.add_argument("--events", type=int, nargs="+", default=[1, 10], help="events in one message")
    parser.add_argument("--bridges", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--json", action="store_true", help="events a message and rows/s of each run, for programs"
    )
    options = parser.parse_args()
    mosquitto = prepare(options.devices)
    table = Table(
        *("events a message", "rows/s", "rows/CPU s", "bridge µs", "PostgreSQL µs", "broker µs"),
        title=f"{options.bridges} bridges, {options.devices:,} dispensers; µs of CPU a row",
    )
    rows = [(events, run(mosquitto, options, events)) for events in options.events for _ in range(options.rounds)]
    if options.json:
        sys.stdout.write(json.dumps([(events, float(row[0].replace(",", ""))) for events, row in rows]) + "\n")
        return
    for events, row in rows:
        table.add_row(str(events), *row)
    Console().print(table)


def prepare(count: int) -> Any:
    """The fleet, and a broker that is not running yet."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ |= {"DATA_DIR": str(FOLDER), "MQTT_PORT": str(port), "LOG_LEVEL": "WARNING"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "zinzino.settings"
    import django

    django.setup()
    from benchmarks import fleet
    from zinzino.mosquitto import Mosquitto
    from zinzino.servers import attach

    attach()
    fleet.load(count, states_each=0, activities_each=0)
    return Mosquitto(FOLDER / "mosquitto", port)


def run(mosquitto: Any, options: argparse.Namespace, events: int) -> list[str]:
    """One table row, of one run."""
    from devices.broker import Files

    mosquitto.prepare()
    Files.of(mosquitto).sync()
    broker = mosquitto.start()
    try:
        for index in range(options.bridges):
            bridge(index, "--drain").wait()
            stand(mosquitto.port, index)
        publish(mosquitto.port, options, events)
        before, cpu = taken(), spent(broker)
        started = time.monotonic()
        bridges = [bridge(index) for index in range(options.bridges)]
        first = last = 0.0
        most, wanted = before, before + options.rows
        while most < wanted and time.monotonic() - started < WAITS_AT_MOST_S:
            time.sleep(LOOK_EVERY_S)
            most = taken()
            last = time.monotonic()
            if not first and most > before:
                first, after_start, cpu = last, most, spent(broker, bridges)
        rows, end = most - after_start, spent(broker, bridges)
        for each in bridges:
            each.terminate()
            each.wait()
    finally:
        broker.terminate()
        broker.wait()
    if most < wanted:
        sys.exit(f"only {most - before} of {options.rows} events arrived")
    used = [after - was for after, was in zip(end, cpu, strict=True)]
    return [
        f"{rows / (last - first):,.0f}",
        f"{rows / sum(used):,.0f}",
        *(f"{part / rows * 1e6:.0f}" for part in used),
    ]


def taken() -> int:
    """Events so far, from as few rows however many there were: the count is part of what PostgreSQL spends."""
    from django.db.models import Sum

    from devices.models import Device

    return int(Device.objects.aggregate(events=Sum("event_count"))["events"])


def bridge(index: int, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "manage.py", "mqtt_bridge", "--index", str(index), *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)


def spent(broker: Any, bridges: Any = ()) -> tuple[float, float, float]:
    """CPU seconds so far of the bridges, PostgreSQL and the broker."""
    postgres = [each for each in psutil.process_iter() if in_folder(each)]
    return (
        sum(map(cpu_of, (each.pid for each in bridges))),
        sum(cpu_of(each.pid) for each in postgres),
        cpu_of(broker.pid),
    )


def in_folder(process: psutil.Process) -> bool:
    try:
        return process.name() == "postgres" and Path(process.cwd()).is_relative_to(FOLDER)
    except (psutil.Error, OSError):
        return False


def cpu_of(pid: int) -> float:
    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def client(port: int, name: str) -> Any:
    from django.conf import settings
    from paho.mqtt.client import Client, MQTTv5
    from paho.mqtt.enums import CallbackAPIVersion

    made = Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTv5)
    made.username_pw_set(name, settings.MQTT_PASSWORD)
    made.max_inflight_messages_set(1000)
    made.connect_async("127.0.0.1", port, clean_start=False, properties=session())
    return made


def session() -> Any:
    from paho.mqtt.packettypes import PacketTypes

    from telemetry.bridge import SESSION_EXPIRY_S, properties_of

    return properties_of(PacketTypes.CONNECT, SessionExpiryInterval=SESSION_EXPIRY_S)


def stand(port: int, index: int) -> None:
    """The session of a bridge that is away."""
    from telemetry.bridge import GROUP

    waiting, done = client(port, f"znz-bridge-1-{index}"), threading.Event()
    waiting.on_connect = lambda made, *_: made.subscribe(GROUP, qos=1)
    waiting.on_subscribe = lambda *_: done.set()
    waiting.loop_start()
    done.wait(10)
    waiting.disconnect()
    waiting.loop_stop()


def publish(port: int, options: argparse.Namespace, events: int) -> None:
    """All events of the run, into the queues of the bridges; nobody's order is that of the dispensers."""
    from devices.models import Device

    names = list(Device.objects.filter(serial_number__startswith="FLEET-").values_list("pk", flat=True))
    names = names[: options.devices]
    random.Random(7).shuffle(names)  # noqa: S311
    sender, connected = client(port, "znz-bridge-1-15"), threading.Event()
    sender.on_connect = lambda *_: connected.set()
    sender.loop_start()
    connected.wait(10)
    boot, sent = int(time.time()), []
    for number in range(options.rows // events):
        seq = number // len(names) * events
        payload = orjson.dumps(envelope(boot, seq, events))
        sent.append(sender.publish(f"znz/v1/{names[number % len(names)]}/up/evt", payload, qos=1))
    for each in sent:
        each.wait_for_publish()
    sender.disconnect()
    sender.loop_stop()


def envelope(boot: int, seq: int, events: int) -> dict[str, Any]:
    now_ms = int(time.time() * 1000)
    lines = [
        {
            "id": str(uuid.uuid4()),
            "boot": boot,
            "seq": seq + place,
            "ts": now_ms - 1000 * (events - place),
            "up": 60_000 - 1000 * (events - place),
            "k": "state",
            "d": {"cup_placed": bool((seq + place) % 2), "sensor_reading": 0.85},
        }
        for place in range(1, events + 1)
    ]
    return {"v": 1, "boot": boot, "first": 1, "sent": now_ms, "up": 60_000, "clk": "ok", "ev": lines}


if __name__ == "__main__":
    main()
