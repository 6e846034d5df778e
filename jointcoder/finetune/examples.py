"""Training examples: what a step asks the model, word for word, and the answer that would have been right.

    folder/  train.jsonl  dev.jsonl  manifest.json

An example is a choice (``options``, one of which is ``answer``) or a text to write (``answer`` is the JSON text).
``prior`` holds what is known of the options without the model (log-odds of a combiner), added to the model's scores in
training, so that the adapter learns what the combiner does not know. The manifest says where every row comes from:
files with sha256 and licence, the code book, counts, seed. This module reads and writes; it makes nothing up.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from jointcoder.errors import AssetError, InputError
from jointcoder.llm.base import Context, Question

SPLITS = ("train", "dev")
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Example:
    """``group``: the encounter (or term) it comes from, by which splits are made; ``facts``: for analysis only."""

    id: str
    group: str
    agent: str
    language: str
    system: str
    context: str
    question: str
    answer: str
    options: tuple[str, ...] = ()
    prior: tuple[float, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def asked(self) -> tuple[Context, str]:
        """The context and the instruction, as steps hand them to a model."""
        return Context(self.context, self.system), self.question

    @property
    def choice(self) -> Question:
        """The question with its options; ValueError for an example that is a text to write."""
        return Question(self.question, self.options)

    @property
    def right(self) -> int:
        """Which option is the right one."""
        return self.options.index(self.answer)

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_row(cls, row: Any, where: str) -> Self:
        """Raises InputError JC108 naming the place, never the content."""
        try:
            values = {**row, "options": tuple(row.get("options", ())), "prior": tuple(row.get("prior", ()))}
            example = cls(**values)
        except (TypeError, AttributeError):
            raise InputError(
                "JC108", f"{where}: not a training example", hint="write them with the data command"
            ) from None
        texts = (example.id, example.group, example.agent, example.system, example.context, example.question)
        if not all(isinstance(text, str) for text in (*texts, example.answer, *example.options)):
            raise InputError("JC108", f"{where}: a field of the example has the wrong type")
        if example.options and example.answer not in example.options:
            raise InputError("JC108", f"{where}: the answer is none of the options")
        if example.prior and len(example.prior) != len(example.options):
            raise InputError("JC108", f"{where}: prior and options differ in length")
        return example


@dataclass(frozen=True)
class Examples:
    """A folder of examples, read."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    manifest: Mapping[str, Any]

    @classmethod
    def load(cls, folder: Path, *, agent: str | None = None) -> Self:
        """Raises AssetError JC214 (no such folder of examples), InputError JC108 (a row is wrong, or the examples are
        for another agent), JC113 (no rows to train on)."""
        try:
            manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        except OSError:
            raise AssetError(
                "JC214", f"no training examples at {folder}", hint="make them: python -m jointcoder.finetune data …"
            ) from None
        except ValueError:
            raise InputError("JC104", f"{folder}/manifest.json is not JSON") from None
        if agent is not None and manifest.get("agent") != agent:
            raise InputError(
                "JC108", f"{folder} holds examples of {manifest.get('agent')!r}, the recipe trains {agent!r}"
            )
        parts = {split: tuple(_rows(folder / f"{split}.jsonl")) for split in SPLITS}
        if not parts["train"]:
            raise InputError("JC113", f"{folder} holds no rows to train on")
        return cls(parts["train"], parts["dev"], manifest)


def write(folder: Path, parts: Mapping[str, Sequence[Example]], facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the folder and return its manifest: ``facts``, the counts, and each file's sha256.

    Raises ValueError if an encounter is in both splits.
    """
    groups = {split: {example.group for example in rows} for split, rows in parts.items()}
    if shared := groups.get("train", set()) & groups.get("dev", set()):
        raise ValueError(f"{len(shared)} encounters would be both trained on and measured on")
    folder.mkdir(parents=True, exist_ok=True)
    files: dict[str, str] = {}
    for split in SPLITS:
        data = "".join(example.to_json() + "\n" for example in parts.get(split, ())).encode("utf-8", "surrogatepass")
        (folder / f"{split}.jsonl").write_bytes(data)
        files[f"{split}.jsonl"] = hashlib.sha256(data).hexdigest()
    manifest = {
        "format": FORMAT,
        **facts,
        "counts": {split: counts(parts.get(split, ())) for split in SPLITS},
        "files": files,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return manifest


def counts(examples: Iterable[Example]) -> dict[str, Any]:
    """Rows, encounters, and how often each option (not each written text) is the answer."""
    rows = list(examples)
    answers = Counter(example.answer for example in rows if example.options)
    return {"rows": len(rows), "groups": len({row.group for row in rows}), "answers": dict(sorted(answers.items()))}


def _rows(path: Path) -> Iterable[Example]:
    try:
        text = path.read_text("utf-8", "surrogatepass")
    except OSError:
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            where = f"{path.name}, line {number}"
            try:
                row = json.loads(line)
            except ValueError:
                raise InputError("JC104", f"{where}: not valid JSON") from None
            yield Example.from_row(row, where)
