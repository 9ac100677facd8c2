"""Every route of the URLconf, for the tests that hold for all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

Patterns = list[URLPattern | URLResolver]


@dataclass(frozen=True)
class Route:
    # `/v1/devices/{device_id}`
    address: str
    methods: tuple[str, ...]

    def __str__(self) -> str:
        return self.address


def routes(mount: str = "/v1/") -> list[Route]:
    return sorted(_found(get_resolver().url_patterns, "/", mount), key=str)


def _found(patterns: Patterns, above: str, mount: str) -> Iterator[Route]:
    for pattern in patterns:
        address = above + readable(pattern)
        if isinstance(pattern, URLResolver):
            yield from _found(pattern.url_patterns, address, mount)
        elif address.startswith(mount) and hasattr(pattern.callback, "actions"):
            yield Route(address, tuple(sorted(method.upper() for method in pattern.callback.actions)))


def readable(pattern: URLPattern | URLResolver) -> str:
    """The pattern with `{name}` for each converter."""
    if not isinstance(pattern.pattern, RoutePattern):
        return str(pattern.pattern)
    text = str(pattern.pattern)
    for name in pattern.pattern.converters:
        start = text.index("<")
        text = text[:start] + "{" + name + "}" + text[text.index(">") + 1 :]
    return text
