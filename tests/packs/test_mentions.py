"""What the part makes of words: reading, finding wordings, exact probabilities, likeness."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.errors import InputError
from jointcoder.packs.mentions.lexicon import Lexicon
from jointcoder.packs.mentions.likeness import Likeness
from jointcoder.packs.mentions.tagger import LABELS, Tagger, cues, stretches
from jointcoder.packs.mentions.tokens import Note, Reader
from jointcoder.records import Document, Encounter
from jointcoder.text.resources import table

reader = cache(Reader)


def note_of(text: str, language: str = "en") -> Note:
    return reader(language).read_text(text)


def found(lexicon: Lexicon, text: str, language: str = "en") -> dict[int, set[str]]:
    """By level, the words found."""
    note = note_of(text, language)
    result: dict[int, set[str]] = {}
    for o in lexicon.match(note):
        result.setdefault(o.level, set()).add(" ".join(note.words[i] for i in o.words))
    return result


def lexicon_of(*wordings: str, language: str = "en") -> Lexicon:
    lexicon = Lexicon()
    for code, wording in enumerate(wordings):
        note = note_of(wording, language)
        lexicon.add(note, range(len(note)), code)
    lexicon.prepare()
    return lexicon


@settings(max_examples=50, deadline=None)
@given(st.text(min_size=1, max_size=200), st.sampled_from(["en", "es"]))
def test_words_keep_their_place(text: str, language: str) -> None:
    if not text.strip():
        return
    note = Reader(language).read(Encounter.from_text(text, id="n"))
    for i in range(len(note)):
        span = note.span(i, i)
        assert text[span.start : span.end] == span.quote
    assert [i for first, last in note.sentences for i in range(first, last)] == list(range(len(note)))
    assert list(note.starts) == sorted(note.starts)


def test_documents_are_read_in_a_row_and_never_joined() -> None:
    encounter = Encounter(id="e", documents=(Document(id="0", text="Left wrist"), Document(id="1", text="pain")))
    note = Reader("en").read(encounter)
    assert note.document == (0, 0, 1)
    assert found(lexicon_of("wrist pain"), "wrist pain")
    assert not lexicon_of("wrist pain").match(note)


def test_unknown_language_is_refused() -> None:
    with pytest.raises(InputError, match="JC105"):
        Reader("xx")


def test_wordings_are_found_at_the_level_at_which_they_hold() -> None:
    lexicon = lexicon_of("wrist pain")
    assert found(lexicon, "She has wrist pain.") == {level: {"wrist pain"} for level in (0, 1, 3, 5)}
    assert set(found(lexicon, "Wrist pains since May.")) == {1, 3, 5}
    assert set(found(lexicon, "Pain, since May, of the left wrist.")) == {3, 5}
    assert found(lexicon, "Pain in the knee. The wrist is fine.") == {}


@pytest.mark.parametrize(
    ("marked", "written"),
    [
        ("TAC abdominal", "Se hizo una tomografía axial computarizada de abdomen."),
        ("ecografía renal", "Se solicita eco de riñones."),
        ("insuficiencia renal crónica", "Antecedentes: IRC."),
        ("exéresis del pólipo", "Resección de los pólipos."),
    ],
)
def test_wordings_that_mean_the_same_are_found(marked: str, written: str) -> None:
    levels = found(lexicon_of(marked, language="es"), written, "es")
    assert 2 in levels
    assert not {0, 1, 3} & set(levels)


def test_meanings_may_lie_apart_and_need_their_own_words() -> None:
    lexicon = lexicon_of("TAC de tórax", language="es")
    assert found(lexicon, "El escáner realizado mostró en el tórax un nódulo.", "es") == {4: {"escaner torax"}}
    assert found(lexicon, "La ecografía mostró en el tórax un nódulo.", "es") == {}


def test_short_abbreviations_need_their_capitals() -> None:
    lexicon = lexicon_of("fibrilación auricular", language="es")
    assert 2 in found(lexicon, "Tiene FA desde mayo.", "es")
    assert found(lexicon, "Tiene fa desde mayo.", "es") == {}


def test_wordings_are_read_as_meant() -> None:
    one, other = note_of("Radiografía simple torácica urgente", "es"), note_of("rx tórax urgente", "es")
    assert one.meant(range(4)) == other.meant(range(3)) != "rx torax urgente"
    assert note_of("wrist of pain").meant(range(3)) == "wrist of pain"


@pytest.mark.parametrize("row", table("meanings", "es"), ids=lambda row: row[0])
def test_a_row_of_the_table_is_one_meaning(row: tuple[str, ...]) -> None:
    notes = [note_of(wording, "es") for wording in row]
    units = [unit for note in notes for unit in note.units(range(len(note)))]
    assert len(row) == len(set(row)) == len(units) > 1
    assert len({unit.form for unit in units}) == 1


PHRASES = ["TAC", "tomografía axial computarizada", "dolor", "de", "hipertensión arterial", "rx", "xyz", "1", "."]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(PHRASES) | st.text(max_size=5), max_size=12))
def test_meanings_keep_every_word_in_its_place(parts: list[str]) -> None:
    text = " ".join(parts)
    if not text.strip():
        return
    note = Reader("es").read(Encounter.from_text(text, id="n"))
    for first, last in note.sentences:
        words = [word for unit in note.units(range(first, last)) for word in unit.words]
        assert words == [i for i in range(first, last) if note.content[i]]
    for o in lexicon_of("TAC", "HTA con dolor", language="es").match(note):
        assert list(o.words) == sorted(set(o.words))
        assert all(text[span.start : span.end] == span.quote for span in note.pieces(o.words))


def test_accents_and_endings_do_not_hide_a_wording() -> None:
    lexicon = lexicon_of("úlcera gástrica", language="es")
    assert 0 in found(lexicon, "Presenta ULCERA GASTRICA.", "es")
    assert 1 in found(lexicon, "Úlceras gástricas múltiples.", "es")


def test_chinese_wordings_are_found() -> None:
    assert 0 in found(lexicon_of("肺部感染", language="zh"), "患者因肺部感染入院。", "zh")


def test_precision_leaves_one_source_out() -> None:
    notes = [note_of("wrist pain") for _ in range(4)]
    lexicon = Lexicon()
    lexicon.add(notes[0], range(2), 7)
    lexicon.count([(notes[0], frozenset({7}))])
    entry = lexicon.levels[0][("wrist", "pain")]
    assert entry.precision(7) == pytest.approx(0.5)  # nothing known but the source itself
    lexicon.count([(notes[1], frozenset({7})), (notes[2], frozenset({7})), (notes[3], frozenset())])
    assert (entry.found, entry.codes[7]) == (4, [3, 1])
    assert entry.precision(7) == pytest.approx((2 + 0.5) / (3 + 1))


def test_a_lexicon_survives_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    lexicon = lexicon_of("wrist pain", "fracture of the radius")
    lexicon.save(tmp_path / "lexicon.jsonl")
    again = Lexicon.load(tmp_path / "lexicon.jsonl")
    text = "A fracture of the distal radius and wrist pains."
    assert found(again, text) == found(lexicon, text) != {}


def brute_force(tagger: Tagger, note: Note) -> dict[tuple[int, int], float]:
    """The probability of every stretch of a one-sentence note, by summing over all labellings."""
    number = len(note)
    index = {name: i for i, name in enumerate(tagger.names)}
    emit = [tagger.weights[[index[c] for c in row if c in index]].sum(axis=0) for row in cues(note, 0, number)]
    total, stretch = 0.0, dict.fromkeys(itertools.combinations_with_replacement(range(number), 2), 0.0)
    for path in itertools.product(range(3), repeat=number):
        if path[0] == 2 or any(a == 0 and b == 2 for a, b in itertools.pairwise(path)):
            continue
        weight = sum(emit[i][label] for i, label in enumerate(path))
        weight = float(np.exp(weight + sum(tagger.steps[a, b] for a, b in itertools.pairwise(path))))
        total += weight
        for first, last in stretch:
            ends = last + 1 == number or path[last + 1] != 2
            if path[first] == 1 and ends and all(label == 2 for label in path[first + 1 : last + 1]):
                stretch[first, last] += weight
    return {place: weight / total for place, weight in stretch.items()}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**31))
def test_probabilities_of_stretches_are_exact(seed: int) -> None:
    note = note_of("sudden wrist pain again today")
    draw = np.random.default_rng(seed)
    names = sorted({cue for row in cues(note, 0, len(note)) for cue in row})[::3]
    tagger = Tagger(
        names,
        draw.normal(size=(len(names), len(LABELS))).astype(np.float32),
        draw.normal(size=(3, 3)).astype(np.float32),
    )
    lattice = tagger.read(note)
    expected = brute_force(tagger, note)
    for (first, last), probability in expected.items():
        assert lattice.exactly(first, last) == pytest.approx(probability, abs=1e-6)
    covering = [sum(p for (a, b), p in expected.items() if a <= i <= b) for i in range(len(note))]
    assert lattice.inside == pytest.approx(covering, abs=1e-6)
    assert {s[:2] for s in stretches(note, lattice, least=0.05)} == {k for k, p in expected.items() if p >= 0.05}


def test_a_tagger_survives_its_files(tmp_path) -> None:  # type: ignore[no-untyped-def]
    note = note_of("sudden wrist pain")
    names = sorted({cue for row in cues(note, 0, 3) for cue in row})
    tagger = Tagger(names, np.full((len(names), 3), 0.25, dtype=np.float32), np.zeros((3, 3), dtype=np.float32))
    tagger.save(tmp_path, "tagger")
    assert Tagger.load(tmp_path, "tagger").read(note).inside == pytest.approx(tagger.read(note).inside)


def test_like_wordings_come_nearest_first() -> None:
    likeness = Likeness(["fracture of radius", "fractured ribs", "hypertension"])
    near = likeness.nearest("fracture of the radius")
    assert near[0][0] == 0
    assert [score for _, score in near] == sorted((score for _, score in near), reverse=True)
    assert likeness.nearest("hypertension")[0] == (2, pytest.approx(1.0, abs=1e-5))
    assert likeness.nearest("xyzzy") == ()
    assert Likeness([]).nearest("anything") == ()
