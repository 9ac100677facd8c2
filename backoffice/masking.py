"""What somebody sees who may not see personal data: enough to compare with what the caller says."""

HIDDEN = "•••"


def email(address: str | None) -> str:
    """`ayse@example.com` as `a•••@e•••.com`."""
    if not address:
        return "–"
    name, _at, host = address.partition("@")
    domain, _dot, top = host.rpartition(".")
    return f"{name[:1]}{HIDDEN}@{domain[:1]}{HIDDEN}.{top}"


def name(full_name: str) -> str:
    """`Mia Smith` as `M••• S•••`."""
    return " ".join(f"{each[:1]}{HIDDEN}" for each in full_name.split()) or "–"


def phone(number: str | None) -> str:
    """`+905551234567` as `•••67`."""
    return f"{HIDDEN}{number[-2:]}" if number else "–"
