"""The real corpora, where they are: exact counts, and spans that reproduce their mentions."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from jointcoder.corpora import load, load_terms
from jointcoder.errors import InputError
from jointcoder.records import Kind

DATA = Path(os.environ.get("JOINTCODER_DATA") or Path(__file__).parents[3] / "shared" / "data")
pytestmark = [
    pytest.mark.corpora,
    pytest.mark.skipif(not DATA.is_dir(), reason="the corpora are not here (JOINTCODER_DATA)"),
]


@pytest.mark.parametrize(
    ("file", "name", "records", "codes"),
    [
        ("codiesp/dev.es.jsonl", "codiesp", 250, {"ICD-10-CM": 2677, "ICD-10-PCS": 817}),
        ("codiesp/dev.en.jsonl", "codiesp", 250, {"ICD-10-CM": 2677, "ICD-10-PCS": 817}),
        ("codiesp/train.es.jsonl", "codiesp", 500, {"ICD-10-CM": 5639, "ICD-10-PCS": 1550}),
        ("codiesp/train.en.jsonl", "codiesp", 500, {"ICD-10-CM": 5639, "ICD-10-PCS": 1550}),
        ("aci_bench/labelled.train.jsonl", "aci_bench", 51, {"ICD-10-CM": 113}),
        ("aci_bench/labelled.valid.jsonl", "aci_bench", 16, {"ICD-10-CM": 27}),
        ("ccl25/train100.jsonl", "ccl25", 100, {"ICD-10-CN": 550}),
        ("ccl25/dev56.jsonl", "ccl25", 56, {"ICD-10-CN": 329}),
        ("ccl25/entities_labels.jsonl", "ccl25", 750, {"ICD-10-CN": 4160}),
        ("ccl25/unlabelled200.jsonl", "ccl25", 200, {}),
        ("jointcoder_samples/dev3.jsonl", "jointcoder_samples", 3, {"ICD-10-CN": 62, "ICD-9-CM-3": 25}),
    ],
)
def test_counts(file: str, name: str, records: int, codes: dict[str, int]):
    corpus = load(DATA / file)
    assert corpus.name == name
    assert len(corpus) == records
    assert Counter(gold.system for item in corpus.items for gold in item.gold) == codes
    assert not any(item.unscored for item in corpus.items)


@pytest.mark.parametrize(("file", "mentions", "uneven"), [("dev.es.jsonl", 4477, 1), ("train.es.jsonl", 9181, 2)])
def test_spans_reproduce_their_mentions(file: str, mentions: int, uneven: int):
    """Fragments joined by a blank are the mention; in three cases the published one has a blank more."""
    seen = different = 0
    for item in load(DATA / "codiesp" / file).items:
        text = item.encounter.documents[0].text
        for gold in item.gold:
            for span in gold.spans:
                joined = " ".join(text[start:end] for start, end in span.fragments)
                assert joined.split() == span.quote.split()
                seen += 1
                different += joined != span.quote
    assert (seen, different) == (mentions, uneven)


def test_codiesp_flags():
    corpus = load(DATA / "codiesp" / "dev.es.jsonl")
    gold = [code for item in corpus.items for code in item.gold]
    assert sum(code.only_negated for code in gold) == 227
    assert sum(code.partial for code in gold) == 445
    assert corpus.slack == 10
    assert not any(code.spans for item in load(DATA / "codiesp" / "dev.en.jsonl").items for code in item.gold)


def test_principal_and_other():
    for file in ("train100.jsonl", "dev56.jsonl", "entities_labels.jsonl"):
        corpus = load(DATA / "ccl25" / file)
        assert corpus.closed
        for item in corpus.items:
            assert [gold.primary for gold in item.gold] == [True] + [False] * (len(item.gold) - 1)
    samples = load(DATA / "jointcoder_samples" / "dev3.jsonl")
    assert samples.ordered
    for item in samples.items:
        assert Counter(gold.system for gold in item.gold if gold.primary) == {"ICD-10-CN": 1, "ICD-9-CM-3": 1}


@pytest.mark.parametrize("split", ["inpatient", "profee"])
def test_mdace_without_text_explains_the_join(split: str):
    with pytest.raises(InputError, match="JC101") as caught:
        load(DATA / "mdace" / f"{split}.test.jsonl")
    assert "NOTEEVENTS" in caught.value.hint


@pytest.mark.parametrize(
    ("file", "name", "kind", "pairs", "names"),
    [
        ("chip_cdn/train.jsonl", "chip_cdn", Kind.DIAGNOSIS, 6000, 10948),
        ("chip_cdn/dev.jsonl", "chip_cdn", Kind.DIAGNOSIS, 969, 1754),
        ("yidu_n7k/train.jsonl", "yidu_n7k", Kind.PROCEDURE, 4000, 4270),
        ("yidu_n7k/dev.jsonl", "yidu_n7k", Kind.PROCEDURE, 1000, 1063),
    ],
)
def test_term_counts(file: str, name: str, kind: Kind, pairs: int, names: int):
    corpus = load_terms(DATA / file)
    assert (corpus.name, corpus.kind, len(corpus)) == (name, kind, pairs)
    assert sum(len(pair.names) for pair in corpus.items) == names
