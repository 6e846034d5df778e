"""FHIR JSON, looked at without trust: elements with their paths, resources, and the pool in which references resolve.

    Element    an object with its path; what is of the wrong type is InputError JC161, which names the path alone
    Resource   an element with a type, an id and the URL of its entry
    Pool       the resources of a Bundle, of Parameters, or one by itself

This module knows no resource type but the two that hold others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from jointcoder.errors import InputError

_TYPE = re.compile(r"[A-Z][A-Za-z]{2,60}")
_RELATIVE = re.compile(r"(?:.*/)?([A-Z][A-Za-z]{2,60}/[A-Za-z0-9.\-]{1,64})(?:/_history/.*)?")
_DEEPEST = 8  # Bundles within Bundles
_UNUSED = ("HEAD", "GET", "DELETE")  # entries of a transaction that bring nothing


@dataclass(frozen=True, slots=True)
class Element:
    """An object of a resource; an absent one is empty and false."""

    data: Mapping[str, Any]
    path: str

    def __bool__(self) -> bool:
        return bool(self.data)

    def text(self, name: str) -> str:
        """A string; "" if absent. JC161."""
        value = self.data.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(name, "a string")
        return value

    def child(self, name: str) -> Element:
        """An object; empty if absent. JC161."""
        value = self.data.get(name)
        if value is None:
            return Element({}, f"{self.path}.{name}")
        if not isinstance(value, dict):
            raise self._wrong(name, "an object")
        return Element(value, f"{self.path}.{name}")

    def children(self, name: str) -> list[Element]:
        """A list of objects; empty if absent. JC161."""
        value = self.data.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(name, "a list")
        found = []
        for place, one in enumerate(value):
            if not isinstance(one, dict):
                raise self._wrong(f"{name}[{place}]", "an object")
            found.append(Element(one, f"{self.path}.{name}[{place}]"))
        return found

    def number(self, name: str) -> float | None:
        """A number; None if absent. JC161."""
        value = self.data.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._wrong(name, "a number")
        return float(value)

    def codings(self, name: str) -> list[tuple[str, str]]:
        """(system, code) of a CodeableConcept."""
        return [(coding.text("system"), coding.text("code")) for coding in self.child(name).children("coding")]

    def words(self, name: str) -> str:
        """What a CodeableConcept calls itself: its text, else the first display."""
        concept = self.child(name)
        displays = (coding.text("display") for coding in concept.children("coding"))
        return concept.text("text") or next((one for one in displays if one), "")

    def _wrong(self, name: str, wanted: str) -> InputError:
        return InputError("JC161", f"{self.path}.{name} must be {wanted}", hint="FHIR R4 JSON is read")


@dataclass(frozen=True, slots=True)
class Resource(Element):
    """A resource; ``url`` is the ``fullUrl`` of its entry."""

    type: str = ""
    url: str = ""

    @property
    def id(self) -> str:
        return self.text("id")

    @property
    def reference(self) -> str:
        """How others refer to it: ``Encounter/12``, else its URL, else ""."""
        return f"{self.type}/{self.id}" if self.id else self.url

    def contained(self, reference: str) -> Resource | None:
        """The resource within this one that ``#id`` means."""
        for place, one in enumerate(self.children("contained")):
            if one.text("id") == reference.removeprefix("#"):
                return _resource(one.data, f"{self.path}.contained[{place}]", "")
        return None


@dataclass
class Pool:
    """Resources in order, and where references lead."""

    resources: list[Resource] = field(default_factory=list)
    _known: dict[str, Resource] = field(default_factory=dict)

    @classmethod
    def of(cls, data: Any) -> Pool:
        """The resources of a JSON object. InputError JC160 (no resource), JC161."""
        pool = cls()
        for resource in _within(data, "", "", 0):
            pool.add(resource)
        return pool

    def add(self, resource: Resource) -> None:
        """Take a resource in; of two under one name the first is found."""
        self.resources.append(resource)
        for name in filter(None, (resource.url, resource.reference)):
            self._known.setdefault(name, resource)
        for identifier in resource.children("identifier") if _is_list(resource, "identifier") else ():
            if identifier.text("value"):
                self._known.setdefault(_identified(resource.type, identifier), resource)

    def of_type(self, *types: str) -> Iterator[Resource]:
        return (one for one in self.resources if one.type in types)

    def find(self, reference: str, *, within: Resource | None = None) -> Resource | None:
        """The resource behind ``#id``, a URL or ``Type/id`` (also at the end of a server's URL); None if it is not
        here."""
        if reference.startswith("#"):
            return within.contained(reference) if within is not None else None
        if found := self._known.get(reference):
            return found
        tail = _RELATIVE.fullmatch(reference)
        return self._known.get(tail[1]) if tail else None

    def behind(self, reference: Element, *, within: Resource | None = None) -> Resource | None:
        """The resource behind a Reference: by its ``reference``, else by its ``identifier``."""
        if name := reference.text("reference"):
            return self.find(name, within=within)
        identifier = reference.child("identifier")
        if identifier.text("value"):
            return self._known.get(_identified(reference.text("type"), identifier))
        return None


def is_resource(data: object) -> bool:
    """Whether a JSON value is meant as a FHIR resource."""
    return isinstance(data, dict) and isinstance(data.get("resourceType"), str)


def plain(reference: str) -> str:
    """A reference without a server's address and version: ``Type/id``; others as they are."""
    tail = _RELATIVE.fullmatch(reference)
    return tail[1] if tail else reference


def extension(element: Element, url: str) -> Element | None:
    """The first extension of that URL."""
    return next((one for one in element.children("extension") if one.text("url") == url), None)


def _identified(type: str, identifier: Element) -> str:
    return f"{type}?{identifier.text('system')}|{identifier.text('value')}"


def _is_list(resource: Resource, name: str) -> bool:
    """``identifier`` is a single object in some resource types (Bundle, Composition)."""
    return isinstance(resource.data.get(name), list)


def _resource(data: Any, path: str, url: str) -> Resource:
    type = data.get("resourceType") if isinstance(data, dict) else None
    if not isinstance(type, str) or not _TYPE.fullmatch(type):
        raise InputError(
            "JC160", f"{path or 'the input'} is no FHIR resource", hint="a resource is an object with a resourceType"
        )
    return Resource(data, path or type, type, url)


def _within(data: Any, path: str, url: str, depth: int) -> Iterator[Resource]:
    resource = _resource(data, path, url)
    if resource.type not in ("Bundle", "Parameters"):
        yield resource
        return
    if depth >= _DEEPEST:
        raise InputError("JC161", f"{resource.path}: Bundles nested too deeply")
    holders = resource.children("entry" if resource.type == "Bundle" else "parameter")
    for holder in holders:
        unused = holder.child("request").text("method") in _UNUSED if resource.type == "Bundle" else False
        if holder.data.get("resource") is None or unused:
            continue
        yield from _within(holder.data["resource"], f"{holder.path}.resource", holder.text("fullUrl"), depth + 1)
