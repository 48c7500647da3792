"""The digits of a number as it was written, and the form in which DIDs are looked up. Pure."""


def did_key(number: str) -> str:
    """A DID as its digits, without the country code 1: how the number of a call is looked up."""
    if not (number.isdigit() and number.isascii()):
        number = digits(number)
    return without_country_code_1(number)


def digits(text: str) -> str:
    """The digits of a text."""
    return "".join(char for char in text if "0" <= char <= "9")


def without_country_code_1(number: str) -> str:
    """A number of North America without its leading 1; any other number unchanged."""
    return number[1:] if len(number) == 11 and number[0] == "1" else number
