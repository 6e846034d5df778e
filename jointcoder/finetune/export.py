"""A trained adapter → the engine's file, its card, its place.

    load_run(folder)                 what a training left: the peft folder, and training.json where there is one
    export(run, base, out)           the GGUF file, read back and compared with the base
    write_card(exported, …)          the model card beside it
    enrol(exported, settings)        into the user's own list: a workflow's step can name it
    publish(exported, card, …)       into models/adapters and the manifest; only what is freely licensed

Whether it computes what was trained is agree.py's to say, whether it is better gate.py's. This module trains nothing.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jointcoder.assets.manifest import Manifest, ModelAsset, ShippedAdapter, shipped_adapters
from jointcoder.assets.models import ResolvedModel
from jointcoder.assets.register import NAME, Registered, Wish, checked, register
from jointcoder.errors import AssetError, InputError, UsageError
from jointcoder.finetune.card import Distribution, Facts, Json, card, distribution
from jointcoder.finetune.gguf_lora import About, Kind, convert
from jointcoder.finetune.gguf_write import replacing, write_gguf
from jointcoder.finetune.peft_folder import CONFIG, PeftAdapter, read_peft
from jointcoder.settings import Settings

TRAINING = "training.json"


@dataclass(frozen=True)
class Run:
    """What a training left. ``training``: None for an adapter that came from elsewhere."""

    folder: Path
    adapter: PeftAdapter
    training: Json | None = None

    @property
    def name(self) -> str:
        return str((self.training or {}).get("agent") or self.folder.name)


@dataclass(frozen=True)
class Exported:
    """The engine's file of an adapter."""

    path: Path
    sha256: str
    name: str
    kind: Kind
    run: Run
    base: ResolvedModel
    base_licence: str
    distribution: Distribution


def load_run(folder: Path) -> Run:
    """A training's folder, or one that peft wrote. Raises AssetError JC221, JC222."""
    inner = folder / "adapter" if not (folder / CONFIG).is_file() and (folder / "adapter").is_dir() else folder
    places = dict.fromkeys((folder / TRAINING, inner / TRAINING, inner.parent / TRAINING))
    found = next((path for path in places if path.is_file()), None)
    return Run(folder, read_peft(inner), read_json(found) if found else None)


def export(
    run: Run, base: ResolvedModel, out: Path, *, name: str = "", kind: Kind = "f16", other_weights: bool = False
) -> Exported:
    """Write the adapter for the engine.

    Raises AssetError JC210 (trained for another base), JC222 (the engine cannot have it), JC205 (no room), UsageError
    JC001 (no name).
    """
    name = name or run.name
    if not NAME.fullmatch(name):
        raise UsageError("JC001", f"{name!r} is no name", hint="letters, digits, dots, dashes and underscores")
    trained_on = str(((run.training or {}).get("base") or {}).get("sha256") or "")
    if trained_on and trained_on != base.sha256 and not other_weights:
        raise AssetError(
            "JC210",
            f"the adapter was trained on weights of sha256 {trained_on}; those of {base.name} have {base.sha256}",
            hint="name the model that it was trained on, or accept --other-weights and measure what comes of it",
        )
    licence = base.entry.licence if base.entry else ""
    status = distribution(run.training, licence)
    about = About(name, status.licence, base.name, trained_on or base.sha256)
    lora = convert(run.adapter, checked(base.path), kind=kind, about=about)
    write_gguf(out, lora.metadata, lora.tensors)
    header = checked(out)
    if header.architecture != checked(base.path).architecture or len(header.tensors) != 2 * len(run.adapter.pairs):
        raise AssetError("JC209", f"{out.name} is not what was written", hint="the disk may be damaged")
    with out.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return Exported(out, sha256, name, kind, run, base, licence, status)


def facts(
    exported: Exported, *, evaluations: Sequence[Json] = (), gate: Json | None = None, agreement: Json | None = None
) -> Facts:
    """What the card tells. Raises AssetError JC226 where a report is of another adapter."""
    for what, report in (("agreement", agreement), ("gate", gate)):
        other = (report or {}).get("adapter", {}).get("sha256", exported.sha256)
        if other != exported.sha256:
            raise AssetError(
                "JC226",
                f"the {what} report is of an adapter of sha256 {other}, this one has {exported.sha256}",
                hint="run the check again on this file",
            )
    adapter = exported.run.adapter
    return Facts(
        name=exported.name,
        file=exported.path.name,
        sha256=exported.sha256,
        size=exported.path.stat().st_size,
        rank=adapter.rank,
        parameters=adapter.parameters,
        invocation=adapter.invocation,
        kind=exported.kind,
        base=exported.base.name,
        base_sha256=exported.base.sha256,
        base_licence=exported.base_licence,
        training=exported.run.training,
        evaluations=evaluations,
        gate=gate,
        agreement=agreement,
    )


def write_card(exported: Exported, told: Facts, path: Path | None = None) -> Path:
    """Write the card, by default beside the file. Raises AssetError JC205."""
    path = path or exported.path.with_suffix(".md")
    with replacing(path) as file:
        file.write(card(told).encode())
    return path


def enrol(
    exported: Exported, settings: Settings, *, replace: bool = False, record: str = "", other_weights: bool = False
) -> Registered:
    """Into the user's own list of adapters. Raises as :func:`jointcoder.assets.register.register`."""
    wish = Wish(
        name=exported.name,
        licence=exported.distribution.licence,
        adapter_of=exported.base.name,
        activated=bool(exported.run.adapter.invocation) or _activated(exported.run),
        replace=replace,
        record=record,
        other_weights=other_weights,
    )
    return register(exported.path, settings, wish)


def publish(exported: Exported, told: Facts, *, folder: Path | None = None) -> Path:
    """Into ``models/adapters`` of a checkout, with its card, and into the manifest.

    Raises AssetError JC224 (not freely licensed, agreement not shown, not a checkout), JC205.
    """
    if not exported.distribution.free:
        raise AssetError(
            "JC224",
            f"{exported.name} is for local use only: {'; '.join(exported.distribution.obstacles)}",
            hint="it can be registered here (--register); to publish, train on freely licensed data",
        )
    if not (told.agreement or {}).get("passed"):
        raise AssetError(
            "JC224",
            f"{exported.name}: it is not shown that the engine computes what was trained",
            hint="run `python -m jointcoder.finetune agree … --out FILE` and give --agreement FILE",
        )
    folder = folder or shipped_adapters()
    manifest = folder.parent / "manifest.toml"
    if not manifest.is_file():
        raise AssetError("JC224", f"{folder} lies beside no manifest.toml", hint="publish from a checkout")
    target = folder / f"{exported.base.name}--{exported.name}.gguf"
    entry = ShippedAdapter(
        name=exported.name,
        title=f"{exported.name} for {exported.base.name}",
        file=target.name,
        size=exported.path.stat().st_size,
        sha256=exported.sha256,
        licence=exported.distribution.licence,
        base=exported.base.name,
        activated=bool(exported.run.adapter.invocation) or _activated(exported.run),
        quantisation=exported.kind.upper(),
        architecture=checked(exported.path).architecture,
    )
    text = with_adapter(manifest.read_text("utf-8"), entry)
    with replacing(target) as file:
        file.write(exported.path.read_bytes())
    write_card(exported, told, target.with_suffix(".md"))
    with replacing(manifest) as file:
        file.write(text.encode())
    return target


def with_adapter(manifest: str, entry: ShippedAdapter) -> str:
    """The manifest's text with ``entry``, in place of one of its name and base; the rest to the letter."""
    mark = "\n[[adapter]]\n"
    head, *blocks = manifest.split(mark)
    kept = []
    for block in blocks:
        own, rest = block, ""
        if "\n[[" in block:  # other tables behind it stay where they are
            own, _, rest = block.partition("\n[[")
            rest = f"\n[[{rest}"
        values = tomllib.loads(own)
        if (values.get("base"), values.get("name")) != (entry.base, entry.name):
            kept.append(mark + own + rest)
        else:
            kept.append(rest)
    fields = entry.model_dump(mode="json", exclude_defaults=True)
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in fields.items()]
    text = head.rstrip("\n") + "\n" + "".join(kept).rstrip("\n") + "\n" + mark + "\n".join(lines) + "\n"
    Manifest.read(text, ModelAsset, "model", "models/manifest.toml")
    return text


def read_json(path: Path) -> dict[str, Any]:
    """A report. Raises InputError JC107, JC104."""
    try:
        value = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError("JC107", f"{path} cannot be read ({type(error).__name__})") from None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InputError("JC104", f"{path.name} is not a JSON object")
    return value


def _activated(run: Run) -> bool:
    return ((run.training or {}).get("recipe") or {}).get("method") == "alora"
