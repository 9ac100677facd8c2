from tests.firmware.conftest import engineer, release, rollout  # noqa: F401  (fixtures)
