"""Connections that are kept between pushes: each is used by one thread at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=Closable)


class Connections(Generic[C]):
    def __init__(self, connect: Callable[[], C]) -> None:
        self.connect = connect
        # The one used last is taken first, so that those too many fall asleep. Both calls are atomic.
        self.idle: list[C] = []

    @contextmanager
    def one(self) -> Iterator[C]:
        """A connection of one's own; closed for good if anything goes wrong with it."""
        try:
            connection = self.idle.pop()
        except IndexError:
            connection = self.connect()
        try:
            yield connection
        except BaseException:  # whatever ended it, the connection may be in the middle of an answer
            connection.close()
            raise
        self.idle.append(connection)

    def close(self) -> None:
        while self.idle:
            self.idle.pop().close()
