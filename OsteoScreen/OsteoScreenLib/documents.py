"""JSON documents from outside: read strictly, and held against a schema."""

from __future__ import annotations

import json
from typing import Any

#: A schema's complaint may quote the whole document.
_LONGEST_COMPLAINT = 300


def strict_json(text: str | bytes) -> Any:
    """Return the values of a JSON text.

    Raises ValueError where it is none: NaN and Infinity, which would pass a schema as numbers, are no JSON, and what
    is nested without end is no document.
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def schema_problem(document: Any, schema: dict[str, Any]) -> str | None:
    """Return where and why a document departs from a JSON schema (draft 2020-12), in words, or None."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match

    error = best_match(Draft202012Validator(schema).iter_errors(document))
    return None if error is None else f"{error.json_path}: {error.message[:_LONGEST_COMPLAINT]}"


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")
