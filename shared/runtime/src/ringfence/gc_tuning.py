"""The garbage collector, told what need not be looked at.

A worker keeps hundreds of thousands of objects (profiles, rate decks) for as long as it lives.
Python's collector walks all of them again and again, and a batch's with them: a third, and a tenth,
of rating's CPU, measured.
"""

import gc


def raise_thresholds() -> None:
    """Look for cycles only when very much is left over: batches make hardly one.

    Three batches of 10,000 calls are 900,000 objects, which go by themselves when a batch is told.
    Two million that stay are some two hundred megabytes.
    """
    gc.set_threshold(2_000_000, 50, 100)


def freeze_live_objects() -> None:
    """What lives now is kept: the collector passes over it from here on."""
    gc.collect()
    gc.freeze()
