"""The files of a labels part: word columns, a linear model over them, names, and the combiners on top.

| file | what |
|---|---|
| `labels.json` | :class:`Settings`: codes, names, combiners, thresholds |
| `priors.json` | what coded history expects (:mod:`jointcoder.packs.priors`) |
| `tables.json` | the word tables in force when it was trained, so that training and use never disagree |
| `columns.txt` | one column a line: view, tabulator, words |
| `weights.npz` | rarity (columns,), weights (columns, codes + candidates), bias, custom (codes, states) |

Reads and writes; what the figures mean is said in :mod:`.grams`, :mod:`.names` and :mod:`.pairs`.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from jointcoder.codebook.analysis import Tables
from jointcoder.errors import AssetError
from jointcoder.packs.combiner import Combiner
from jointcoder.packs.labels.grams import Found, Key, Space
from jointcoder.packs.labels.names import Names
from jointcoder.packs.labels.pairs import KINDS, Frame
from jointcoder.packs.labels.reading import Reader
from jointcoder.packs.priors import Priors
from jointcoder.records import System

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Settings:
    """What is not an array. ``names[i]``: wordings of code i. ``candidates``: codes that may be principal, by place.
    ``led``: kinds of which every stay has a principal code; of these ``others`` says whether a code is given beside it.
    ``others``, ``firsts``: combiners by kind; ``thresholds``: by system."""

    language: str
    codes: tuple[tuple[str, str], ...]
    names: tuple[tuple[str, ...], ...]
    candidates: tuple[int, ...]
    led: tuple[str, ...]
    shares: Mapping[str, float]
    others: Mapping[str, Combiner]
    firsts: Mapping[str, Combiner]
    thresholds: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        return {
            "language": self.language,
            "codes": [
                {"system": system, "code": code, "names": list(names)}
                for (system, code), names in zip(self.codes, self.names, strict=True)
            ],
            "candidates": list(self.candidates),
            "led": list(self.led),
            "shares": dict(self.shares),
            "others": {kind: combiner.to_json() for kind, combiner in self.others.items()},
            "firsts": {kind: combiner.to_json() for kind, combiner in self.firsts.items()},
            "thresholds": dict(self.thresholds),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any], folder: Path) -> Self:
        """``folder``: combiners with trees keep them in ``others-KIND`` and ``firsts-KIND`` there."""
        return cls(
            language=str(data["language"]),
            codes=tuple((str(System(row["system"])), str(row["code"])) for row in data["codes"]),
            names=tuple(tuple(map(str, row["names"])) for row in data["codes"]),
            candidates=tuple(map(int, data["candidates"])),
            led=tuple(map(str, data["led"])),
            shares={str(view): float(share) for view, share in data["shares"].items()},
            others={k: Combiner.from_json(v, folder / f"others-{k}") for k, v in data["others"].items()},
            firsts={k: Combiner.from_json(v, folder / f"firsts-{k}") for k, v in data["firsts"].items()},
            thresholds={str(kind): float(value) for kind, value in data["thresholds"].items()},
        )


@dataclass(frozen=True)
class Model:
    """Everything of one labels part. ``weights``: (columns, L + K), ``bias``: (L + K,), ``custom``: (L, states)."""

    settings: Settings
    priors: Priors
    reader: Reader
    space: Space
    weights: NDArray[np.float16]
    bias: Array
    custom: Array

    @cached_property
    def names(self) -> Names:
        return Names.of(self.settings.names, self.reader)

    @cached_property
    def frame(self) -> Frame:
        return frame_of(self.settings.codes, self.settings.candidates, self.priors, self.names, self.custom)

    def scores(self, found: Found) -> tuple[Array, Array]:
        """(L,) and (K,): the linear model's scores, about 0 to 1."""
        value = found.values @ self.weights[found.columns].astype(np.float64) + self.bias
        codes = len(self.settings.codes)
        return value[:codes], value[codes:]

    def save(self, folder: Path) -> None:
        """Write all files; the same model gives the same bytes."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(self.settings.to_json(), ensure_ascii=False, indent=1)
        (folder / "labels.json").write_text(text + "\n", "utf-8")
        tables = json.dumps(self.reader.tables.to_json(), ensure_ascii=False, sort_keys=True)
        (folder / "tables.json").write_text(tables + "\n", "utf-8")
        self.priors.save(folder)
        (folder / "columns.txt").write_text("".join(f"{view}\t{words}\n" for view, words in self.space.keys), "utf-8")
        arrays: dict[str, NDArray[Any]] = {
            "rarity": self.space.weights.astype(np.float32),
            "weights": self.weights,
            "bias": self.bias,
            "custom": self.custom,
        }
        with zipfile.ZipFile(folder / "weights.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():  # numpy's own savez writes the time of day
                with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w") as file:
                    np.lib.format.write_array(file, np.ascontiguousarray(array), allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Raises AssetError JC212 where a file is missing or is not what it should be."""
        try:
            settings = Settings.from_json(json.loads((folder / "labels.json").read_text("utf-8")), folder)
            reader = Reader(Tables.from_json(json.loads((folder / "tables.json").read_text("utf-8"))))
            keys = [_key(line) for line in (folder / "columns.txt").read_text("utf-8").split("\n") if line]
            with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
                rarity, weights, bias, custom = (arrays[name] for name in ("rarity", "weights", "bias", "custom"))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
            raise AssetError("JC212", f"the labels of the pack are damaged ({type(error).__name__})") from None
        outputs = len(settings.codes) + len(settings.candidates)
        if weights.shape != (len(keys), outputs) or bias.shape != (outputs,) or len(rarity) != len(keys):
            raise AssetError("JC212", "the labels of the pack are damaged (files that do not belong together)")
        space = Space.of(keys, rarity.astype(np.float64), settings.shares)
        return cls(settings, Priors.load(folder), reader, space, weights, bias.astype(np.float64), custom)


def frame_of(
    codes: Sequence[tuple[str, str]], candidates: Sequence[int], priors: Priors, names: Names, custom: Array
) -> Frame:
    """The fixed figures, derived from the priors."""
    kinds = np.array([KINDS.index(System(system).kind) for system, _ in codes], dtype=np.int64)
    firsts = dict(zip(priors.codes, priors.first, strict=True))
    first = np.array([firsts.get(codes[place], 0) + 1.0 for place in candidates])
    total = np.array([sum(first[kinds[list(candidates)] == kinds[place]]) for place in candidates])
    return Frame(
        kinds=kinds,
        prior=np.array([priors.prior(key) for key in codes]),
        lifts=priors.lifts(codes),
        candidates=np.array(candidates, dtype=np.int64),
        first_prior=first / np.maximum(total, 1.0),
        beside=np.array([[priors.beside(key, codes[place]) for key in codes] for place in candidates]).reshape(
            len(candidates), len(codes)
        ),
        alike=names.alike,
        custom=custom,
    )


def _key(line: str) -> Key:
    view, words = line.split("\t")
    return view, words
