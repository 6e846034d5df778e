"""Dates, ages and sexes as exports write them; what stands for nothing. The words are data (``data/<language>/``).

>>> read_date("2024年3月5日"), read_date(45356.0), read_age("8个月"), read_sex("女")
(datetime.date(2024, 3, 5), datetime.date(2024, 3, 5), 0.6666666666666666, 'female')

A value that cannot be read raises ValueError without quoting it; an empty one is None. Nothing is guessed: of
``03/05/2024`` nobody can tell the month, so it needs an order.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
import unicodedata
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from jointcoder.exchange.excel_errors import ERRORS

LANGUAGES = ("zh", "en", "es")
ORDERS = ("dmy", "mdy")
EPOCH = dt.date(1899, 12, 30)  # day 0 of Excel's serial numbers
FIRST, LAST = dt.date(1900, 1, 1), dt.date(2100, 12, 31)
NO_DATE = {dt.date(1, 1, 1), dt.date(1753, 1, 1), EPOCH, dt.date(1899, 12, 31), FIRST}  # as databases write it
_SERIALS = range((dt.date(1950, 1, 1) - EPOCH).days, (LAST - EPOCH).days + 1)
_EXACT = 2**53  # whole numbers beyond it are rounded in a spreadsheet
OLDEST = 130.0
_YEARS = {"years": 1.0, "months": 1 / 12, "weeks": 7 / 365.25, "days": 1 / 365.25, "hours": 1 / 8766, "minutes": 0.0}

_TIME = r"(?:\D{0,3}\d{1,2}(?:\D{1,2}\d{1,2}){0,2}(?:\.\d+)?\D{0,3}(?:[+-]\d\d:?\d\d)?)?"
_YEAR_FIRST = re.compile(rf"(\d{{4}})[^\d\s](\d{{1,2}})[^\d\s](\d{{1,2}})(?!\d)\D?{_TIME}")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([/.-])(\d{{1,2}})\2(\d{{4}})(?!\d){_TIME}")
_DIGITS = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{4}|\d{6}|\d{9})?")
_SERIAL = re.compile(r"(\d{5})(?:\.\d*)?")
_NUMBER = r"\d+(?:\.\d+)?"


def is_error(cell: Any) -> bool:
    """Whether the cell shows an error of the spreadsheet program."""
    return isinstance(cell, str) and cell.startswith("#") and cell.strip() in ERRORS


def is_rounded(cell: Any) -> bool:
    """Whether the cell is a number with more digits than a spreadsheet keeps."""
    return isinstance(cell, float) and abs(cell) >= _EXACT


def text_of(cell: Any) -> str:
    """The cell as text: a string untouched, a whole number without a fraction, a date as ISO 8601; an error or what
    stands for nothing ("NULL") is ""."""
    if isinstance(cell, str):
        return "" if not cell or is_error(cell) or _plain(cell) in _words("empty") else cell
    if isinstance(cell, bool) or cell is None:
        return "" if cell is None else str(cell).upper()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, dt.datetime):
        return cell.date().isoformat() if cell.time() == dt.time() else cell.isoformat(" ")
    return str(cell)


def stands_for_nothing(cell: Any) -> bool:
    """Whether the cell of a date, an age, a sex or a code is empty in any wording."""
    plain = _plain(text_of(cell)) if cell != "" else ""
    return not plain or plain in _words("none")


def read_date(cell: Any, *, order: str = "") -> dt.date | None:
    """The day: a date cell, ISO 8601, 2024/3/5, 20240305, 2024年3月5日, a serial number, with or without a time;
    5/3/2024 under an ``order`` of :data:`ORDERS`, or where only one makes a date. Two-digit years are refused."""
    if isinstance(cell, dt.datetime):
        return _within(cell.date())
    if isinstance(cell, dt.date):
        return _within(cell)
    if stands_for_nothing(cell):
        return None
    text = unicodedata.normalize("NFKC", text_of(cell)).strip()
    if found := _SERIAL.fullmatch(text):
        if int(found[1]) in _SERIALS:
            return EPOCH + dt.timedelta(days=int(found[1]))
    elif found := _YEAR_FIRST.fullmatch(text) or _DIGITS.fullmatch(text):
        return _within(_date(found[1], found[2], found[3]))
    elif found := _YEAR_LAST.fullmatch(text):
        return _within(_ordered(found[1], found[3], found[4], order))
    raise ValueError("not a date that can be read")


def read_age(cell: Any) -> float | None:
    """Years, as a fraction for the young: 65, 65岁, 8月, 1岁2个月, 3 days, Y65."""
    if stands_for_nothing(cell):
        return None
    text = unicodedata.normalize("NFKC", text_of(cell)).casefold().strip()
    units, (one, several) = _units(), _ages()
    if re.fullmatch(_NUMBER, text):
        age = float(text)
    elif found := re.fullmatch(rf"([a-z])\s*({_NUMBER})", text):
        age = float(found[2]) * _YEARS[units[found[1]]] if found[1] in units else -1.0
    elif several.fullmatch(text):
        age = sum(float(number) * _YEARS[units[unit]] for number, unit in one.findall(text))
    else:
        age = -1.0
    if not 0 <= age <= OLDEST:
        raise ValueError("not an age that can be read")
    return age


def read_sex(cell: Any) -> str | None:
    """``female``, ``male`` or ``unknown``; None for an empty cell."""
    plain = _plain(text_of(cell))
    for sex in ("female", "male", "unknown"):
        if plain in _words("sex", sex):
            return sex
    if stands_for_nothing(cell):
        return None
    raise ValueError("not a sex that can be read")


def age_on(born: dt.date, day: dt.date) -> float:
    """Years from birth to a day: whole years, months for those under one year. ValueError when born later."""
    if born > day:
        raise ValueError("born after that day")
    months = (day.year - born.year) * 12 + day.month - born.month - (day.day < born.day)
    return float(months // 12) if months >= 12 else months / 12


# ---------------------------------------------------------------------------------------------------------------- words


@cache
def data(name: str, language: str = "") -> Mapping[str, Any]:
    """A table of ``data/``: of one language, or of all."""
    folder = files("jointcoder.exchange") / "data"
    path = folder / language if language else folder
    return MappingProxyType(tomllib.loads((path / f"{name}.toml").read_text("utf-8")))


@cache
def _words(*keys: str) -> frozenset[str]:
    """The words under a key, of every language."""
    found: set[str] = set()
    for table in _tables():
        value: Any = table
        for key in keys:
            value = value.get(key, {})
        found.update(map(_plain, value))
    return frozenset(found)


@cache
def _units() -> Mapping[str, str]:
    """Word → unit, of every language; the first language that has a word decides."""
    found: dict[str, str] = {}
    for table in _tables():
        for unit, words in table.get("units", {}).items():
            for word in words:
                found.setdefault(_plain(word), unit)
    return MappingProxyType(found)


@cache
def _ages() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """A number with its unit, and several of them in a row."""
    words = "|".join(sorted(map(re.escape, _units()), key=len, reverse=True))
    return re.compile(rf"({_NUMBER})\s*({words})"), re.compile(rf"(?:\s*{_NUMBER}\s*(?:{words}))+")


def _tables() -> list[Mapping[str, Any]]:
    return [data("values"), *(data("values", language) for language in LANGUAGES)]


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold() if len(text) < 40 else text


def _ordered(first: str, second: str, year: str, order: str) -> dt.date:
    readings = {"dmy": (second, first), "mdy": (first, second)}
    if order:
        return _date(year, *readings[order])
    possible: list[dt.date] = []
    for month, day in readings.values():
        try:
            possible.append(_date(year, month, day))
        except ValueError:
            continue
    if len(set(possible)) != 1:
        raise ValueError("a date whose day and month cannot be told apart")
    return possible[0]


def _date(year: str, month: str, day: str) -> dt.date:
    try:
        return dt.date(int(year), int(month), int(day))
    except ValueError:
        raise ValueError("not a date of the calendar") from None


def _within(day: dt.date) -> dt.date | None:
    if day in NO_DATE:
        return None
    if not FIRST < day <= LAST:
        raise ValueError("a date of another century")
    return day
