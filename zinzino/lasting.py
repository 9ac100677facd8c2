"""When the garbage collector comes: not while a process loads, and seldom in one that lives long."""

import gc

# Cycles are rare here: what a request or a message leaves goes with its last reference. By the default of 700 the
# collector took a sixth of what the bridge did.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


def begin() -> None:
    """Modules are hardly ever garbage: looking at them again and again took a third of each start."""
    gc.disable()


def loaded() -> None:
    """All apps are there: the collector comes again, for what is new."""
    gc.freeze()
    gc.enable()


def settle() -> None:
    """Let the garbage collector come seldom, and leave alone what will never be garbage.

    Each full collection looked at all of Django, which took a sixth of what the workers did.
    """
    gc.collect()
    loaded()
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS, *gc.get_threshold()[1:])
