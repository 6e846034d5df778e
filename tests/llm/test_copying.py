"""Copies: what is written under the constraint stands in the text, and every wording of the text can be written."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jointcoder.llm.base import Context, Generation, Prompt
from jointcoder.llm.copying import COPIED, Copying, Note, Pieces, Scanner, by_logit, copies
from jointcoder.llm.grammar import Constraint, gbnf
from jointcoder.llm.llamacpp import LlamaCpp
from jointcoder.llm.scripted import Scripted

QUOTE: dict[str, Any] = {"type": "string", "x-copy": True}
TERMS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "found": {"type": "array", "items": QUOTE, "maxItems": 4},
        "main": QUOTE,
        "remark": {"type": "string", "maxLength": 12},
    },
    "required": ["found", "main", "remark"],
    "additionalProperties": False,
}
ENGLISH = (
    'Admitted with "acute appendicitis"\nand type 2 diabetes; files in C:\\temp\\x. Mother: osteoarthritis. BP 120/80.'
)
CHINESE = '主诉：右下腹痛１天，\n诊断“急性阑尾炎”、２型糖尿病 II 期；既往："高血压"\\冠心病。'
NOTES = [ENGLISH, CHINESE]

# Few characters, so that wordings recur; with all that JSON escapes, and what UTF-8 writes in several bytes.
texts = st.text(st.sampled_from('ab \n\t"\\/é痛，𠮷\x01'), max_size=40)
anything = st.text(st.characters(codec="utf-8"), max_size=30)


def quoted(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode()


# ------------------------------------------------------------------------------------------------------- the scanner

keys = st.sampled_from(["a", "b", 'q"', "病\\", "é\n"])
marks = st.booleans()


@st.composite
def documents(draw: st.DrawFn, depth: int = 0) -> tuple[Any, dict[str, Any], list[str]]:
    """A JSON value, its schema with some strings marked, and the marked strings in order."""
    kind = draw(st.sampled_from(["string", "other"] if depth == 3 else ["string", "other", "object", "array"]))
    if kind == "other":
        return draw(st.none() | st.booleans() | st.integers() | st.floats(-9, 9)), {"type": "null"}, []
    if kind == "string":
        value, marked = draw(anything), draw(marks)
        return value, {"type": "string"} | ({"x-copy": True} if marked else {}), [value] if marked else []
    if kind == "object":
        parts = {key: draw(documents(depth=depth + 1)) for key in draw(st.lists(keys, unique=True))}
        schema = {"type": "object", "properties": {key: part[1] for key, part in parts.items()}}
        return {k: part[0] for k, part in parts.items()}, schema, [text for p in parts.values() for text in p[2]]
    marked = draw(marks)
    values = draw(st.lists(anything, max_size=3))
    item = {"type": "string"} | ({"x-copy": True} if marked else {})
    return values, {"type": "array", "items": item}, values if marked else []


@given(document=documents(), ascii_only=st.booleans(), indent=st.sampled_from([None, 1]))
def test_the_scanner_reads_what_json_loads_reads(document: Any, ascii_only: bool, indent: int | None) -> None:
    value, schema, expected = document
    scanner, found, current = Scanner(schema), [], b""
    state = scanner.start
    for byte in json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode():
        before = state.mode
        state, text = scanner.step(state, byte)
        current += text
        if before == COPIED != state.mode:
            found.append(current.decode())
            current = b""
    assert found == expected
    assert state.open == ()


@given(note=anything, data=st.data())
def test_many_bytes_at_once_are_the_same_as_one_after_the_other(note: str, data: st.DataObject) -> None:
    start, end = sorted(data.draw(st.tuples(st.integers(0, len(note)), st.integers(0, len(note)))))
    text = json.dumps(
        note[start:end] + data.draw(st.sampled_from(["", "", "x"])), ensure_ascii=data.draw(st.booleans())
    )
    whole, single = Copying(QUOTE, Note(note)), Copying(QUOTE, Note(note))
    assert whole.allows(text.encode(), anywhere=True) == _accepts(single, text.encode())


def _accepts(copying: Copying, text: bytes) -> bool:
    """One byte after the other; escapes by ``\\u`` in one piece, since the constraint knows no half ones."""
    at = 0
    while at < len(text):
        size = 1
        if text[at : at + 2] == b"\\u":
            size = 12 if b"d8" <= text[at + 2 : at + 4] < b"dc" else 6
        if not copying.allows(text[at : at + size], anywhere=True):
            return False
        copying.accept(text[at : at + size])
        at += size
    return True


# ---------------------------------------------------------------------------------------------------- the constraint


def walk(note: str, pieces: list[bytes], seed: int, *, steps: int = 60) -> bytes:
    """What a random writer writes into one copy; after so many steps it ends when it can."""
    lots = random.Random(seed)
    copying = Copying(QUOTE, Note(note))
    copying.accept(b'"')
    written = b'"'
    for step in range(steps * 4):
        allowed = [piece for piece in pieces if copying.allows(piece)]
        first = copying.first_bytes()
        assert all(piece[0] in first for piece in allowed)
        assert allowed, "a copy can go on or end wherever it stands"
        closing = [piece for piece in allowed if piece in (b'"', b'."')]
        piece = lots.choice(closing if closing and step >= steps else allowed)
        copying.accept(piece)
        written += piece
        if not copying.inside:
            return written
    raise AssertionError("the copy never ends")


def vocabulary(note: str, extra: list[bytes]) -> list[bytes]:
    """Tokens as tokenizers have them: single bytes, escapes, and arbitrary pieces of the text."""
    single = [bytes([b]) for b in sorted({*note.encode(), *b'xy"\\nt/'}) if b >= 0x20]
    return sorted({*single, b"\\n", b"\\t", b'\\"', b"\\\\", b'."', *extra})


@given(note=texts, data=st.data(), seed=st.integers(0, 999))
@example(note="", data=None, seed=0)
@settings(max_examples=60, deadline=None)
def test_whatever_is_written_stands_in_the_text(note: str, data: Any, seed: int) -> None:
    raw = quoted(note)[1:-1]
    cuts = data.draw(st.lists(st.tuples(st.integers(0, len(raw)), st.integers(1, 6)), max_size=6)) if data else []
    extra = [raw[at : at + length] for at, length in cuts if raw[at : at + length].strip(b'"')]
    written = walk(note, vocabulary(note, extra), seed)
    copy, _ = json.JSONDecoder().raw_decode(written.decode())  # a piece may go on behind the closing mark
    assert copy in note


@given(note=texts.filter(lambda note: "\x01" not in note), data=st.data())
def test_every_wording_of_the_text_can_be_written(note: str, data: st.DataObject) -> None:
    edges = [
        i for i in range(len(note) + 1) if not (note[i - 1 : i] + note[i : i + 1]).isalpha() or not 0 < i < len(note)
    ]
    edges += [i for i in range(1, len(note)) if "痛" in note[i - 1 : i + 1] or "𠮷" in note[i - 1 : i + 1]]
    start, end = sorted(data.draw(st.tuples(st.sampled_from(edges), st.sampled_from(edges))))
    copying = Copying(QUOTE, Note(note))
    text = quoted(note[start:end])
    sizes = data.draw(st.lists(st.integers(1, 5), min_size=len(text), max_size=len(text)))
    at = 0
    for size in sizes:
        piece = text[at : at + size]
        if piece:
            assert copying.allows(piece)
            copying.accept(piece)
        at += size
    assert not copying.inside


@pytest.mark.parametrize(
    ("copy", "allowed"),
    [
        ("acute appendicitis", True),
        ("", True),
        ("type 2", True),
        ('"acute appendicitis"\nand', True),
        ("C:\\temp\\x", True),
        ("acute append", False),  # ends inside a word
        ("arthritis", False),  # begins inside one
        ("Acute appendicitis", False),
        ("appendicitis and", False),  # a line break stands between
        ("120/80.", True),
    ],
)
def test_copies_are_whole_words_of_the_text(copy: str, allowed: bool) -> None:
    assert Copying(QUOTE, Note(ENGLISH)).allows(quoted(copy)) is allowed


@pytest.mark.parametrize("copy", ["阑尾", "急性阑尾炎”、２型", "１天，\n诊断", 'II 期；既往："高血压"\\冠心'])
def test_chinese_has_no_words_to_cut(copy: str) -> None:
    assert Copying(QUOTE, Note(CHINESE)).allows(quoted(copy))
    assert not Copying(QUOTE, Note(CHINESE)).allows(quoted(copy + "肺"))


def test_a_word_may_be_cut_where_the_copy_cannot_go_on() -> None:
    copying = Copying(QUOTE, Note(ENGLISH))
    copying.accept(b'"acute append')
    assert not copying.allows(b'"')
    assert copying.allows(b'"', anywhere=True)
    copying = Copying(QUOTE, Note(CHINESE))
    copying.accept('"急'.encode() + "性".encode()[:2])
    assert not copying.allows(b'"', anywhere=True), "a character is never cut"


def test_other_strings_keys_and_structure_are_free() -> None:
    copying = Copying(TERMS, Note("fever"))
    for piece in (b'{"fo', b'und":["', b'fever","', b'", "fever"], "ma', b'in": ""', b', "remark":"made', b' up"}'):
        assert copying.allows(piece), piece
        copying.accept(piece)
    copying = Copying(TERMS, Note("fever"))
    assert not copying.allows(b'{"found":["fever","cough')
    assert not copying.allows(b'{"found": [], "main": "c')
    assert copying.allows(b'{"found": [], "main": "", "remark": "c')
    assert copies(TERMS)
    assert not copies({"type": "object", "properties": {"remark": TERMS["properties"]["remark"]}})


def test_what_the_constraint_refuses_cannot_be_accepted_and_changes_nothing() -> None:
    copying = Copying(QUOTE, Note("fever"))
    copying.accept(b'"fe')
    with pytest.raises(ValueError, match="text"):
        copying.accept(b"x")
    assert not copying.allows(b""), "a token that writes nothing"
    assert copying.allows(b'ver"')


def test_tokens_come_in_the_order_of_their_logits() -> None:
    row = np.random.default_rng(3).integers(0, 50, 1000).astype(np.float32)  # with many ties
    tokens = np.arange(0, 1000, 2)
    assert list(by_logit(tokens, row)) == sorted(tokens.tolist(), key=lambda t: (-row[t], t))
    pieces = Pieces(lambda token: [b"ab", b"", b"b", b"ac"][token], 4)
    assert pieces.beginning({ord("a")}).tolist() == [0, 3]
    assert pieces.beginning({ord("a"), ord("b")}).tolist() == [0, 2, 3]


# ---------------------------------------------------------------------------------------------- answers of any model


def test_an_answer_that_is_no_copy_is_repaired_once() -> None:
    wrong, right = ({"found": [word], "main": "", "remark": "x"} for word in ("made up", "fever"))
    model = Scripted([wrong, right])
    (answer,) = model.generate([Prompt(Context("cough, fever"), "List.")], TERMS)
    assert (answer.value, answer.error, answer.repaired) == (right, None, True)
    assert "$.found[0]" in model.requests[1].prompt.instruction  # type: ignore[union-attr]


def test_an_answer_that_stays_made_up_is_jc302() -> None:
    wrong = {"found": [], "main": "made up", "remark": "x"}
    (answer,) = Scripted([wrong, wrong]).generate([Prompt(Context("fever"), "List.")], TERMS)
    assert (answer.value, answer.error) == (None, "JC302")
    assert "$.main" in answer.problem
    assert "made up" not in answer.problem


def test_each_answer_is_held_to_its_own_text() -> None:
    values = [{"found": [word], "main": word, "remark": ""} for word in ("fever", 'a "b"\n')]
    prompts = [Prompt(Context(text), "List.") for text in ("cough, fever", 'see a "b"\n')]
    assert [a.error for a in Scripted(values).generate(prompts, TERMS)] == [None, None]
    swapped = Scripted([*reversed(values), *reversed(values)]).generate(prompts, TERMS)
    assert [a.error for a in swapped] == ["JC302", "JC302"]


# --------------------------------------------------------------------------------------------------------- the engine


def copied(answer: Generation) -> Iterator[str]:
    yield from answer.value["found"]
    yield answer.value["main"]


ASKED = ["List the diagnoses.", "Copy the first line.", "Write a poem about the sea.", "用中文列出诊断。"]


@pytest.mark.engine
@pytest.mark.parametrize("note", NOTES, ids=["en", "zh"])
def test_what_the_engine_copies_stands_in_the_note(model: LlamaCpp, note: str) -> None:
    schema = TERMS | {"properties": TERMS["properties"] | {"found": TERMS["properties"]["found"] | {"minItems": 2}}}
    answers = model.generate([Prompt(Context(note), text) for text in ASKED], schema, max_tokens=100)
    finished = [answer for answer in answers if answer.finished]
    assert finished
    assert not any(answer.repaired or answer.error for answer in finished)
    assert all(words in note for answer in finished for words in copied(answer))
    assert any(words for answer in finished for words in copied(answer))


@pytest.mark.engine
def test_copies_are_the_same_alone_and_in_a_batch(model: LlamaCpp) -> None:
    prompts = [Prompt(Context(note), text) for note in NOTES for text in ASKED[:2]][:3]
    together = model.generate(prompts, TERMS, max_tokens=36)
    alone = [model.generate([prompt], TERMS, max_tokens=36)[0] for prompt in prompts]
    assert [a.text for a in together] == [a.text for a in alone]


@pytest.mark.engine
def test_an_opening_is_part_of_the_copy(model: LlamaCpp) -> None:
    prompt = Prompt(Context(ENGLISH), "Which joint disease?", '{"found": [], "main": "osteo')
    (answer,) = model.generate([prompt], TERMS, max_tokens=60)
    assert answer.value["main"].startswith("osteoarthritis")
    with pytest.raises(ValueError, match="opening"):
        model.generate([Prompt(Context(ENGLISH), "Go on.", '{"found": [], "main": "gout')], TERMS, max_tokens=60)


@pytest.mark.engine
def test_a_limit_of_length_may_cut_a_word_but_not_the_answer(model: LlamaCpp) -> None:
    short = {"type": "string", "x-copy": True, "minLength": 9, "maxLength": 9}
    schema = {"type": "object", "properties": {"main": short}, "required": ["main"]}
    (answer,) = model.generate([Prompt(Context("osteoarthritis"), "Copy.")], schema, max_tokens=40)
    assert answer.value == {"main": "osteoarth"}


@pytest.mark.engine
def test_the_likeliest_allowed_token_is_taken(model: LlamaCpp) -> None:
    """Against a look at every token of the vocabulary."""
    engine = model._engine
    lots = np.random.default_rng(5)
    pieces = Pieces(engine.piece, engine.vocabulary)
    for opening in ('{"found": ["acute', '{"found": ["acute appendic', '{"found": [', '{"found": ["C:'):
        constraint = Constraint(engine, gbnf(TERMS), copying=Copying(TERMS, Note(ENGLISH)), pieces=pieces)
        for token in engine.tokenize(opening):
            constraint.accept(token)
        for _ in range(2):
            row = lots.normal(size=engine.vocabulary).astype(np.float32)
            allowed = [t for t in range(len(row)) if constraint.allows(t)]
            assert constraint.choose(row) == max(allowed, key=lambda t: row[t])
        constraint.close()
