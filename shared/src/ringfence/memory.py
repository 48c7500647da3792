"""The garbage collector, told what need not be looked at.

A worker keeps hundreds of thousands of objects (profiles, rate decks) for as long as it lives.
Python's collector walks all of them again and again: a third of rating's CPU, measured.
"""

import gc


def relax_collector() -> None:
    """Look for cycles less often: batches make many objects and hardly a cycle."""
    gc.set_threshold(100_000, 50, 100)


def keep_for_long() -> None:
    """What lives now is kept: the collector passes over it from here on."""
    gc.collect()
    gc.freeze()
