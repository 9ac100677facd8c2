"""Password hashing: bcrypt as the architecture plan says, its cost by setting."""

import functools
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.contrib.auth.hashers import BCryptSHA256PasswordHasher

# How much less than a request the scheduler of the machine thinks of a password.
NICER = 5


class BCryptHasher(BCryptSHA256PasswordHasher):
    """bcrypt over SHA-256, so that a password longer than bcrypt's 72 bytes counts whole.

    It is meant to take long, but for whoever signs in: one at a time in a process, and after all other work.
    """

    rounds: int = settings.BCRYPT_ROUNDS

    def encode(self, password: str, salt: str) -> str:
        return patient().submit(super().encode, password, salt).result()


@functools.cache
def patient() -> ThreadPoolExecutor:
    """The one thread of this process that computes hashes."""
    return ThreadPoolExecutor(1, "passwords", initializer=yield_to_others)


# A child has inherited no threads.
os.register_at_fork(after_in_child=patient.cache_clear)


def yield_to_others() -> None:
    # Elsewhere a thread has no priority of its own.
    if sys.platform == "linux":
        thread = threading.get_native_id()
        now = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(now + NICER, 19))
