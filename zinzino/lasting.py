"""What a process that lives long does once it has loaded all it needs."""

import gc


def settle() -> None:
    """Let the garbage collector leave alone what will never be garbage: each full collection looked at all of
    Django, which took a sixth of what the workers do."""
    gc.collect()
    gc.freeze()
