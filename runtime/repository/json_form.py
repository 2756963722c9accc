"""JSON whose form is checked: which fields, each of which type.

Owns that check alone; what the fields mean is their readers'.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

Form: TypeAlias = Mapping[str, tuple[type, ...]]

NULL: Final = type(None)


def parsed(data: bytes) -> Any:
    """Return the JSON. Raises ValueError, also when it is nested beyond all reason."""
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def typed(fields: Any, form: Form, what: str) -> None:
    """Raise ValueError unless the fields are these, each of exactly its type: a flag is no number."""
    if type(fields) is not dict or fields.keys() != form.keys():
        raise ValueError(f"{what} has not the fields it should have")
    for name, kinds in form.items():
        if type(fields[name]) not in kinds:
            raise ValueError(f"{name} of {what} is of the wrong type")
