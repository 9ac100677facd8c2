"""`python -m benchmarks.logins`: a wrong password and an unknown address must cost the same time, or the time
tells who has an account."""

import argparse
import secrets
import statistics
import time

from rich.console import Console
from rich.table import Table

from benchmarks.load import Call, send
from benchmarks.server import running


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.logins", description=__doc__)
    parser.add_argument("--tries", type=int, default=30)
    options = parser.parse_args()
    with running() as port:
        Console().print(failed(port, tries=options.tries))


def failed(port: int, *, tries: int) -> Table:
    name = secrets.token_hex(6)
    known = {"email": f"{name}@example.com", "password": "benchmark-only", "full_name": "Bench Mark"}
    send(port, Call("POST", "/v1/auth/register", "", known))
    table = Table("failed login", "median ms", title=f"{tries} tries each, one by one")
    for title, email in (("wrong password", known["email"]), ("unknown address", f"x{name}@example.com")):
        took = []
        for _ in range(tries):
            started = time.perf_counter()
            send(port, Call("POST", "/v1/auth/login", "", {"email": email, "password": "wrong"}), wanted=401)
            took.append((time.perf_counter() - started) * 1000)
        table.add_row(title, f"{statistics.median(took):.1f}")
    return table


if __name__ == "__main__":
    main()
