"""The running product, for the tests that kill its parts."""

import secrets
import signal
import time
from collections.abc import Iterator

import pytest

from tests.embedded.conftest import eventually
from tests.faults.product import Product


@pytest.fixture(scope="package")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    product = Product(tmp_path_factory.mktemp("p") / "var", METRICS_TOKEN=secrets.token_urlsafe())
    yield product
    if product.process and product.process.poll() is None:
        product.end(signal.SIGTERM)
    eventually(lambda: not product.processes(), within_s=15)


@pytest.fixture
def stopped(product: Product) -> Product:
    """Ended if the test before left it running."""
    if product.process and product.process.poll() is None:
        assert product.end(signal.SIGTERM) == 0
    return product


@pytest.fixture
def running(product: Product) -> Product:
    """Started unless the test before left it running."""
    if product.process is None or product.process.poll() is not None:
        product.start()
    deadline = time.monotonic() + 20
    # The programs that nobody waits for follow those that answer.
    while not (product.answers() and product.masters("worker") and product.masters("beat")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return product
