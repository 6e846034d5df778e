"""Whose note it is, where the record's own fields do not say: the sex that the note states with the age.

>>> stated_sex("Ms. Doe is a pleasant 41-year-old right-handed female.", "en")
'female'

Only the form "… 41-year-old … female …" counts, the first of the note; other mentions may be of relatives. The words
are data (``data/<language>/patient.toml``); for a language without them nothing is known.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from jointcoder.text.resources import known_language, toml

UNKNOWN = "unknown"


def stated_sex(text: str, language: str) -> str:
    """``female``, ``male``, or ``unknown``. Raises InputError JC105 for an unknown language."""
    pattern = _pattern(known_language(language))
    found = pattern.search(text) if pattern else None
    if found is None:
        return UNKNOWN
    return "male" if found["male"] else "female"


@cache
def _pattern(language: str) -> re.Pattern[str] | None:
    if not (files("jointcoder.text") / "data" / language / "patient.toml").is_file():
        return None
    data = toml("patient", language)
    years, male, female = ("|".join(map(re.escape, data[name])) for name in ("years", "male", "female"))
    between = rf"(?:[\s,]+[\w-]+){{0,{int(data['between'])}}}?[\s,]+"
    return re.compile(
        rf"\d{{1,3}}[\s-]*(?:{years}){between}(?:(?P<male>{male})|(?P<female>{female}))(?!\w)", re.IGNORECASE
    )
