"""Marked spans → the weights of a :class:`~jointcoder.packs.mentions.tagger.Tagger`.

The chain is trained by CRFsuite (Okazaki 2007; L-BFGS, elastic net) and its weights are copied out: using a tagger
needs numpy only. Fragments of a discontinuous mention are marked each by itself; of mentions that overlap the longest
counts.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from jointcoder.learn.fit import require
from jointcoder.packs.mentions.tagger import LABELS, Tagger, cues
from jointcoder.packs.mentions.tokens import Note

L1, L2, ROUNDS = 0.02, 0.5, 60  # chosen by span F1 on held-out training encounters
Stretch = tuple[int, ...]  # words of one fragment, neighbours, in order
Sentences = Sequence[tuple[list[list[str]], tuple[int, int]]]


def seen(note: Note) -> Sentences:
    """What the tagger sees of each sentence, and the sentence's bounds. Made once a note, used in every fold."""
    return [(cues(note, first, last), (first, last)) for first, last in note.sentences]


def labels(note: Note, stretches: Iterable[Stretch]) -> list[str]:
    """O, B or I for every word."""
    found = [LABELS[0]] * len(note)
    for words in sorted(set(stretches), key=lambda words: (-len(words), words)):
        if words and all(found[i] == LABELS[0] for i in words):
            found[words[0]] = LABELS[1]
            for i in words[1:]:
                found[i] = LABELS[2]
    return found


def train_tagger(examples: Iterable[tuple[Sentences, Sequence[str]]], *, rounds: int = ROUNDS) -> Tagger:
    """``examples``: for each note what :func:`seen` gave and its labels. AssetError JC211 without python-crfsuite."""
    crf = require("pycrfsuite")
    trainer = crf.Trainer(verbose=False)
    for sentences, marks in examples:
        for rows, (first, last) in sentences:
            trainer.append(rows, list(marks[first:last]))
    trainer.set_params({"c1": L1, "c2": L2, "max_iterations": rounds})
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "model")
        trainer.train(path)
        model = crf.Tagger()
        model.open(path)
        info = model.info()
        model.close()
    number = {label: i for i, label in enumerate(LABELS)}
    names = sorted({cue for cue, _ in info.state_features})
    place = {name: i for i, name in enumerate(names)}
    weights = np.zeros((len(names), len(LABELS)), dtype=np.float32)
    for (cue, label), weight in info.state_features.items():
        weights[place[cue], number[label]] = weight
    steps = np.zeros((len(LABELS), len(LABELS)), dtype=np.float32)
    for (before, after), weight in info.transitions.items():
        steps[number[before], number[after]] = weight
    return Tagger(names, weights, steps)
