"""api.md 0: the body of a request is an object or a clear refusal."""

import io
import json
from typing import Any

import pytest
from rest_framework.exceptions import ValidationError

from zinzino.api.errors import PayloadTooLarge, UnreadableBody
from zinzino.api.parsers import MAX_DEPTH, loads, read


def nested(levels: int) -> bytes:
    return b'{"a":' * (levels - 1) + b"{}" + b"}" * (levels - 1)


@pytest.mark.parametrize("body", [b"", b"  \n", b"{}"])
def test_no_body_counts_as_an_empty_object(body: bytes) -> None:
    assert loads(body) == {}


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": -Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\xff\xfe"}',
        b'{"a": "\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        b'{"a": "\x00"}',
        b'{"a": 1} {"b": 2}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        nested(MAX_DEPTH + 1),
    ],
)
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(UnreadableBody):
        loads(body)


def test_the_deepest_allowed_body_is_read() -> None:
    assert loads(nested(MAX_DEPTH))


def test_of_duplicate_keys_the_last_one_counts() -> None:
    assert loads(b'{"a": 1, "a": 2}') == {"a": 2}


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ({"a": "x\x00"}, ["a"]),
        ({"a": {"b": ["ok", "\ud800"]}}, ["a.b.1"]),
        ({"a\x00": 1}, ["a?"]),
        ({"a": {"\udfff": "\x00"}}, ["a.?"]),
        ({"a": "\x00", "b": "\x00"}, ["a", "b"]),
    ],
)
def test_a_text_that_cannot_be_stored_is_an_error_of_its_field(value: Any, paths: list[str]) -> None:
    with pytest.raises(ValidationError) as refusal:
        loads(json.dumps(value).encode())
    assert sorted(refusal.value.detail) == paths  # type: ignore[type-var]


def test_emoji_and_paired_surrogates_are_welcome() -> None:
    assert loads(rb'{"a": "\ud83d\ude00"}') == {"a": "😀"}


def test_a_body_announced_too_large_is_refused_unread() -> None:
    stream = io.BytesIO(b"x")
    with pytest.raises(PayloadTooLarge) as refusal:
        read(stream, announced="11", most=10)
    assert refusal.value.details == {"limit_bytes": 10}
    assert stream.tell() == 0


def test_a_body_longer_than_announced_is_refused() -> None:
    with pytest.raises(PayloadTooLarge):
        read(io.BytesIO(b"x" * 11), announced=None, most=10)
