"""The mixed soak: a day of phones and dispensers at a share of what the machine can do, while its parts fail."""

# What `--only` chooses from; what each is stands in `tests.soak.faults`.
NAMES = (
    "web worker",
    "worker",
    "postgres restart",
    "valkey restart",
    "bridge",
    "disk full",
    "broker",
    "valkey flush",
    "postgres kill",
    "web",
)
