"""How much a client may send: a burst, and then a rate."""

import time


class Allowance:
    def __init__(self, *, burst: float, per_s: float) -> None:
        self.burst = self.left = burst
        self.per_s = per_s
        self.counted_at = time.monotonic()

    def take(self, amount: float = 1) -> bool:
        """Whether so much was still left."""
        now = time.monotonic()
        self.left = min(self.burst, self.left + (now - self.counted_at) * self.per_s) - amount
        self.counted_at = now
        return self.left >= 0
