"""Learning codes from marked text: invented encounters in English and Chinese, trained, stored, opened, asked."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pycrfsuite")

from jointcoder.corpora import load
from jointcoder.errors import AssetError, InputError
from jointcoder.learn import mentions as trainer
from jointcoder.learn.measure import figures, held_out
from jointcoder.learn.verdicts import VerdictRow, fit_verdicts, store
from jointcoder.packs import PackInfo
from jointcoder.packs.combiner import BIAS, Part
from jointcoder.packs.mentions import Mentions
from jointcoder.packs.mentions.part import logit, unfolded
from jointcoder.records import Document, Encounter, System
from tests.packs.marked import CM, PCS, corpus, encounter

DATA = Path(os.environ.get("JOINTCODER_DATA", "/nowhere"))


def opened(folder: Path, thresholds: dict[str, float], *, lookup: object = None) -> Mentions:
    info = PackInfo(
        id="invented",
        languages=("en",),
        systems=(System.ICD10CM,),
        parts=("mentions",),
        thresholds={f"mentions:{name}": value for name, value in thresholds.items()},
    )
    return Mentions.load(folder, info, lookup)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    folder = tmp_path_factory.mktemp("part")
    steps: list[tuple[int, int]] = []
    report = trainer.train([corpus(24)], folder, progress=lambda done, total: steps.append((done, total)))
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert report.metrics[CM]["f1"] > 0.8
    assert sum(report.notes[CM][k] for k in report.notes[CM] if k != "gold") == report.notes[CM]["gold"]
    return folder, report.thresholds


@pytest.fixture(scope="module")
def part(english: tuple[Path, dict[str, float]]) -> Mentions:
    return opened(*english)


NEW = encounter(
    "new",
    ["Known [I10:hypertension], on tablets.", "She has [J18.9:pneumonia] and a dry cough.", "His lunch was good."],
    language="en",
)


def test_unseen_notes_are_coded_with_evidence(part: Mentions) -> None:
    proposals = part.propose(NEW.encounter, "en")
    chosen = {p.code for p in proposals if p.chosen}
    assert {"I10", "J18.9"} <= chosen
    assert [p.probability for p in proposals] == sorted((p.probability for p in proposals), reverse=True)
    for proposal in proposals:
        assert proposal.spans
        assert all(span.reproduces(NEW.encounter) for span in proposal.spans)
    evidence = {p.code: " ".join(span.quote for span in p.spans) for p in proposals}
    assert "hypertension" in evidence["I10"]
    assert "pneumonia" in evidence["J18.9"]


def test_reasons_add_up_to_what_was_weighed(part: Mentions) -> None:
    note = part.read(NEW.encounter, "en")
    rows, scores = part.weighed(note)
    for row, (logodds, probability) in zip(rows, scores, strict=True):
        combiner = part.models[row.code[0]].second
        values = [row.features[name] for name in combiner.names]
        reasons = combiner.contributions(values)
        assert sum(reason.weight for reason in reasons) == pytest.approx(logodds)
        assert BIAS in {reason.feature for reason in reasons}
        assert 0 <= probability <= 1
    assert all(p.reasons for p in part.propose(NEW.encounter, "en") if p.chosen)


def test_several_documents_are_coded_together(part: Mentions) -> None:
    texts = ("He slept well.", "She has pneumonia and a dry cough.", "Known hypertension, on tablets.")
    whole = Encounter(id="three", documents=tuple(Document(id=str(i), text=t) for i, t in enumerate(texts)))
    found = {p.code: p for p in part.propose(whole, "en")}
    assert {span.document for span in found["J18.9"].spans} == {1}
    assert {span.document for span in found["I10"].spans} == {2}


def test_an_abbreviation_never_marked_speaks_for_what_it_stands_for(part: Mentions) -> None:
    note = part.read(Encounter.from_text("Known HTN, on tablets.", id="x"), "en")
    found = {row.code: row for row in part.weighed(note)[0]}
    row = found[CM, "I10"]
    assert [span.quote for span in note.pieces(row.words)] == ["HTN"]
    assert (row.features["seen_meanings"], row.features["seen_words"], row.features["likeness"] > 0.5) == (1, 0, True)


def test_scattered_evidence_comes_as_several_spans(part: Mentions) -> None:
    text = "A fracture, it was said, of his distal right radius after a fall."
    found = {p.code: p for p in part.propose(Encounter.from_text(text, id="x"), "en")}
    assert [span.quote for span in found["S52.501A"].spans][:2] == ["fracture", "radius"]


def test_language_is_taken_from_the_encounter_or_detected(part: Mentions) -> None:
    assert [p.code for p in part.propose(NEW.encounter)] == [p.code for p in part.propose(NEW.encounter, "en")]
    bare = NEW.encounter.model_copy(update={"language": None})
    assert part.read(bare).language == "en"


def test_a_note_without_anything_known_gives_nothing(part: Mentions) -> None:
    assert [p for p in part.propose(Encounter.from_text("!!! ... ???", id="x"), "en") if p.chosen] == []
    assert not any(p.chosen for p in part.propose(Encounter.from_text("Lunch was served.", id="x"), "en"))


def test_same_data_same_bytes(english: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    folder, thresholds = english
    again = trainer.train([corpus(24)], tmp_path / "again")
    assert again.thresholds == thresholds
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    assert names == sorted(p.relative_to(tmp_path / "again") for p in (tmp_path / "again").rglob("*") if p.is_file())
    assert all((folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes() for name in names)


def test_chinese_encounters(tmp_path: Path) -> None:
    report = trainer.train([corpus(24, language="zh")], tmp_path)
    part = opened(tmp_path, report.thresholds)
    found = part.propose(Encounter.from_text("既往有高血压病史。患者睡眠良好。", id="x"), "zh")
    assert found[0].code == "I10.X00"
    assert [span.quote for span in found[0].spans] == ["高血压"]


def test_a_lookup_names_codes_that_were_never_trained(english: tuple[Path, dict[str, float]], small_us: object) -> None:
    from jointcoder.codebook.lookup import Lookup

    lookup = Lookup(small_us, dense="off")  # type: ignore[arg-type]
    part = opened(*english, lookup=lookup)
    rows, _ = part.weighed(part.read(NEW.encounter, "en"))
    trained = set(part.memory.number)
    assert {row.code for row in rows if row.known} <= trained
    assert not {row.code for row in rows if not row.known} & trained


def test_doubts_carry_their_sentence_and_verdicts_move_them(
    english: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    part = opened(*english)
    doubts = part.unsure(NEW.encounter, "en", low=0.0, high=1.0)
    texts = {doubt.code: doubt.sentence for doubt in doubts}
    assert texts["I10"] == "Known hypertension, on tablets."
    assert part.unsure(NEW.encounter, "en", low=1.1, high=1.2) == []
    judged = [
        VerdictRow(f"e{i}", logit(0.3 + 0.04 * (i % 5)), 2.0 if i % 2 else -2.0, bool(i % 2) ^ (i % 5 == 0))
        for i in range(40)
    ]
    fitted = fit_verdicts(judged)
    assert len(fitted.out_of_fold) == len(judged)
    taught = Mentions(part.memory, part.models, languages=("en",), thresholds=part.thresholds, verdicts=fitted.combiner)
    key = (CM, "I10")
    before = {p.code: p for p in part.propose(NEW.encounter, "en", verdicts={key: 3.0})}
    yes = {p.code: p for p in taught.propose(NEW.encounter, "en", verdicts={key: 3.0})}
    no = {p.code: p for p in taught.propose(NEW.encounter, "en", verdicts={key: -3.0})}
    assert no["I10"].probability < yes["I10"].probability
    assert no["J18.9"].probability == yes["J18.9"].probability == before["J18.9"].probability
    assert "verdict" in {reason.feature for reason in yes["I10"].reasons}
    taught.save(tmp_path)
    store(fitted.combiner, tmp_path)
    assert (tmp_path / "verdicts.json").is_file()


def test_bad_data_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="JC114"):
        trainer.train([corpus(3)], tmp_path)
    bare = corpus(12)
    items = tuple(replace(i, gold=tuple(replace(g, spans=()) for g in i.gold)) for i in bare.items)
    with pytest.raises(InputError, match="JC108"):
        trainer.train([replace(bare, items=items)], tmp_path)
    with pytest.raises(InputError, match="JC114"):
        fit_verdicts([VerdictRow(f"e{i}", 0.0, 1.0, True) for i in range(20)])


def test_a_damaged_part_is_named(english: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="JC212"):
        opened(tmp_path, {})
    folder, _ = english
    for file in folder.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "model.json").write_text('{"models": {}', "utf-8")
    with pytest.raises(AssetError, match="JC212"):
        opened(tmp_path, {})


@pytest.mark.corpora
@pytest.mark.skipif(not (DATA / "codiesp").is_dir(), reason="the corpora are not here (JOINTCODER_DATA)")
def test_a_hundred_real_cases_teach_something(tmp_path: Path) -> None:
    report = trainer.train([load(DATA / "codiesp" / "train.es.jsonl", limit=100)], tmp_path)
    part = opened(tmp_path, report.thresholds)
    dev = load(DATA / "codiesp" / "dev.es.jsonl", limit=40)
    _, scored = held_out(part.propose, dev.items, [CM, PCS])
    assert figures(scored, [CM])[CM]["f1"] > 0.4


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=5),
    st.lists(st.floats(-3, 3), min_size=1, max_size=5),
)
def test_taking_a_reason_apart_keeps_the_sum(outer: list[float], inner: list[float]) -> None:
    reasons = [Part(f"o{i}", 1.0, w) for i, w in enumerate(outer)]
    parts = [Part(f"{'o' if i % 2 else 'i'}{i}", 1.0, w) for i, w in enumerate(inner)]
    found = unfolded(reasons, "o0", parts)
    assert sum(r.weight for r in found) == pytest.approx(sum(outer), abs=1e-6)
    assert len({r.feature for r in found}) == len(found)
    if abs(sum(inner)) >= 0.5:
        assert {r.feature for r in parts} <= {r.feature for r in found}


def test_reasons_name_what_was_seen(part: Mentions) -> None:
    first = next(p for p in part.propose(NEW.encounter, "en") if p.chosen)
    assert "first_look" not in {reason.feature for reason in first.reasons}
