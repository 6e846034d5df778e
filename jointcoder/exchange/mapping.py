"""Which column of a table means what: a small TOML file, written by ``jointcoder exchange inspect -o`` or by hand.

    sheet = "2024"                    # a name, or a number from 1; default: every sheet that can be seen and fits
    header = 3                        # the header's row as the spreadsheet numbers it; default: found
    id = ["病案号", "住院次数"]         # one column or several, joined by "-"; none: records are numbered by row
    text = "出院小结"                  # columns that hold a whole record; its sections are sought in the text
    language = "zh"                   # default: detected

    [patient]
    sex = "性别"
    age = "年龄"                       # or birth = "出生日期": the age is reckoned on the day of admission

    [dates]
    admitted = "入院时间"
    discharged = "出院时间"
    order = "dmy"                     # for 5/3/2024 only: dmy or mdy

    [sections]                        # section = column, or columns: each becomes a document of its own
    "主诉" = "主诉"
    "病程记录" = ["首次病程", "日常病程"]

    [fields]                          # administrative, passed through untouched
    "离院方式" = "离院方式代码"

    [[codes]]                         # coded history, principal first
    system = "ICD-10-CN"
    place = "principal"               # principal, other, or all (the first is the principal one)
    code = "主要诊断编码"               # code or name, or both
    name = "主要诊断"
    edition = "国家临床版2.0"            # carried along

    [[codes]]
    system = "ICD-10-CN"
    place = "other"
    code = "其他诊断编码#"              # '#' stands for 1, 2, 3 …; without it one cell lists several codes
    separators = "；;"

A column is named by its heading (case, width, blanks and punctuation do not matter) or, after ``=``, by its letter:
``"=AB"``. Of a text: ``delimiter``, ``quoted = false`` (quotation marks are part of the text), ``ragged = true`` (empty
fields at the end of a row are left out).
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from jointcoder.errors import InputError
from jointcoder.exchange.columns import NUMBER, level, match
from jointcoder.records import System

SEPARATORS = ";；|\n"
LETTER = "="
_LETTERS = re.compile(r"[A-Za-z]{1,3}")


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Column = Annotated[str, Field(min_length=1)]
Columns = Annotated[tuple[Column, ...], BeforeValidator(_listed)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PatientColumns(_Part):
    """Columns of the patient."""

    sex: Column | None = None
    age: Column | None = None
    birth: Column | None = None


class DateColumns(_Part):
    """Columns of the stay's days, and how ambiguous dates are to be read."""

    admitted: Column | None = None
    discharged: Column | None = None
    order: Literal["", "dmy", "mdy"] = ""


class CodeColumns(_Part):
    """Columns of coded history: of one system, codes or names or both."""

    system: System
    place: Literal["principal", "other", "all"] = "all"
    code: Column | None = None
    name: Column | None = None
    separators: str = SEPARATORS
    edition: str = ""

    @model_validator(mode="after")
    def _holds_something(self) -> Self:
        if not self.code and not self.name:
            raise ValueError("needs a column of codes or of names")
        return self


class ColumnMapping(_Part):
    """See the module."""

    sheet: str | int | None = None
    header: Annotated[int, Field(ge=1)] | None = None
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    quoted: bool = True
    ragged: bool = False
    language: str | None = None
    id: Columns = ()
    text: Columns = ()
    patient: PatientColumns = PatientColumns()
    dates: DateColumns = DateColumns()
    sections: dict[str, Columns] = {}
    fields: dict[str, Column] = {}
    codes: tuple[CodeColumns, ...] = ()

    @model_validator(mode="after")
    def _holds_text(self) -> Self:
        if not self.sections and not self.text:
            raise ValueError("names no column to code from: give sections or text")
        return self

    @classmethod
    def read(cls, path: Path) -> Self:
        """The mapping of a TOML file. InputError JC107 (cannot be read) or JC122 (names the keys that are wrong)."""
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise InputError("JC107", f"{path}: {error.strerror or type(error).__name__}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError("JC122", f"{path.name} is not TOML: {error}") from None
        try:
            return cls(**data)
        except ValidationError as error:
            problems = error.errors(include_input=False, include_url=False, include_context=False)
            told = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'mapping'}: {p['msg']}" for p in problems)
            known = ", ".join(cls.model_fields)
            raise InputError("JC122", f"{path.name}: {told}", hint=f"known keys: {known}") from None

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that the mapping names."""
        parts: list[str | None] = [*self.id, *self.text, *self.fields.values()]
        parts += [column for columns in self.sections.values() for column in columns]
        parts += [self.patient.sex, self.patient.age, self.patient.birth, self.dates.admitted, self.dates.discharged]
        parts += [column for codes in self.codes for column in (codes.code, codes.name)]
        return tuple(dict.fromkeys(part for part in parts if part))

    def toml(self) -> str:
        """The mapping as the text of a TOML file."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        plain = {key: value for key, value in data.items() if not isinstance(value, dict) and key != "codes"}
        lines = _pairs(plain)
        for name in ("patient", "dates", "sections", "fields"):
            if data.get(name):
                lines += ["", f"[{name}]", *_pairs(data[name])]
        for codes in data.get("codes", ()):
            lines += ["", "[[codes]]", *_pairs(codes)]
        return "\n".join(lines) + "\n"


def find(reference: str, headings: Sequence[str]) -> dict[int, int]:
    """The columns that a reference means: number → column; -1 is the number of a column without one. Empty when there
    is none."""
    letters = reference.removeprefix(LETTER)
    if reference.startswith(LETTER) and _LETTERS.fullmatch(letters):
        column = column_number(letters)
        return {-1: column} if column < len(headings) else {}
    pattern, exact = level(reference), {heading: column for column, heading in enumerate(headings) if heading}
    if reference in exact:
        return {-1: exact[reference]}
    found: dict[int, int] = {}
    for column, heading in enumerate(headings):
        number = match(pattern, level(heading.replace(NUMBER, " "))) if heading else None
        if number is not None:
            found.setdefault(number, column)
    return dict(sorted(found.items()))


def column_letters(column: int) -> str:
    """0 → ``A``, 27 → ``AB``."""
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters


def column_number(letters: str) -> int:
    """``A`` → 0, ``AB`` → 27."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number - 1


def _pairs(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key, ensure_ascii=False)


def _value(value: Any) -> str:
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
