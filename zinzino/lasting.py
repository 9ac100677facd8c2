"""What a process that lives long does once it has loaded all it needs."""

import gc

# Cycles are rare here: what a request or a message leaves goes with its last reference. By the default of 700 the
# collector took a sixth of what the bridge did.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


def settle() -> None:
    """Let the garbage collector come seldom, and leave alone what will never be garbage.

    Each full collection looked at all of Django, which took a sixth of what the workers did.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
