"""The style of mails. It is written into each element, because many mail programs drop `<style>`.

Pure: without clock, socket, database or logger.
"""

import re
from functools import lru_cache

DEFAULT_COLOUR = "#1f5f8b"
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_STYLE = """
body { margin: 0; padding: 0; background: #eef1f4; color: #1d2733; }
body, td, th { font-family: -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif; }
.words, .head, .foot, .facts th { overflow-wrap: anywhere; word-break: break-word; }
.page { width: 100%; background: #eef1f4; }
.card { width: 100%; max-width: 600px; background: #ffffff; border-top: 4px solid COLOUR; }
.head { padding: 24px 28px 0 28px; font-size: 18px; font-weight: 600; color: COLOUR; }
.head img { max-width: 240px; height: auto; border: 0; display: block; color: COLOUR; }
.words { padding: 12px 28px 20px 28px; font-size: 16px; line-height: 1.5; color: #1d2733; }
.words p { margin: 0 0 16px 0; }
.words h1 { margin: 8px 0 16px 0; font-size: 22px; line-height: 1.3; color: #1d2733; }
.words h2 { margin: 20px 0 8px 0; font-size: 17px; line-height: 1.3; color: #1d2733; }
.words a { color: COLOUR; }
.words ul { margin: 0 0 16px 0; padding: 0 0 0 20px; }
.words li { margin: 0 0 4px 0; overflow-wrap: anywhere; }
.facts { border-collapse: collapse; width: 100%; margin: 0 0 16px 0; background: #f6f8fa; }
.facts th, .facts td { padding: 8px 12px; text-align: left; vertical-align: top; }
.facts th { font-weight: 400; color: #4a5866; width: 45%; }
.facts td { font-weight: 600; overflow-wrap: anywhere; }
.button { margin: 0 0 16px 0; }
.button td { border-radius: 6px; background: COLOUR; }
.button a { display: inline-block; padding: 12px 28px; font-size: 16px; font-weight: 600; color: INK;
  text-decoration: none; border-radius: 6px; }
.foot { padding: 16px 28px 24px 28px; font-size: 13px; line-height: 1.5; color: #5b6875; border-top: 1px solid #e3e8ed; }
.foot p { margin: 0 0 6px 0; }
.foot a { color: #5b6875; }
@media (max-width: 480px) {
  .head, .words, .foot { padding-left: 18px !important; padding-right: 18px !important; } }
"""  # noqa: E501 - one rule on one line reads best


def is_colour(text: str) -> bool:
    """Whether `text` is a colour such as #1f5f8b."""
    return _COLOUR.fullmatch(text) is not None


@lru_cache(maxsize=8)
def style_of(colour: str) -> str:
    """The style sheet with the company's colour; the button's text is dark on a light colour."""
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    is_light = 299 * red + 587 * green + 114 * blue > 160_000
    ink = "#1d2733" if is_light else "#ffffff"
    return _STYLE.replace("COLOUR", colour).replace("INK", ink)
