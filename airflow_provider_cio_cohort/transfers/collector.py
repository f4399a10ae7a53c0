"""Python's garbage collector, and what it is to leave alone."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def old_objects_set_aside() -> Iterator[None]:
    """
    While it lasts, the collector does not look at what was there before.

    A sync makes millions of short-lived lists, and each few hundred of them set the collector off; with all
    of Airflow to look through, that takes as long as the work itself.
    """
    ours = gc.get_freeze_count() == 0
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()
