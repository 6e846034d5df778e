"""Assertion, on marked-up sentences: ``tests/text/marked/<language>.txt``, every one of which must pass."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from jointcoder.errors import InputError
from jointcoder.records import Assertion
from jointcoder.text.assertion import assert_span, assert_spans

MARKED = Path(__file__).parent / "marked"
TAG = re.compile(r"<(?P<tag>\w+)>(?P<words>.*?)</(?P=tag)>")
LEAST = {"en": 80, "zh": 60, "es": 40}


def parse(line: str) -> tuple[str, list[tuple[int, int, Assertion]]]:
    """A marked-up sentence → its plain text and its mentions."""
    text, mentions, place = "", [], 0
    for match in TAG.finditer(line):
        text += line[place : match.start()]
        mentions.append((len(text), len(text) + len(match["words"]), Assertion(match["tag"])))
        text += match["words"]
        place = match.end()
    return text + line[place:], mentions


def marked(lang: str) -> list[str]:
    return [line for line in (MARKED / f"{lang}.txt").read_text("utf-8").splitlines() if line.strip()]


@pytest.mark.parametrize("lang", sorted(LEAST))
def test_every_marked_sentence_is_read_rightly(lang: str) -> None:
    lines = marked(lang)
    assert len(lines) >= LEAST[lang]
    right: Counter[Assertion] = Counter()
    total: Counter[Assertion] = Counter()
    wrong = []
    for line in lines:
        text, mentions = parse(line)
        found = assert_spans(text, [(start, end) for start, end, _ in mentions], lang=lang)
        for (start, end, expected), got in zip(mentions, found, strict=True):
            total[expected] += 1
            right[expected] += expected is got
            if expected is not got:
                wrong.append(f"{text!r}: {text[start:end]!r} is {expected}, read as {got}")
    accuracy = ", ".join(f"{category} {right[category]}/{total[category]}" for category in Assertion)
    assert set(total) == set(Assertion), f"a category is not tested: {accuracy}"
    assert not wrong, f"{accuracy}\n" + "\n".join(wrong)


@pytest.mark.parametrize("lang", sorted(LEAST))
def test_sentences_in_one_text_do_not_touch_each_other(lang: str) -> None:
    parsed = [parse(line) for line in marked(lang)]
    text, spans, expected = "", [], []
    for sentence, mentions in parsed:
        spans += [(len(text) + start, len(text) + end) for start, end, _ in mentions]
        expected += [assertion for _, _, assertion in mentions]
        text += sentence + "\n\n"
    assert assert_spans(text, spans, lang=lang) == expected


def test_the_section_speaks_where_the_sentence_does_not() -> None:
    text = "Diabetes. No cancer."
    assert assert_span(text, 0, 8, lang="en", section="family_history") is Assertion.FAMILY
    assert assert_span(text, 0, 8, lang="en", section="past_history") is Assertion.HISTORICAL
    assert assert_span(text, 0, 8, lang="en", section="assessment") is Assertion.PRESENT
    assert assert_span(text, 13, 19, lang="en", section="family_history") is Assertion.NEGATED
    assert assert_span("父亲可能患糖尿病", 5, 8, lang="zh", section="family_history") is Assertion.FAMILY


@pytest.mark.parametrize(
    ("text", "quote", "lang", "expected"),
    [
        ("CT: no pneumonia today", "no pneumonia", "en", Assertion.NEGATED),
        ("肺炎待排，予抗感染", "肺炎待排", "zh", Assertion.POSSIBLE),
        ("确诊无痛性甲状腺炎", "无痛性甲状腺炎", "zh", Assertion.PRESENT),
        ("Ingresa por posible sepsis.", "posible sepsis", "es", Assertion.POSSIBLE),
    ],
)
def test_a_cue_copied_into_the_mention_counts(text: str, quote: str, lang: str, expected: Assertion) -> None:
    start = text.index(quote)
    assert assert_span(text, start, start + len(quote), lang=lang) is expected


def test_a_mention_may_run_over_a_sentence_end() -> None:
    text = "No fever. Cough."
    assert assert_span(text, 3, len(text), lang="en") is Assertion.NEGATED


def test_refusals() -> None:
    with pytest.raises(InputError, match="JC105"):
        assert_span("x", 0, 1, lang="fr")
    with pytest.raises(ValueError, match="outside"):
        assert_span("x", 0, 2, lang="en")
    assert assert_spans("", [], lang="en") == []
    assert assert_span("  ", 0, 0, lang="en") is Assertion.PRESENT
