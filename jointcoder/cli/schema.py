"""``jointcoder schema``: the JSON schemas of what comes in (Encounter) and what goes out (CodedRecord)."""

from __future__ import annotations

from jointcoder.cli import common


def schema() -> None:
    """Print the JSON schemas of Encounter and CodedRecord."""
    from jointcoder.records import json_schemas

    common.put_json(json_schemas())
