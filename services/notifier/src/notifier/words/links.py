"""Links in the HTML part of a plain template."""

import html
import re
from collections.abc import Sequence
from itertools import accumulate

from notifier.words.nodes import Segment

_ADDRESS = re.compile(r"https?://[^\s<>\"'\\^`{|}]+", re.IGNORECASE)
_SCHEME = len("https://")
_NOT_ITS_END = ".,;:!?)]"


def linked(segments: Sequence[Segment]) -> str:
    """The segments' text as HTML, with links for the addresses that the template itself contains.

    A value never becomes a link: an address that a client typed stays text. A value can only be
    the end of an address that begins in the template.
    """
    text = "".join(segment.text for segment in segments)
    ends = list(accumulate(len(segment.text) for segment in segments))
    own = [
        (end - len(segment.text), end)
        for segment, end in zip(segments, ends, strict=True)
        if not segment.is_value
    ]
    pieces, done = [], 0
    for match in _ADDRESS.finditer(text):
        address = match[0].rstrip(_NOT_ITS_END)
        start = match.start()
        if not any(begin <= start and start + _SCHEME <= end for begin, end in own):
            continue
        shown = html.escape(address)
        pieces += [html.escape(text[done:start]), f'<a href="{shown}">{shown}</a>']
        done = start + len(address)
    return "".join([*pieces, html.escape(text[done:])])
