"""Days in every spelling, moved by a number of days and written as they were.

    moved("Admitted March 4th, 2025; seen 3/9.", ("en",), days=10)      … "March 14th, 2025", "3/19"
    moved("2025年3月4日（星期二）入院，8日手术", ("zh",), days=10)

A day without a year has that of the day before it in the text, else ``year``. A weekday beside a date becomes the one
of the new day. Years alone, "POD 3", "术后第3天" and times of day stay. A day that no calendar has becomes None: it is
to be taken out. Births of people over 89 come to lie 90 years before ``reference``. Which words name months, weekdays,
cues and measures is data (``[dates]`` of ``data/<language>/deid.toml``).
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jointcoder.text.deid.found import Found, Identifier
from jointcoder.text.resources import toml

OLDEST = 89  # years; what is more tells who somebody is
_NEAR = 40  # characters before a fraction in which a measure is named
_ANY_YEAR = 2001
_Y, _M, _D = r"(?:18|19|20)\d\d", r"1[0-2]|0?[1-9]", r"3[01]|[12]\d|0?[1-9]"
_YEAR, _MONTH, _DAY = rf"(?P<y>{_Y})", rf"(?P<m>{_M})", rf"(?P<d>{_D})"
_CLOCK = r"(?:[01]\d|2[0-3]):[0-5]\d"
_MASS = r"(?!\s?(?:/|%|mg|ml|g\b|copies|IU|个|拷贝|U\b))"
_ISO = rf"(?<![\d.-]){_YEAR}(?P<s>[-./]){_MONTH}(?P=s){_DAY}(?=T?{_CLOCK}|(?![\d]|\.\d))"
_COMPACT = (
    rf"(?<![\dA-Za-z.-])(?P<y>(?:19|20)\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])"
    rf"(?=(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?(?!\d)|(?!\d)){_MASS}"
)
_YEAR_MONTH = rf"(?<![\d./-])(?P<y>(?:19|20)\d\d)[-./](?P<m>0[1-9]|1[0-2])(?![\d./-]){_MASS}"
_PADDING = ("", "-", ".", "/")  # between year and month: what is written with them has two digits a part
_HAN_DIGITS = "〇一二三四五六七八九"


@dataclass(frozen=True)
class _Read:
    """A day as it was written: the match, and of year, month (None: that of the day before it) and day (None: a month
    only) what is told."""

    match: re.Match[str]
    data: Mapping[str, Any]
    start: int
    end: int
    year: int | None
    month: int | None
    day: int | None


def moved(
    text: str, languages: Sequence[str], *, days: int, year: int | None = None, reference: dt.date | None = None
) -> Iterator[Found]:
    """The days of a levelled text, each with what it becomes, in order; none overlap."""
    candidates = [one for language in languages for one in _candidates(text, language)]
    kept: list[_Read] = []
    for one in sorted(candidates, key=lambda one: (one.start - one.end, one.start)):
        if all(one.end <= other.start or other.end <= one.start for other in kept):
            kept.append(one)
    kept.sort(key=lambda one: one.start)
    year = year or next((one.year for one in kept if one.year is not None), None) or _ANY_YEAR
    reference = reference or dt.date(max([one.year for one in kept if one.year is not None] or [year]), 12, 31)
    month: int | None = None
    for one in kept:
        year = one.year if one.year is not None else year
        birth = _is_birth(text, one)
        month = one.month or month
        if month:
            yield from _rewritten(one, (year, month), days, reference if birth else None)
        if birth and one.year is not None:
            year = reference.year  # a birthday says nothing of the days that follow
    yield from _birth_years(text, languages, reference, kept)


def shifted(day: dt.date, days: int) -> dt.date:
    """A day moved; one that would leave the calendar stays at its end."""
    return dt.date.fromordinal(min(max(1, day.toordinal() + days), dt.date.max.toordinal()))


# ------------------------------------------------------------------------------------------------------------- finding


def _candidates(text: str, language: str) -> Iterator[_Read]:
    data = toml("deid", language)["dates"]
    for expression, measured in _expressions(language):
        for match in expression.finditer(text):
            if measured and _measure(text, match, language):
                continue
            if (one := _read(match, data)) is not None:
                yield one


def _read(match: re.Match[str], data: Mapping[str, Any]) -> _Read | None:
    groups = {name: value for name, value in match.groupdict().items() if value is not None}
    told = {name for name in groups if name not in ("s", "t")}
    start, end = min(match.start(name) for name in told), max(match.end(name) for name in told)
    year = _number(groups.get("y", ""))
    if year is not None and len(groups["y"]) == 2:
        year += 2000 if year < 50 else 1900
    month = _month(groups["mon"], data) if "mon" in groups else _number(groups.get("m", ""))
    day = _number(groups.get("d", ""))
    return _Read(match, data, start, end, year, month, day)


@cache
def _expressions(language: str) -> tuple[tuple[re.Pattern[str], bool], ...]:
    """Each with whether it could be a fraction, so that measures named before it speak against it."""
    data = toml("deid", language)["dates"]
    cues, units, to = (_any(data[name]) for name in ("cues", "units", "to"))
    sure = [_ISO, _COMPACT, _YEAR_MONTH]
    short: list[str] = []
    if data["order"] == "ymd":
        sure += _chinese(to, data)
        pair = rf"{_MONTH}/{_DAY}(?:[ ]?{to}[ ]?(?P<m2>{_M})/(?P<d2>{_D}))?(?![\d/.%-]|[ ]?{units})"
        both = r"(?P<m>1[0-2]|0[1-9])-(?P<d>3[01]|[12]\d|0[1-9])"
        short += [rf"{cues}:?[ ]?{pair}", rf"{cues}:?[ ]?{both}(?![\d./%-]|[ ]?{units})"]
        short += [rf"(?<![\d./-]){one}(?=[ ]{_CLOCK})" for one in (both, f"{_MONTH}/{_DAY}")]
        short.append(rf"^[ \t]*{_MONTH}/{_DAY}(?=[ ]?:)")
    else:
        sure += _latin(data, to, units)
        first, second = (_MONTH, _DAY) if data["order"] == "mdy" else (_DAY, _MONTH)
        third, fourth = (rf"(?P<m2>{_M})", rf"(?P<d2>{_D})")
        if data["order"] == "dmy":
            third, fourth = fourth, third
        tail = rf"(?![\d/%]|\.\d|[ ]?{units}\b)"
        pair = rf"{first}/{second}(?:(?P<t>[ ]?{to}[ ]?){third}/{fourth})?{tail}"
        short += [rf"\b(?i:{cues})[ :]+(?:the[ ])?{pair}", rf"^[ \t]*{first}/{second}(?=[ ]?[:–-][ ]?[A-Za-z])"]
        short += [rf"(?<![\d./-]){first}/{second}(?=,?[ ](?:at[ ]|a las[ ])?\d?\d:[0-5]\d)"]
    known = [(re.compile(one, re.MULTILINE), False) for one in sure]
    return (*known, *((re.compile(one, re.MULTILINE), True) for one in short))


def _latin(data: Mapping[str, Any], to: str, units: str) -> list[str]:
    months = rf"(?P<mon>{_names(data['months'])})\b\.?"
    weekday = rf"(?:(?P<wd>{_names(data['weekdays'])})\b\.?,?[ ]+)?"
    ordinal, of = rf"(?P<o>{_any(data['ordinals'])})?", rf"(?:{_any(data['of'])}[ ])?"
    range_ = rf"(?:[ ]?(?:{to})[ ]?(?P<d2>{_D})(?P<o2>{_any(data['ordinals'])})?(?![/\d]))?"
    end = rf"(?![\d:%/]|\.\d|[ ]?{units}\b)"
    first, second = (_MONTH, _DAY) if data["order"] == "mdy" else (_DAY, _MONTH)
    found = [
        rf"{weekday}\b{months}[ ]+{_DAY}{ordinal}{range_}(?:,?[ ]+(?P<y>{_Y})(?!\d)|{end})",
        rf"{weekday}(?<![\d.,/])(?P<d>{_D}){ordinal}[ ]{of}{months}(?:,?[ ]{of}(?P<y>{_Y})(?!\d))?",
        rf"(?<![\d.,/]){_DAY}(?P<s>[-/ ]){months}(?P=s)(?P<y>{_Y}|\d\d)(?![\d/])",
        rf"\b{months},?[ ]{of}(?P<y>{_Y})(?!\d)",
        rf"{weekday}(?<![\d/.-]){first}(?P<s>[-/]){second}(?P=s)(?P<y>{_Y})(?![\d/])",
        rf"{weekday}(?<![\d/.-]){first}/{second}/(?P<y>\d\d)(?![\d/])",
        rf"(?<![\d/.-]){second}(?P<s>[-/]){first}(?P=s)(?P<y>{_Y})(?![\d/])",
        rf"(?<![\d/.]){_MONTH}/(?P<y>(?:19|20)\d\d)(?![\d/])",
    ]
    if data["order"] == "dmy":
        found.append(rf"(?<![\d.]){_DAY}\.{_MONTH}\.(?P<y>{_Y})(?![\d.])")
    return found


def _chinese(to: str, data: Mapping[str, Any]) -> list[str]:
    range_ = rf"(?:[ ]?[日号]?[ ]?{to}[ ]?(?P<d2>{_D})(?=[ ]?[日号]))?"
    weekday = rf"(?:[日号][ ]?\(?(?P<wd>{_names(data['weekdays'])}))?"
    han = "一二三四五六七八九十"
    return [
        rf"(?<!\d){_YEAR}[ ]?年[ ]?{_MONTH}[ ]?月(?:[ ]?{_DAY}(?![\d.天个周年月]){range_}{weekday})?",
        rf"(?<!\d)(?P<y>\d\d)年{_MONTH}月{_DAY}(?=[日号])",
        rf"(?<![\d年.]){_MONTH}[ ]?月[ ]?{_DAY}(?=[ ]?[日号]|[ ]?{to}[ ]?\d{{1,2}}[日号]){range_}{weekday}",
        rf"(?<=[,。;、:于至和及]){_DAY}(?=日{_any(data['day_alone'])})",
        rf"(?P<y>[{_HAN_DIGITS}○零]{{4}})年(?P<m>[{han}]{{1,2}})月(?:(?P<d>[{han}]{{1,3}})(?=[日号]))?",
    ]


def _measure(text: str, match: re.Match[str], language: str) -> bool:
    """Whether what looks like a day without a year stands in a measure: strength 4/5, a murmur of 3/6."""
    start = match.start("m")
    before = re.split(r"[.;。;\n]\s", text[max(0, start - _NEAR) : start])[-1]
    return _measures(language).search(before) is not None


@cache
def _measures(language: str) -> re.Pattern[str]:
    found = _any(toml("deid", language)["dates"]["measures"])
    return re.compile(found if language == "zh" else rf"\b{found}\b", re.IGNORECASE)


def _any(words: Sequence[str]) -> str:
    return f"(?:{'|'.join(re.escape(word) for word in sorted(words, key=len, reverse=True))})" if words else "(?!)"


def _names(groups: Sequence[Sequence[str]]) -> str:
    """Names of months or weekdays as written, capitalised, and in capitals."""
    names = {form for group in groups for name in group for form in (name, name.capitalize(), name.upper())}
    return "|".join(sorted(map(re.escape, names), key=len, reverse=True)) or "(?!)"


# ------------------------------------------------------------------------------------------------------------- reading


def _month(name: str, data: Mapping[str, Any]) -> int | None:
    folded = name.casefold()
    groups = enumerate(data["months"], start=1)
    return next((n for n, group in groups if folded in {one.casefold() for one in group}), None)


def _number(text: str) -> int | None:
    if text.isdecimal():
        return int(text)
    if not text:
        return None
    plain = text.replace("零", "〇").replace("○", "〇")
    if len(plain) == 4:
        return int("".join(str(_HAN_DIGITS.index(char)) for char in plain))
    tens, ten, ones = plain.rpartition("十")
    high = (_HAN_DIGITS.index(tens) if tens else 1) * 10 if ten else 0
    return high + (_HAN_DIGITS.index(ones) if ones in _HAN_DIGITS and ones else 0)


def _is_birth(text: str, one: _Read) -> bool:
    before = text[max(0, one.start - 30) : one.start].rpartition("\n")[2].rstrip(" :：\t").casefold()
    return any(before.endswith(word) for word in one.data["births"])


# ------------------------------------------------------------------------------------------------------------- writing


def _rewritten(one: _Read, told: tuple[int, int], days: int, reference: dt.date | None) -> Iterator[Found]:
    """The parts of the day that change; the whole of it, without what it becomes, where no calendar has it."""
    match, (year, month) = one.match, told
    groups = match.groupdict()
    try:
        leap = one.year is None and (month, one.day) == (2, 29)
        old = dt.date(2000 if leap else year, month, one.day or 15)
        later = None
        if groups.get("d2"):
            last = int(groups["m2"]) if groups.get("m2") else month
            later = shifted(dt.date(old.year + (last < month), last, int(groups["d2"])), days)
    except ValueError:
        yield Found(one.start, one.end, Identifier.DATE)
        return
    new = shifted(old, days)
    if reference is not None and one.year is not None and reference.year - old.year > OLDEST:
        new = new.replace(year=shifted(reference, days).year - OLDEST - 1, day=min(new.day, 28))
    values = _values(one, new, later)
    for number, name in enumerate(sorted((name for name in values if groups.get(name)), key=match.start)):
        start, end = match.span(name)
        extent = one.end - one.start
        yield Found(start, end, Identifier.DATE, becomes=values[name], part_of=extent, further=number > 0)


def _values(one: _Read, new: dt.date, later: dt.date | None) -> dict[str, str]:
    """Group of the match → what it becomes."""
    groups, data = one.match.groupdict(), one.data
    numbers = [groups[name] for name in ("m", "d") if groups.get(name)]
    marked = bool(groups.get("y")) and one.match.start("y") == one.start and len(numbers) == len("".join(numbers)) / 2
    padded = any(number.startswith("0") for number in numbers) or (
        marked and one.match.string[one.match.end("y") : one.match.start("m")] in _PADDING
    )
    if not all(number.isascii() for number in numbers):
        return {"y": _han_year(new.year), "m": _han(new.month), "d": _han(new.day)}

    def put(number: int) -> str:
        return f"{number:02d}" if padded else str(number)

    values = {"m": put(new.month), "d": put(new.day), "o": _ordinal(new.day, data)}
    if one.month is None:  # a day alone: its month may be another one now
        values["d"] = data["month_day"].format(month=new.month, day=new.day)
    if groups.get("y"):
        values["y"] = str(new.year) if len(groups["y"]) == 4 else f"{new.year % 100:02d}"
    if groups.get("mon"):
        values["mon"] = _name(data["months"], (one.month or 1) - 1, new.month - 1, groups["mon"])
    if groups.get("wd"):
        told = groups["wd"].casefold()
        old = next(n for n, group in enumerate(data["weekdays"]) if told in {name.casefold() for name in group})
        values["wd"] = _name(data["weekdays"], old, new.weekday(), groups["wd"])
    if later is not None:
        values |= {"m2": put(later.month), "d2": put(later.day), "o2": _ordinal(later.day, data)}
        if not groups.get("m2") and later.month != new.month:
            told = groups.get("mon")
            named = _name(data["months"], (one.month or 1) - 1, later.month - 1, told) + " " if told else ""
            values["d2"] = (
                named + str(later.day) if named else data["month_day"].format(month=later.month, day=later.day)
            )
    return values


def _name(groups: Sequence[Sequence[str]], old: int, new: int, written: str) -> str:
    """The name of the new month or weekday, as long or short and in the letters of the old one as ``written``."""
    folded = [name.casefold() for name in groups[old]]
    at = folded.index(written.casefold())
    last = at == len(folded) - 1 and at > 0
    name = groups[new][-1 if last else min(at, len(groups[new]) - 1)]
    if written.isupper() and len(written) > 1 and written.isascii():
        return name.upper()
    return name.capitalize() if written[:1].isupper() else name.lower()


def _ordinal(day: int, data: Mapping[str, Any]) -> str:
    endings = data["ordinals"]
    if len(endings) < 4:
        return endings[0] if endings else ""
    return str(endings[0] if 10 <= day % 100 <= 20 or day % 10 > 3 else endings[day % 10])


def _han(number: int) -> str:
    tens, ones = divmod(number, 10)
    return ("" if tens == 0 else "十" if tens == 1 else _HAN_DIGITS[tens] + "十") + (_HAN_DIGITS[ones] if ones else "")


def _han_year(year: int) -> str:
    return "".join(_HAN_DIGITS[int(digit)] for digit in str(year))


def _birth_years(text: str, languages: Sequence[str], reference: dt.date, kept: Sequence[_Read]) -> Iterator[Found]:
    """Years of birth without a day, of people over 89."""
    for language in languages:
        for match in _born(language).finditer(text):
            start, end = match.span("y")
            inside = any(start < one.end and one.start < end for one in kept)
            if not inside and reference.year - int(match["y"]) > OLDEST:
                yield Found(start, end, Identifier.DATE, becomes=str(reference.year - OLDEST - 1))


@cache
def _born(language: str) -> re.Pattern[str]:
    return re.compile(rf"(?i:{_any(toml('deid', language)['dates']['births'])})[ :]*(?P<y>(?:18|19)\d\d)(?!\d)")
