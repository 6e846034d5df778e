"""The part as a whole: opens its files, reads a note, weighs twice, and proposes.

| file | what |
|---|---|
| `model.json` | trained codes, models by system, numbers of features |
| `lexicon.jsonl` | wordings |
| `tagger-SYSTEM.npz`, `.json` | weights by cue |
| `pairs.npz` | how often codes come together |
| `trees/…` | where a model has trees |
| `verdicts.json` | the combiner for a model's verdicts, if one was trained |

The language of the training notes is that of the pack; a note in another one is read with that language's words and
will rarely match. A lookup adds codes that were never trained; without one the part knows trained codes only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from jointcoder.errors import AssetError
from jointcoder.packs.combiner import Combiner, Part
from jointcoder.packs.mentions.evidence import Memory, gather
from jointcoder.packs.mentions.features import KNOWN, Row, look
from jointcoder.packs.mentions.lexicon import Lexicon
from jointcoder.packs.mentions.second import KNOWN_SECOND, NOVEL_SECOND, add_company
from jointcoder.packs.mentions.tagger import Tagger
from jointcoder.packs.mentions.tokens import Note, Reader
from jointcoder.packs.mentions.verdicts import Doubt, Verdicts, sentence_of, weigh
from jointcoder.packs.pack import PackInfo
from jointcoder.packs.proposal import Proposal, Reason
from jointcoder.records import Encounter, Span, System
from jointcoder.text.language import detect

if TYPE_CHECKING:
    from jointcoder.codebook.lookup import Lookup

NAME = "mentions"
THRESHOLD = 0.5
FEWEST = 0.005  # probability under which a proposal is not worth listing
EXPLAINED = 0.1  # probability from which reasons are given: they cost more than the probability itself
FIRST_LOOK = "first_look"
TELLING = 0.5  # log-odds of the first look under which it is not taken apart: the shares would be of next to nothing
REASONS = 0.05  # log-odds under which a contribution is left out
SPANS = 5  # places shown of one code
UNSURE = (0.1, 0.75)


@dataclass(frozen=True)
class Models:
    """The combiners of one system: first look, second look, and for codes that were never trained (or None)."""

    first: Combiner
    second: Combiner
    novel: Combiner | None


class Mentions:
    """Immutable after loading; safe to share between threads."""

    def __init__(
        self,
        memory: Memory,
        models: Mapping[str, Models],
        *,
        languages: Sequence[str],
        thresholds: Mapping[str, float] | None = None,
        lookup: Lookup | None = None,
        verdicts: Combiner | None = None,
    ) -> None:
        self.memory, self.models, self.languages = memory, models, tuple(languages)
        self.thresholds, self.lookup, self.verdicts = dict(thresholds or {}), lookup, verdicts
        self._reader = lru_cache(maxsize=8)(Reader)

    # ------------------------------------------------------------------------------------------------- proposing

    def propose(self, encounter: Encounter, language: str = "", *, verdicts: Verdicts | None = None) -> list[Proposal]:
        """All codes that something speaks for, best first; those under the threshold with ``chosen=False``.

        ``language`` "" is detected. ``verdicts``: see :mod:`.verdicts`. Raises InputError JC105 for a language that is
        not supported.
        """
        note = self.read(encounter, language)
        rows, scores = self.weighed(note)
        proposals = [
            self._proposal(note, row, score, verdicts)
            for row, score in zip(rows, scores, strict=True)
            if score[1] and (verdicts or self._stays(row.code[0], score[1]))
        ]
        kept = [p for p in proposals if self._stays(p.system, p.probability)]
        return sorted(kept, key=lambda p: (-p.probability, p.system.value, p.code))

    def unsure(
        self, encounter: Encounter, language: str = "", *, low: float = UNSURE[0], high: float = UNSURE[1]
    ) -> list[Doubt]:
        """The codes with a probability between ``low`` and ``high``, each with the sentence that is its evidence."""
        note = self.read(encounter, language)
        rows, scores = self.weighed(note)
        found = [
            Doubt(
                System(row.code[0]),
                row.code[1],
                probability,
                (spans := note.pieces(row.words)),
                sentence_of(encounter, spans, note.language),
                row.known,
            )
            for row, (_, probability) in zip(rows, scores, strict=True)
            if low <= probability <= high
        ]
        return sorted(found, key=lambda d: (-d.probability, d.system.value, d.code))

    def read(self, encounter: Encounter, language: str = "") -> Note:
        """The note's words, in the language given, stated or detected."""
        spoken = language or encounter.language or detect("\n".join(d.text for d in encounter.documents)).language
        note: Note = self._reader(spoken).read(encounter)
        return note

    def weighed(self, note: Note) -> tuple[list[Row], list[tuple[float, float]]]:
        """Every row of the note with its log-odds and its calibrated probability."""
        rows = look(gather(note, self.memory, self.lookup), self.memory)
        first = [0.0] * len(rows)
        for system, models in self.models.items():
            chosen = [i for i, row in enumerate(rows) if row.known and row.code[0] == system]
            for i, value in zip(chosen, models.first.probability(matrix(rows, chosen, KNOWN)), strict=True):
                first[i] = float(value)
        add_company(rows, first, self.memory)
        scores = [(0.0, 0.0)] * len(rows)
        for system, models in self.models.items():
            for known, combiner, names in (
                (True, models.second, KNOWN_SECOND),
                (False, models.novel, NOVEL_SECOND),
            ):
                chosen = [i for i, row in enumerate(rows) if row.known is known and row.code[0] == system]
                if combiner is None or not chosen:
                    continue
                raw = combiner.logodds(matrix(rows, chosen, names))
                for i, value, probability in zip(chosen, raw, combiner.calibration(raw), strict=True):
                    scores[i] = (float(value), float(probability))
        return rows, scores

    def _stays(self, system: str, probability: float) -> bool:
        """Whether a code is worth telling: likely enough, or chosen."""
        return probability >= FEWEST or probability >= self.thresholds.get(system, THRESHOLD)

    def _proposal(self, note: Note, row: Row, score: tuple[float, float], verdicts: Verdicts | None) -> Proposal:
        system, code = row.code
        models = self.models[system]
        probability = score[1]
        reasons: tuple[Reason, ...] = ()
        if probability >= EXPLAINED:
            combiner, names = (models.second, KNOWN_SECOND) if row.known else (models.novel, NOVEL_SECOND)
            assert combiner is not None
            parts = combiner.parts(np.array([row.features[n] for n in names]))
            if row.known:  # what the first look saw speaks for itself, not as one figure
                seen = models.first.parts(np.array([row.features[n] for n in KNOWN]))
                parts = unfolded(parts, FIRST_LOOK, seen)
            reasons = tuple(part.reason() for part in parts if abs(part.weight) > REASONS)
        if verdicts and self.verdicts is not None and row.code in verdicts:
            probability, more = weigh(self.verdicts, logit(probability), verdicts[row.code])
            reasons = (*more, *reasons)
        spans: tuple[Span, ...] = ()
        for words in row.places[:SPANS]:
            spans += tuple(span for span in note.pieces(words) if span not in spans)
        return Proposal(
            system=System(system),
            code=code,
            probability=probability,
            spans=spans,
            assertion=row.assertion,
            principal=probability * (1.0 - row.features.get("position", 0.5)),
            reasons=reasons,
            chosen=probability >= self.thresholds.get(system, THRESHOLD),
        )

    # --------------------------------------------------------------------------------------------------- storing

    def save(self, folder: Path) -> None:
        """Write everything but thresholds (they stand in the pack's description)."""
        folder.mkdir(parents=True, exist_ok=True)
        memory = self.memory
        memory.lexicon.save(folder / "lexicon.jsonl")
        for system, tagger in memory.taggers.items():
            tagger.save(folder, f"tagger-{system}")
        pairs = sorted((a, b, n) for (a, b), n in memory.pairs.items())
        np.save(folder / "pairs.npy", np.array(pairs, dtype=np.int32).reshape(-1, 3))
        data = {
            "languages": self.languages,
            "encounters": memory.encounters,
            "codes": [[*code, count] for code, count in zip(memory.codes, memory.documents, strict=True)],
            "models": {
                system: {name: part and part.to_json() for name, part in _parts(models).items()}
                for system, models in self.models.items()
            },
        }
        (folder / "model.json").write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")
        if self.verdicts is not None:
            (folder / "verdicts.json").write_text(json.dumps(self.verdicts.to_json(), indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path, info: PackInfo, lookup: Lookup | None = None) -> Self:
        """Open what :meth:`save` wrote. AssetError JC212 where a file is damaged."""
        try:
            data = json.loads((folder / "model.json").read_text("utf-8"))
            taggers = {system: Tagger.load(folder, f"tagger-{system}") for system in data["models"]}
            memory = Memory(
                lexicon=Lexicon.load(folder / "lexicon.jsonl"),
                taggers=taggers,
                codes=[(system, code) for system, code, _ in data["codes"]],
                documents=[count for *_, count in data["codes"]],
                pairs={(a, b): n for a, b, n in np.load(folder / "pairs.npy").tolist()},
                encounters=data["encounters"],
            )
            memory.prepare()
            models = {system: _models(folder, system, part) for system, part in data["models"].items()}
            verdicts = folder / "verdicts.json"
            judge = Combiner.from_json(json.loads(verdicts.read_text("utf-8"))) if verdicts.is_file() else None
            languages = data["languages"]
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise AssetError("JC212", f"the part {NAME} of the pack is damaged ({type(error).__name__})") from None
        thresholds = {system: info.thresholds.get(f"{NAME}:{system}", THRESHOLD) for system in models}
        return cls(memory, models, languages=languages, thresholds=thresholds, lookup=lookup, verdicts=judge)


def matrix(rows: Sequence[Row], chosen: Sequence[int], names: Sequence[str]) -> Any:
    """The features of the chosen rows, in the order of ``names``."""
    return np.array([[rows[i].features[n] for n in names] for i in chosen], dtype=np.float64).reshape(-1, len(names))


def logit(probability: float) -> float:
    """Log-odds of a probability, finite."""
    inside = min(1 - 1e-6, max(1e-6, probability))
    return math.log(inside / (1 - inside))


def trees_of(folder: Path, system: str, name: str) -> Path:
    """Where the trees of a model lie, if it has some."""
    return folder / "trees" / f"{system}-{name}"


def _parts(models: Models) -> dict[str, Combiner | None]:
    return {"first": models.first, "second": models.second, "novel": models.novel}


def _models(folder: Path, system: str, data: Mapping[str, Any]) -> Models:
    first, second = (Combiner.from_json(data[name], trees_of(folder, system, name)) for name in ("first", "second"))
    novel = data.get("novel")
    models = Models(first, second, Combiner.from_json(novel, trees_of(folder, system, "novel")) if novel else None)
    for combiner, names in ((first, KNOWN), (second, KNOWN_SECOND), (models.novel, NOVEL_SECOND)):
        if combiner is not None and combiner.names != names:
            raise AssetError("JC212", "the part mentions was trained with other features", hint="learn the pack anew")
    return models


def unfolded(parts: list[Part], name: str, inner: list[Part]) -> list[Part]:
    """The parts with the one called ``name``, itself the outcome of ``inner``, shared out over these in proportion; the
    sum stays. A feature that speaks twice is one part."""
    total = sum(part.weight for part in inner)
    folded = next((part for part in parts if part.feature == name), None)
    if folded is None or abs(total) < TELLING:
        return parts
    merged = {part.feature: part for part in parts if part is not folded}
    for part in inner:
        weight = part.weight * folded.weight / total
        before = merged.get(part.feature)
        merged[part.feature] = Part(part.feature, part.value, weight + (before.weight if before else 0.0))
    return sorted(merged.values(), key=lambda part: (-abs(part.weight), part.feature))
