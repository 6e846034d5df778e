"""From term pairs to a part that normalises: in English, Spanish and Chinese, with and without a code book."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.corpora.base import Corpus, GoldCode, GoldSpan, Labelled
from jointcoder.corpora.terms import TermCorpus, load_terms
from jointcoder.errors import AssetError, InputError
from jointcoder.learn.terms import train
from jointcoder.learn.terms_cases import cases_of
from jointcoder.learn.terms_choose import Judged, choose, measures
from jointcoder.learn.terms_rescore import Asked, fit_choice
from jointcoder.packs.pack import PackInfo
from jointcoder.packs.terms import Terms
from jointcoder.packs.terms.rescore import voices
from jointcoder.records import Encounter
from tests.packs.term_pairs import pairs, write


def learned(language: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Two thirds of the pairs; every third one stays unseen."""
    return [row for number, row in enumerate(pairs(language)) if number % 3]


@pytest.fixture(scope="module", params=["en", "es", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trained(language: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Terms, Path]:
    folder = tmp_path_factory.mktemp("terms")
    corpus = load_terms(write(folder / "pairs.jsonl", language, learned(language)))
    report = train([corpus], folder / "part", measure="f1", held_out=folder / "held_out.jsonl")
    assert report.metrics["n"] == len(corpus)
    assert 0 <= report.metrics["f1_interval"][0] <= report.metrics["f1"] <= report.metrics["f1_interval"][1] <= 1
    return Terms.load(folder / "part"), folder / "part"


def test_unseen_wordings_are_normalised(language: str, trained: tuple[Terms, Path]) -> None:
    terms, _ = trained
    unseen = [(mention, {name for name, _ in given}) for mention, given in pairs(language)[::3]]
    right = sum({choice.name for choice in terms.normalise(mention)} == names for mention, names in unseen)
    assert right >= 0.8 * len(unseen)


def test_choices_are_ranked_coded_and_explained(language: str, trained: tuple[Terms, Path]) -> None:
    terms, _ = trained
    mention, given = next(row for row in pairs(language)[::3] if len(row[1]) == 1)
    found = terms.rank(mention, k=5)
    assert 0 < len(found) <= 5
    assert [choice.probability for choice in found] == sorted((c.probability for c in found), reverse=True)
    assert (found[0].name, found[0].code) == given[0]
    assert all(0 <= choice.probability <= 1 for choice in found)
    assert all(reason.feature and np.isfinite(reason.weight) for reason in found[0].reasons)
    assert found[0].reasons


@pytest.mark.parametrize("mention", ["", "   ", "?!", "½½½", "🙂", "zzqx", "左" * 900])
def test_what_is_not_known_gives_no_error(mention: str, trained: tuple[Terms, Path]) -> None:
    terms, _ = trained
    assert all(choice.name for choice in terms.normalise(mention))


def test_the_same_data_give_the_same_bytes(tmp_path: Path) -> None:
    corpus = load_terms(write(tmp_path / "pairs.jsonl", "en", pairs("en")[:60]))
    for name in ("one", "two"):
        train([corpus], tmp_path / name, seed=3)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert files
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_names_of_the_book_can_be_found_without_an_example(small_cn: CodeBook, tmp_path: Path) -> None:
    corpus = load_terms(write(tmp_path / "pairs.jsonl", "zh", pairs("zh")[:40]))
    lookup = SimpleNamespace(book=small_cn)
    whole, seen = cases_of([corpus], small_cn), cases_of([corpus], small_cn, only_seen=True)
    assert len(whole.standards) > len(seen.standards)
    book_names = {name for (name,) in small_cn.rows("SELECT name FROM node WHERE system = 'ICD-9-CM-3' AND billable")}
    assert book_names <= {standard.name for standard in whole.standards}
    train([corpus], tmp_path / "part", lookup=lookup)  # type: ignore[arg-type]
    name = sorted(book_names)[0]
    assert Terms.load(tmp_path / "part").rank(name)[0].name == name


def test_a_name_prints_as_the_data_have_it_with_their_commonest_code(tmp_path: Path) -> None:
    rows = [("mass a", [("Lesion  A", "1.2")]), ("mass b", [("LESION A", "1.1")]), ("mass c", [("LESION A", "1.1")])]
    corpus = load_terms(write(tmp_path / "pairs.jsonl", "en", rows))
    assert [(s.name, s.code) for s in cases_of([corpus], None).standards] == [("LESION A", "1.1")]


def test_marked_evidence_of_coded_records_teaches_terms(small_cn: CodeBook) -> None:
    text = "a mass of the liver"
    span = GoldSpan(0, 2, 19, "mass of the liver", ((2, 19),))
    code = GoldCode("ICD-10-CM", "K76.89", spans=(span,), name="Lesion of liver")
    encounter = Encounter.model_validate({"id": "n1", "language": "en", "documents": [{"id": "d1", "text": text}]})
    corpus = Corpus("notes", Path("notes.jsonl"), (Labelled(encounter, (code,)),), ("ICD-10-CM",))
    cases = cases_of([corpus], small_cn)
    assert [(case.group, case.text) for case in cases.cases] == [("n1", "mass of the liver")]
    assert cases.standards[cases.cases[0].terms[0]].name == "Lesion of liver"


def test_too_little_or_mixed_data_are_refused_with_a_code(tmp_path: Path) -> None:
    few = load_terms(write(tmp_path / "few.jsonl", "en", pairs("en")[:3]))
    with pytest.raises(InputError) as caught:
        train([few], tmp_path / "part")
    assert caught.value.code == "JC114"
    other = load_terms(write(tmp_path / "other.jsonl", "es", pairs("es")[:40]))
    with pytest.raises(InputError) as caught:
        train([few, other], tmp_path / "part")
    assert caught.value.code == "JC108"
    with pytest.raises(InputError) as caught:
        train([replace(few, items=())], tmp_path / "part")
    assert caught.value.code == "JC114"
    blank: TermCorpus = replace(few, items=tuple(replace(item, mention="?!") for item in few.items))
    with pytest.raises(InputError) as caught:
        train([blank], tmp_path / "part")
    assert caught.value.code == "JC114"


def test_a_threshold_in_the_packs_description_wins(language: str, trained: tuple[Terms, Path]) -> None:
    _, folder = trained
    info = PackInfo(id="t", languages=(language,), systems=(), parts=("terms",), thresholds={"terms:names": 1.01})
    strict = Terms.load(folder, info)
    assert strict.choosing.threshold == 1.01
    assert all(len(strict.normalise(mention)) <= 1 for mention, _ in pairs(language)[:9])


@pytest.mark.parametrize("damage", ["terms.json", "words.tsv", "words.json", "standards.jsonl", "says.npz"])
def test_a_damaged_part_is_refused(damage: str, trained: tuple[Terms, Path], tmp_path: Path) -> None:
    _, folder = trained
    broken = tmp_path / "broken"
    for file in (path for path in folder.rglob("*") if path.is_file()):
        target = broken / file.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(file.read_bytes())
    (broken / damage).write_text("{no\tsense")
    with pytest.raises(AssetError) as caught:
        Terms.load(broken)
    assert caught.value.code == "JC212"


def judged() -> Judged:
    """Four wordings of three candidates: sure and right, unsure and right, two right, none right."""
    probability = np.array([0.9, 0.2, 0.1, 0.45, 0.3, 0.1, 0.8, 0.7, 0.1, 0.4, 0.2, 0.1])
    right = np.array([1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0], dtype=bool)
    return Judged.of(probability, right, np.array([0, 3, 6, 9, 12]), np.array([0, 0, 0, 1]))


def test_thresholds_serve_the_measure_asked_for() -> None:
    for measure in ("f1", "accuracy"):
        choosing = choose(judged(), measure)
        assert measures(judged(), choosing)["accuracy"] == 0.75
    precise = choose(judged(), "f1", want_precision=1.0)
    counts = judged().counts(precise)
    assert counts[:, 0].sum() == counts[:, 1].sum() > 0
    assert judged().counts(choose(judged(), "f1", want_precision=1.0))[3, 1] == 0  # nothing is answered below it


def test_a_model_that_knows_is_heard_and_one_that_guesses_is_not() -> None:
    rng = np.random.default_rng(0)
    known, guessed = [], []
    for number in range(120):
        right = int(rng.integers(3))
        own = tuple(float(v) for v in rng.normal(size=3) + np.eye(3)[right] * 0.5)
        answer = tuple(-0.2 if place == right else -3.0 for place in range(3))
        luck = int(rng.integers(3))
        guess = tuple(-0.2 if place == luck else -3.0 for place in range(3))
        flags = tuple(place == right for place in range(3))
        known.append(Asked(str(number), own, answer, flags))
        guessed.append(Asked(str(number), own, guess, flags))
    hears, ignores = fit_choice(known).combiner, fit_choice(guessed).combiner
    asked = ((0.5, 0.0, -0.5), (-3.0, -3.0, -0.2))
    assert hears.probability(voices(*asked)).argmax() == 2
    assert ignores.probability(voices(*asked)).argmax() == 0
    with pytest.raises(InputError) as caught:
        fit_choice([])
    assert caught.value.code == "JC114"


def test_held_out_opinions_are_material_for_a_choosing_model(trained: tuple[Terms, Path]) -> None:
    _, folder = trained
    lines = [json.loads(line) for line in (folder.parent / "held_out.jsonl").read_text("utf-8").splitlines()]
    rows = [
        Asked(
            line["group"],
            tuple(line["logodds"]),
            tuple(0.0 if r else -5.0 for r in line["right"]),
            tuple(line["right"]),
        )
        for line in lines
    ]
    assert all(row.logodds == tuple(sorted(row.logodds, reverse=True)) for row in rows)
    fitted = fit_choice(rows)
    right = np.concatenate([row.right for row in rows])
    assert fitted.out_of_fold[right].min() > fitted.out_of_fold[~right].mean()


def test_the_table_of_words_can_be_read(trained: tuple[Terms, Path]) -> None:
    _, folder = trained
    lines = (folder / "words.tsv").read_text("utf-8").splitlines()
    assert lines
    assert all(np.isfinite(float(line.rpartition("\t")[2])) for line in lines)
    assert json.loads((folder / "terms.json").read_text("utf-8"))["language"] in ("en", "es", "zh")
