"""References to variables and to stages in the texts of a pipeline file."""

import re
from typing import Any, Callable

# '{name}' or '{stage.what}'; other braces are left as they are.
_REFERENCE = re.compile(r'\{([A-Za-z_][\w-]*(?:\.[\w-]*)?)\}')


def expand(value: Any, lookup: Callable[[str], Any]) -> Any:
    """Replace the references in a value and in all that it holds.

    Args:
        value: A text, or dicts and lists with texts.
        lookup: Gives the value of a reference, which comes without braces.

    Returns:
        The same structure. A text that is one reference becomes its value,
        of whatever type; inside a longer text it is written as text.
    """
    if isinstance(value, dict):
        return {key: expand(part, lookup) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [expand(part, lookup) for part in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole:
        return lookup(whole.group(1))
    return _REFERENCE.sub(lambda match: str(lookup(match.group(1))), value)
