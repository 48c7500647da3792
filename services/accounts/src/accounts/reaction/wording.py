"""The reaction in words. Pure."""


def reaction_words(became: str, total_s: float) -> str:
    """A sentence, such as "switched off 0.8 s after the call ended"."""
    cause = "the call ended" if became == "off" else "the payment"
    return f"switched {became} {duration_words(total_s)} after {cause}"


def duration_words(seconds: float) -> str:
    """A duration in the unit that says most: 0.8 s, 42 s, 3 min, 2 h, 5 d."""
    rounded = round(max(0.0, seconds), 1)
    if rounded < 10:
        return f"{rounded:.1f} s"
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if rounded >= 2 * size:
            return f"{rounded / size:.0f} {unit}"
    return f"{rounded:.0f} s"
