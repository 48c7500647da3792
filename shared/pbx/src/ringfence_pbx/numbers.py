"""The form in which DIDs are compared: pure."""


def did_key(number: str) -> str:
    """A DID in the form in which DIDs are compared: its digits, without the country code 1."""
    return without_country_code_1(digits(number))


def digits(text: str) -> str:
    """The digits of a text."""
    return "".join(char for char in text if "0" <= char <= "9")


def without_country_code_1(number: str) -> str:
    """A number of North America without its leading 1; any other number unchanged."""
    return number[1:] if len(number) == 11 and number[0] == "1" else number
