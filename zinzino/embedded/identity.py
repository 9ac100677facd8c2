"""As whom PostgreSQL runs: it refuses root, and nothing may be opened to other accounts for it."""

import functools
import os
import pwd
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from zinzino import linux
from zinzino.embedded.layout import EmbeddedError

ACCOUNTS = ("postgres", "nobody")
HOW_ELSE = "Or set DATABASE_URL to a PostgreSQL of your own."


@dataclass(frozen=True)
class Identity:
    uid: int  # owner of PostgreSQL's files, as the rest of the system sees it
    gid: int
    become: Callable[[], None]  # in the child, before exec


def choose(folders: list[Path]) -> Identity:
    """Ourselves; as root ourselves in a user namespace, else an unprivileged account.

    Whoever it is must be able to reach `folders`; EmbeddedError names the one where it cannot.
    """
    identity = ourselves() or in_namespace() or unprivileged()
    if closed := first_closed(identity, folders):
        raise EmbeddedError(
            f"PostgreSQL would run as account {_name(identity.uid)}, without root's privileges, and may not "
            f"enter {closed}. Run this as that folder's owner, move the project and DATA_DIR "
            f"to a place that it can reach, or permit it by hand. {HOW_ELSE}"
        )
    return identity


def ourselves() -> Identity | None:
    """An ordinary user, if the system knows its name: initdb insists on one."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 or _name(uid) is None:
        return None
    return Identity(uid, gid, lambda: None)


def in_namespace() -> Identity | None:
    """Root's files, without root's powers; None where user namespaces are refused, as in Docker."""
    account = next((entry for entry in pwd.getpwall() if entry.pw_uid != 0), None)
    if account is None:
        return None
    inner_uid, inner_gid = account.pw_uid, account.pw_gid

    def become() -> None:
        linux.enter_user_namespace(inner_uid, inner_gid)

    identity = Identity(os.geteuid(), os.getegid(), become)
    return identity if possible(identity) else None


def unprivileged() -> Identity:
    for name in ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        drop = functools.partial(drop_to, entry.pw_uid, entry.pw_gid)
        identity = Identity(entry.pw_uid, entry.pw_gid, drop)
        if possible(identity):
            return identity
    raise EmbeddedError(
        "PostgreSQL does not run as root or as an account without a name, user namespaces are refused "
        f"here, and neither {' nor '.join(ACCOUNTS)} can be used instead. Run this as an ordinary user. {HOW_ELSE}"
    )


def drop_to(uid: int, gid: int) -> None:
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def possible(identity: Identity) -> bool:
    def attempt() -> int:
        identity.become()
        return 0

    return linux.in_child(attempt) == 0


def first_closed(identity: Identity, folders: list[Path]) -> Path | None:
    """The first folder on the way to `folders` that `identity` may not enter."""
    way = sorted({parent for folder in folders for parent in (folder, *folder.parents)})

    def first() -> int:
        identity.become()
        closed = (step for step, folder in enumerate(way) if not os.access(folder, os.X_OK))
        return next(closed, len(way))

    step = linux.in_child(first)
    return way[step] if step < len(way) else None


def _name(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None
