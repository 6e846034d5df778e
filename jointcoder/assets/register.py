"""A weights file of the user's own → checked, put into the models folder, registered under a name.

A file that is byte for byte one of the manifest's gets its place and needs no registering. The header is read, the data
only hashed: whether the engine knows the architecture shows when it is loaded. Adapters are compared with their base,
tensor by tensor, as far as the base is here; each version of one is a file of its own (versions.py).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from jointcoder.assets.gguf import GgufError, GgufHeader, read_header
from jointcoder.assets.local import LocalModel, Registry, known_models
from jointcoder.assets.manifest import AdapterAsset, Asset, Manifest, ModelAsset
from jointcoder.assets.store import (
    CHUNK,
    Progress,
    disk_full,
    file_hash,
    free_bytes,
    is_verified,
    locked,
    remember,
    set_aside,
    writing,
)
from jointcoder.assets.versions import LOCK, SHORT, in_force, put_in_force
from jointcoder.errors import AssetError, UsageError, name_list
from jointcoder.settings import Settings

How = Literal["copy", "move", "link"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
BASE_SHA256 = "jointcoder.base_sha256"  # metadata of an adapter's file: the weights it was trained for


@dataclass(frozen=True)
class Registered:
    """What was registered, and where it lies. ``known``: the manifest knew the file."""

    entry: Asset
    path: Path
    known: bool = False


@dataclass(frozen=True)
class Wish:
    """What the user wants of a file. ``name`` "": the file's own; ``licence`` "": as the file says.

    ``replace``: it may take the place of what has the name (an adapter's earlier versions are kept); ``record``: name
    of a file in the models folder that says on what figures the adapter was promoted; ``other_weights``: accept an
    adapter that was trained for other weights of the same shapes, such as another quantisation."""

    name: str = ""
    how: How = "copy"
    licence: str = ""
    adapter_of: str = ""
    activated: bool = False
    replace: bool = False
    record: str = ""
    other_weights: bool = False


def register(file: Path, settings: Settings, wish: Wish, *, progress: Progress | None = None) -> Registered:
    """Check ``file`` and register it. ``progress(bytes_done, bytes_total)`` while it is hashed or copied.

    Raises AssetError JC201 (no such file), JC205 (no room, not writable), JC206 (unknown base), JC209 (not a whole
    GGUF file), JC210 (an adapter for another base); UsageError JC001 (a name that is taken or no name).
    """
    header = checked(file)
    name = wish.name or re.sub(r"[^A-Za-z0-9._-]+", "-", file.stem).strip("-._") or "model"
    if not NAME.fullmatch(name):
        raise UsageError("JC001", f"{name!r} is no name", hint="letters, digits, dots, dashes and underscores")
    _check_kind(file, header, wish)
    with locked(LOCK, settings):
        if wish.adapter_of:
            check_fit(file, header, wish.adapter_of, settings, other_weights=wish.other_weights)
            return _adapter(file, header, name, settings, wish, progress)
        wanted = {entry.size: entry for entry in Manifest.models() if isinstance(entry, ModelAsset)}
        entry = wanted.get(header.size)
        if entry is not None and file_hash(file, settings, progress=progress) == entry.sha256:
            target = entry.path(settings)
            if not is_verified(entry, settings):
                if target.exists() and file.resolve() != target.resolve():
                    set_aside(target)
                _place(file, target, settings, wish.how, progress)
                remember(target, entry.sha256, settings)
            return Registered(entry, target, known=True)
        if name in Manifest.models():
            raise UsageError(
                "JC001",
                f"{name} is a name of the manifest, and {file.name} is another file",
                hint="give it a name of its own with --name",
            )
        return _model(file, header, name, settings, wish, progress)


def checked(file: Path) -> GgufHeader:
    """The header of a whole GGUF file. Raises AssetError JC201, JC209."""
    try:
        header = read_header(file)
        header.require_whole()
    except FileNotFoundError:
        raise AssetError("JC201", f"{file} does not exist") from None
    except OSError as error:
        raise AssetError("JC201", f"{file} cannot be read ({error.strerror})") from None
    except GgufError as error:
        raise AssetError(
            "JC209", f"{file.name}: {error}", hint="the engine reads whole GGUF files only; fetch or copy it again"
        ) from None
    if header.parts > 1:
        raise AssetError(
            "JC209",
            f"{file.name} is one of {header.parts} parts of a model",
            hint="join them with llama.cpp's llama-gguf-split --merge, then add the result",
        )
    if not header.architecture or not header.tensors:
        raise AssetError("JC209", f"{file.name} names no architecture or holds no weights")
    return header


def _check_kind(file: Path, header: GgufHeader, wish: Wish) -> None:
    if header.is_adapter and not wish.adapter_of:
        raise UsageError(
            "JC001", f"{file.name} is an adapter", hint="say which model it belongs to: --adapter-of NAME --name AGENT"
        )
    if wish.adapter_of and not header.is_adapter:
        raise AssetError(
            "JC210", f"{file.name} is a model ({header.architecture}), not an adapter", hint="leave out --adapter-of"
        )
    if wish.activated and not wish.adapter_of:
        raise UsageError("JC001", "--activated is for adapters: give --adapter-of NAME, too")


def check_fit(
    file: Path, header: GgufHeader, base: str, settings: Settings, *, other_weights: bool = False
) -> ModelAsset:
    """The model ``base``, for which the adapter ``file`` was made. Raises AssetError JC206 (unknown base), JC210."""
    known = known_models(settings)
    if base not in known:
        raise AssetError("JC206", f"unknown model '{base}'", hint=f"known: {name_list(known.names())}")
    entry = known[base]
    assert isinstance(entry, ModelAsset)
    if header.architecture != entry.architecture:
        raise AssetError(
            "JC210", f"{file.name} is an adapter for {header.architecture} models; {base} is a {entry.architecture} one"
        )
    trained_for = str(header.metadata.get(BASE_SHA256, entry.sha256))
    if trained_for != entry.sha256 and not other_weights:
        raise AssetError(
            "JC210",
            f"{file.name} was trained for weights of sha256 {trained_for}; those of {base} have {entry.sha256}",
            hint="name the model that it was trained for, or measure it on this one and accept --other-weights",
        )
    path = entry.path(settings)
    if not path.is_file():
        return entry
    shapes = {tensor.name: tensor.shape for tensor in checked(path).tensors}
    for tensor in header.tensors:
        target, mark, side = tensor.name.rpartition(".lora_")
        if not mark or target == "token_embd.weight":  # llama.cpp keeps that one's halves the other way round
            continue
        shape = shapes.get(target)
        axis = 0 if side == "a" else 1
        if shape is None or len(shape) < 2 or len(tensor.shape) < 2 or tensor.shape[axis] != shape[axis]:
            raise AssetError(
                "JC210",
                f"{file.name} does not fit {base}: its {tensor.name} is of shape {tensor.shape}, "
                f"the model's {target} {f'of shape {shape}' if shape else 'does not exist'}",
                hint="name the model that it was trained for",
            )
    return entry


def _adapter(
    file: Path, header: GgufHeader, name: str, settings: Settings, wish: Wish, progress: Progress | None
) -> Registered:
    sha256 = file_hash(file, settings, again=True, progress=progress)
    current = in_force(settings, wish.adapter_of, name)
    if current and current.sha256 != sha256 and not wish.replace:
        raise UsageError(
            "JC001",
            f"the name {name} is taken by another adapter of {wish.adapter_of}",
            hint="give this one another --name, or replace the other with --replace: it is kept, see models rollback",
        )
    target = settings.models_dir / f"{wish.adapter_of}--{name}--{sha256[:SHORT]}.gguf"
    if file.resolve().parent == settings.models_dir.resolve() and not file.is_symlink():
        target = settings.models_dir / file.name
    elif not target.is_file() or file_hash(target, settings, again=True) != sha256:
        _place(file, target, settings, wish.how, None)
    remember(target, sha256, settings)
    facts = _facts(header, name, target, sha256, wish)
    entry = AdapterAsset(**facts, base=wish.adapter_of, activated=wish.activated, record=wish.record)
    return Registered(put_in_force(entry, settings), target)


def _model(
    file: Path, header: GgufHeader, name: str, settings: Settings, wish: Wish, progress: Progress | None
) -> Registered:
    registry = Registry.read(settings)
    target = settings.models_dir / f"{name}.gguf"
    # A file that lies in the models folder stays what it is called.
    if file.resolve().parent == settings.models_dir.resolve() and not file.is_symlink():
        target = settings.models_dir / file.name
    taken = any(other.name == name for other in registry.models)
    if (taken or target.exists()) and not wish.replace:
        sha256 = file_hash(file, settings, progress=progress)
        if not target.exists() or file_hash(target, settings) != sha256:
            raise UsageError(
                "JC001",
                f"the name {name} is taken by another file, {target}",
                hint="give this one another --name, or replace the other with --replace",
            )
    else:
        sha256 = _place(file, target, settings, wish.how, progress) or file_hash(file, settings, progress=progress)
    remember(target, sha256, settings)
    entry = LocalModel(
        **_facts(header, name, target, sha256, wish),
        parameters=header.parameters,
        chat_template="gguf" if header.metadata.get("tokenizer.chat_template") else "",
    )
    registry.having(entry).write(settings)
    return Registered(entry, target)


def _facts(header: GgufHeader, name: str, target: Path, sha256: str, wish: Wish) -> dict[str, Any]:
    """What models and adapters have in common."""
    return {
        "name": name,
        "title": header.name,
        "file": target.name,
        "size": header.size,
        "sha256": sha256,
        "licence": wish.licence or str(header.metadata.get("general.license") or "unknown"),
        "quantisation": header.quantisation,
        "architecture": header.architecture,
    }


def _place(file: Path, target: Path, settings: Settings, how: How, progress: Progress | None) -> str:
    """Bring ``file`` to ``target``, in place of what lies there. Its sha256, "" if it lies there already."""
    if target.exists() and file.resolve() == target.resolve():
        return ""
    with writing(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        sha256 = ""
        if how == "copy":
            if free_bytes(target.parent) < 1.02 * file.stat().st_size:
                raise disk_full(target.parent)
            try:
                sha256 = _copy(file, part, progress)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        else:
            sha256 = file_hash(file, settings, progress=progress)
            part.unlink(missing_ok=True)
            if how == "link":
                part.symlink_to(file.resolve())
            else:
                shutil.move(file, part)
        part.replace(target)
    return sha256


def _copy(file: Path, part: Path, progress: Progress | None) -> str:
    digest, done, total = hashlib.sha256(), 0, file.stat().st_size
    with file.open("rb") as source, part.open("wb") as sink:
        while block := source.read(CHUNK):
            digest.update(block)
            sink.write(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
        sink.flush()
        os.fsync(sink.fileno())
    return digest.hexdigest()
