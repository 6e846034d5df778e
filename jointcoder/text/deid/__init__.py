"""De-identification: who the record is about goes, what is coded stays.

    patterns.py     data/<language>/deid.toml → places of names, ids, phones, addresses …
    dates.py        days in every spelling, moved by the same number of days
    key.py          the secret that decides shifts and pseudonyms
    stand_ins.py    placeholders, or surrogates of the same shape
    deidentify.py   one encounter: find, replace, move the evidence along

>>> from jointcoder.text.deid import Deidentifier
>>> Deidentifier().text("Dr. Hart repaired the hernia.")[0]
'Dr. [NAME-1] repaired the hernia.'
"""

from __future__ import annotations

from jointcoder.text.deid.deidentify import Deidentified, Deidentifier, Finder, Wishes
from jointcoder.text.deid.found import Change, Found, Identifier, Moved
from jointcoder.text.deid.key import Key

__all__ = ["Change", "Deidentified", "Deidentifier", "Finder", "Found", "Identifier", "Key", "Moved", "Wishes"]
