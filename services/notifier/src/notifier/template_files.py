"""The folder of templates: one file for each, named as the template is."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from notifier.notice import LOW_BALANCE_ALERT, VOIP_ZERO_BALANCE
from notifier.template import Template, parse_template
from ringfence.errors import BadInput

PACKAGED = Path(str(files("notifier") / "templates"))
"""The templates that come with the service: no company's name, the usual fields."""


def load_templates(folder: Path | None) -> Mapping[str, Template]:
    """Both templates from `folder` (None: the packaged ones), by name.

    Raises BadInput when one is missing, there twice, or refused: the service does not start then.
    """
    found = folder or PACKAGED
    return {name: load_template(_file_of(found, name)) for name in TEMPLATE_NAMES}


TEMPLATE_NAMES = (LOW_BALANCE_ALERT, VOIP_ZERO_BALANCE)


def load_template(path: Path) -> Template:
    """The template in the file `path`. Raises BadInput when it is refused or cannot be read."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput("template", str(path), f"a file of UTF-8 text ({error})") from None
    return parse_template(path.stem, source)


def _file_of(folder: Path, name: str) -> Path:
    matching = sorted(
        path for path in folder.glob(f"{name}*") if path.is_file() and path.stem == name
    )
    if len(matching) != 1:
        raise BadInput(
            "templates folder",
            [path.name for path in matching],
            f"exactly one file named {name!r} (with any ending) in {folder}",
        )
    return matching[0]
