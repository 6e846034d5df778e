"""What somebody hands in as JSON → an encounter, or an error that names fields and quotes nothing.

    parse_encounter({"id": "E1", "lang": "en", "text": "Acute appendicitis."})        Encounter(…)

Whatever is not a field of ours may be a patient's: it is told by its place. Reads no files.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from jointcoder.errors import InputError
from jointcoder.records import Encounter


def parse_encounter(data: Mapping[str, Any]) -> Encounter:
    """A JSON object → Encounter, with coded errors that name fields but never quote their content. A field that is not
    known is content, too: it is told by its place, unless it is one of ours misspelt.

    Besides the fields of :class:`Encounter` it takes ``text`` (one document) or ``sections`` as an object
    ``{name: text}``, and ``lang`` for ``language``. Raises InputError JC101, JC103 or JC108.
    """
    known = sorted({*Encounter.model_fields, "text", "lang"})
    if unknown := [_misspelt(name, place, known) for place, name in enumerate(data, start=1) if name not in known]:
        hint = f"known fields: {', '.join(known)}"
        raise InputError("JC103", f"{'; '.join(unknown[:5])}; {len(unknown)} unknown in all", hint=hint)
    fields = dict(data)
    if "lang" in fields:
        fields["language"] = fields.pop("lang")
    text, sections = fields.pop("text", None), fields.get("sections")
    try:
        if text is not None:
            return Encounter.from_text(text, **fields)
        if isinstance(sections, Mapping):
            del fields["sections"]
            return Encounter.from_sections(sections, **fields)
        if not fields.get("documents"):
            raise InputError("JC101", "the encounter holds no text", hint="give text, sections or documents")
        return Encounter(**fields)
    except ValidationError as error:
        raise InputError("JC108", "; ".join(_problems(error)), hint="see `jointcoder schema`") from None
    except (TypeError, AttributeError) as error:
        raise InputError("JC108", f"a field has the wrong type ({type(error).__name__})") from None


def _misspelt(name: Any, place: int, known: Sequence[str]) -> str:
    """An unknown field by its place in the object; by its name where that is nearly one of ours."""
    near = difflib.get_close_matches(name.lower(), known, 1, 0.75) if _is_name(name) else []
    return f"unknown field {name!r} (is it {near[0]}?)" if near else f"field {place} of the encounter is unknown"


def _is_name(word: Any) -> bool:
    return isinstance(word, str) and word.isascii() and word.isidentifier() and len(word) <= 20


def _problems(error: ValidationError) -> Iterable[str]:
    """Each with its place; a name in it that is none of ours may be a patient's."""
    schema = Encounter.model_json_schema()
    ours = {name for one in (schema, *schema["$defs"].values()) for name in one.get("properties", ())}
    for problem in error.errors(include_input=False, include_url=False, include_context=False):
        parts = (str(part) if isinstance(part, int) or part in ours else "(unknown)" for part in problem["loc"])
        yield f"{'.'.join(parts) or 'encounter'}: {problem['msg']}"
