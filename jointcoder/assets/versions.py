"""Versions of an adapter: one is in force, the earlier ones are kept, and each knows what it took the place of.

    put_in_force(entry)        the one in force becomes a superseded one; nothing is deleted
    roll_back(model, name)     the predecessor is in force again; ``to`` names another version by its sha256

A version is a file of its own, never written over. Which one is in force is one line of ``local.toml``, which is
replaced as a whole: who is killed in the middle leaves the old state. The lock ``local-models`` is the caller's to
hold for :func:`put_in_force`. This module judges no figures; ``finetune`` does, before it calls.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from typing import Literal

from jointcoder.assets.local import Registry, adapters_in_force, verified
from jointcoder.assets.manifest import AdapterAsset, Manifest, ShippedAdapter
from jointcoder.assets.store import locked
from jointcoder.errors import AssetError, name_list
from jointcoder.settings import Settings

LOCK = "local-models"
SHORT = 12  # characters of a sha256 that tell versions apart


@dataclass(frozen=True)
class Version:
    """A version of an adapter. ``shipped``: it came with the program."""

    entry: AdapterAsset
    state: Literal["in force", "superseded"]

    @property
    def shipped(self) -> bool:
        return isinstance(self.entry, ShippedAdapter)


def in_force(settings: Settings, base: str, name: str) -> AdapterAsset | None:
    """The version that is used now. Raises AssetError JC208."""
    return next((a for a in adapters_in_force(settings) if (a.base, a.name) == (base, name)), None)


def versions(settings: Settings, base: str, name: str) -> tuple[Version, ...]:
    """All versions that are kept, the one in force first, then the latest superseded ones. Raises AssetError JC208."""
    current = in_force(settings, base, name)
    kept = [a for a in Registry.read(settings).superseded if (a.base, a.name) == (base, name)]
    kept.sort(key=lambda adapter: adapter.since, reverse=True)
    shipped = [a for a in Manifest.models().adapters if (a.base, a.name) == (base, name)]
    found = [Version(current, "in force")] if current else []
    known = {version.entry.sha256 for version in found}
    for entry in (*kept, *shipped):
        if entry.sha256 not in known:
            known.add(entry.sha256)
            found.append(Version(entry, "superseded"))
    return tuple(found)


def put_in_force(entry: AdapterAsset, settings: Settings) -> AdapterAsset:
    """Make ``entry`` (whose file lies in its place) the version that is used; as recorded, with its predecessor.

    Raises AssetError JC205, JC208.
    """
    current = in_force(settings, entry.base, entry.name)
    since = current.since if current and current.sha256 == entry.sha256 else ""
    before = current.predecessor if since and current else current.sha256 if current else ""
    entry = entry.model_copy(update={"since": since or _now(), "predecessor": before})
    _switch(Registry.read(settings), entry, current).write(settings)
    return entry


def roll_back(settings: Settings, base: str, name: str, *, to: str = "") -> tuple[AdapterAsset, AdapterAsset]:
    """Put the predecessor in force again, or the version whose sha256 begins with ``to``: (before, now).

    Its file is hashed first. Raises AssetError JC223 (no such adapter or version), JC201, JC202 (its file is gone or
    another), JC205, JC208.
    """
    with locked(LOCK, settings):
        known = versions(settings, base, name)
        if not known or known[0].state != "in force":
            have = [f"{a.name} of {a.base}" for a in adapters_in_force(settings)]
            raise AssetError("JC223", f"{base} has no adapter {name}", hint=f"known: {name_list(have)}")
        current, others = known[0].entry, known[1:]
        wanted = to or current.predecessor
        if not wanted:
            raise AssetError(
                "JC223",
                f"adapter {name} of {base} took the place of none",
                hint=f"versions kept: {_listed(known)}; name one with --to",
            )
        matching = [version.entry for version in others if version.entry.sha256.startswith(wanted)]
        if len(matching) != 1:
            raise AssetError(
                "JC223",
                f"adapter {name} of {base} has {'no' if not matching else 'more than one'} earlier version {wanted}",
                hint=f"versions kept: {_listed(known)}",
            )
        verified(matching[0], settings, again=True)
        _switch(Registry.read(settings), matching[0], current).write(settings)
        return current, matching[0]


def _switch(registry: Registry, entry: AdapterAsset, current: AdapterAsset | None) -> Registry:
    """``entry`` in force, ``current`` superseded. A shipped adapter stands in no registry: where it is to be in force,
    no other may take its name."""
    key = (entry.base, entry.name)
    others = tuple(a for a in registry.adapters if (a.base, a.name) != key)
    gone = {entry.sha256, current.sha256 if current else ""}
    kept = tuple(a for a in registry.superseded if (a.base, a.name) != key or a.sha256 not in gone)
    if current and current.sha256 != entry.sha256 and not isinstance(current, ShippedAdapter):
        kept = (*kept, current)
    own = () if isinstance(entry, ShippedAdapter) else (entry,)
    return replace(registry, adapters=(*others, *own), superseded=kept)


def _listed(known: tuple[Version, ...]) -> str:
    return ", ".join(f"{version.entry.sha256[:SHORT]} ({version.state})" for version in known)


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="microseconds")
