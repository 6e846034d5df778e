"""Training examples: the prompts are those that steps ask, splits keep encounters whole, sources are told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder, guessed_tokens
from jointcoder.errors import AssetError, InputError, UsageError
from jointcoder.finetune.asking import DataOptions
from jointcoder.finetune.datasets import build
from jointcoder.finetune.examples import Example, Examples
from jointcoder.llm.base import Prompt
from jointcoder.llm.scripted import Request
from jointcoder.records import AssignedCode, Encounter, Kind, Span, System
from jointcoder.steps.base import State, Update
from jointcoder.steps.prioritise import Prioritise, PrioritiseOptions
from jointcoder.steps.read import Read, ReadOptions
from jointcoder.workflow.run import answer
from tests.finetune.conftest import CASES, row, write_lines

NOTE = """HISTORY OF PRESENT ILLNESS

A woman who lives alone. Her sister has diabetes.

ASSESSMENT AND PLAN

Congestive failure of the heart. Raised blood pressure, hypertension. An infection of the lungs, pneumonia.
A drainage of the right pleural cavity and a scan of chest and abdomen were performed.
"""
QUOTES = {
    "I50.9": ["Congestive failure of the heart"],
    "I10": ["Raised blood pressure, hypertension"],
    "J18.9": ["infection of the lungs, pneumonia"],
}
EVERYTHING = DataOptions(sentences=None, dev_share=0.5, inject=0.0, none_share=0.0)

Make = Callable[..., Coder]


def make(
    agent: str, sources: Sequence[Path | str], book: CodeBook, folder: Path, *, dev: Sequence[Path | str] = (),
    options: DataOptions | None = None,
) -> Examples:  # fmt: skip
    build(
        agent, [str(s) for s in sources], book, folder, dev=[str(d) for d in dev], options=options or DataOptions(),
        count_tokens=guessed_tokens, dense="off",
    )  # fmt: skip
    return Examples.load(folder, agent=agent)


def recorded(coder: Make, text: str, quotes: Mapping[str, Sequence[str]] = QUOTES, *, language: str) -> list[Request]:
    """What the default workflow asks about a note, its extraction finding the marked wordings."""

    def reply(asked: Any) -> Any:
        if isinstance(asked, Prompt):
            found = [quote for own in quotes.values() for quote in own]
            return {
                field: found if field == "diagnoses" else []
                for field in ("diagnoses", "procedures")
                if f"- {field}" in asked.instruction
            }
        _, question = asked
        return [1.0 / len(question.options)] * len(question.options)

    made = coder(reply)
    made.code(Encounter.from_text(text, id="n", language=language))
    model: Any = made.model
    return list(model.requests)


def asked(requests: Sequence[Request]) -> set[tuple[str, str, str, tuple[str, ...]]]:
    return {
        (r.context.system, r.context.text, r.question.text, r.question.options)
        for r in requests
        if r.context is not None and r.question is not None
    }


def shown(example: Example) -> tuple[str, str, str, tuple[str, ...]]:
    return example.system, example.context, example.question, example.options


@pytest.fixture
def note(tmp_path: Path) -> tuple[Path, Path]:
    """The note as held-out data, and another record to train on."""
    other = "A man with pneumonia and hypertension. He has heart failure."
    trained = row(
        "other", other, {"J18.9": ["pneumonia"], "I10": ["hypertension"], "I50.9": ["heart failure"]}, lang="en"
    )
    return (
        write_lines(tmp_path / "train.jsonl", [trained]),
        write_lines(tmp_path / "note.jsonl", [row("n", NOTE, QUOTES, lang="en")]),
    )


def test_a_choice_is_what_standardise_asks(coder: Make, note: tuple[Path, Path], small_us: CodeBook, tmp_path: Path):
    options = DataOptions(aliases=False)
    examples = make("standardise_dx", [note[0]], small_us, tmp_path / "o", dev=[note[1]], options=options)
    asks = asked(recorded(coder, NOTE, language="en"))
    held = [example for example in examples.dev if example.facts["top"] < 0.9]
    assert len(held) >= 2
    assert {shown(example) for example in held} <= asks


def test_a_verdict_is_what_validate_asks(coder: Make, note: tuple[Path, Path], small_us: CodeBook, tmp_path: Path):
    examples = make("validate_dx", [note[0]], small_us, tmp_path / "o", dev=[note[1]], options=EVERYTHING)
    asks = asked(recorded(coder, NOTE, language="en"))
    common = {shown(example) for example in examples.dev} & asks
    assert common, "none of the drafts was asked about in the same words"
    assert {example.options for example in examples.dev} == {("yes", "no")}


def test_a_term_is_asked_about_as_normalise_does(coder: Make, small_cn: CodeBook, tmp_path: Path):
    pairs = [
        {"id": str(n), "lang": "zh", "kind": "procedure", "mention": text}
        | {"normalized": ["药物洗脱冠状动脉支架置入"], "codes": ["36.0700"]}
        for n, text in enumerate(["冠脉药物支架置入术", "药物支架植入", "冠状动脉支架", "支架置入手术"])
    ]  # fmt: skip
    path = write_lines(tmp_path / "pairs.jsonl", pairs)
    options = DataOptions(aliases=False, dev_share=0.5)
    examples = make("standardise_px", [path], small_cn, tmp_path / "o", options=options)
    made = coder(lambda asked: asked[1].options[0], book="cn")
    made.normalise([pair["mention"] for pair in pairs], kind=Kind.PROCEDURE, language="zh")
    model: Any = made.model
    held = [example for example in examples.dev if example.facts["top"] < 0.9]
    assert held
    assert {shown(example) for example in held} <= asked(model.requests)


def test_text_is_asked_for_as_extract_does(coder: Make, note: tuple[Path, Path], small_us: CodeBook, tmp_path: Path):
    examples = make("extract", [note[0]], small_us, tmp_path / "o", dev=[note[1]])
    (example,) = examples.dev
    plain = Encounter.from_text(
        "A man with pneumonia and hypertension. He has heart failure.", id="other", language="en"
    )
    requests = recorded(coder, plain.documents[0].text, language="en")
    prompts = {
        (r.context.text, r.prompt.instruction) for r in requests if r.prompt is not None and r.context is not None
    }
    assert {(e.context, e.question) for e in examples.train} <= prompts
    assert json.loads(example.answer) == {
        "diagnoses": [q for quotes in QUOTES.values() for q in quotes],
        "procedures": [],
    }


def test_the_principal_is_asked_for_as_prioritise_does(coder: Make, small_us: CodeBook, tmp_path: Path):
    text = "Assessment: heart failure, essential hypertension and pneumonia."
    quotes = {"I50.9": ["heart failure"], "I10": ["essential hypertension"], "J18.9": ["pneumonia"]}

    def labelled(identity: str, first: str) -> dict[str, Any]:
        one = row(identity, text, quotes, lang="en")
        one["codes"] = [{**code, "primary": code["code"] == first} for code in one["codes"]]
        return one

    train = write_lines(tmp_path / "t.jsonl", [labelled("a", "J18.9")])
    dev = write_lines(tmp_path / "d.jsonl", [labelled("n", "I50.9")])
    options = DataOptions(distractors=0)
    examples = make("prioritise_dx", [train], small_us, tmp_path / "o", dev=[dev], options=options)
    (example,) = examples.dev
    assert example.facts["codes"][example.right] == "I50.9"
    made = coder(lambda asked: asked[1].options[0])
    state = State(Encounter.from_text(text, id="n", language="en"))
    state = state.updated(answer(Read(ReadOptions()).run(state, made.tools), None))
    drafts = tuple(
        AssignedCode(
            system=System.ICD10CM,
            code=code,
            name=small_us.name(System.ICD10CM, code) or "",
            confidence=0.5,
            evidence=(Span(document=0, start=text.index(q), end=text.index(q) + len(q), quote=q),),
        )
        for code, (q,) in quotes.items()
    )
    state = state.updated(Update({"diagnoses": drafts}))
    model: Any = made.model
    answer(Prioritise(PrioritiseOptions(kind=Kind.DIAGNOSIS)).run(state, made.tools), model)
    assert asked(model.requests) == {shown(example)}


def test_splits_keep_encounters_whole_and_follow_the_seed(cases: Path, small_us: CodeBook, tmp_path: Path):
    options = DataOptions(dev_share=0.4, seed=3)
    first = make("validate_dx", [cases], small_us, tmp_path / "a", options=options)
    again = make("validate_dx", [cases], small_us, tmp_path / "b", options=options)
    other = make("validate_dx", [cases], small_us, tmp_path / "c", options=DataOptions(dev_share=0.4, seed=4))
    assert {e.group for e in first.train}.isdisjoint(e.group for e in first.dev)
    assert first.manifest["files"] == again.manifest["files"] != other.manifest["files"]


def test_history_does_not_know_the_encounter_it_speaks_of(small_us: CodeBook, tmp_path: Path):
    """A wording that one encounter alone has is never proposed there from history; elsewhere it is, and is wrong."""
    only = write_lines(tmp_path / "one.jsonl", [row(*CASES[0])])
    examples = make("validate_dx", [only], small_us, tmp_path / "a", options=DataOptions(dev_share=0.0))
    assert {example.facts["origin"] for example in examples.train} <= {"marked", "near"}
    cases = write_lines(tmp_path / "all.jsonl", [row(*case) for case in CASES])
    found = make(
        "validate_dx", [cases], small_us, tmp_path / "b", options=DataOptions(dev_share=0.0, negatives=9, folds=97)
    )
    wrong = {(e.group, e.facts["code"]) for e in found.train if e.facts["origin"] == "history" and e.answer == "no"}
    assert ("tres", "I10") in wrong  # a relative's
    assert ("cinco", "R05.9") in wrong  # denied
    assert all(0 < e.facts["p"] < 1 for e in found.train if e.facts["origin"] == "history")


def test_a_verdict_sees_the_sentences_around_the_evidence(cases: Path, small_us: CodeBook, tmp_path: Path):
    narrow = make("validate_dx", [cases], small_us, tmp_path / "a", options=DataOptions(sentences=0, dev_share=0))
    example = next(e for e in narrow.train if e.group == "dos" and e.facts["code"] == "J18.9")
    assert "Presenta neumonía y fiebre." in example.context
    assert "Mujer" not in example.context
    wide = make("validate_dx", [cases], small_us, tmp_path / "b", options=DataOptions(sentences=1, dev_share=0))
    assert "Mujer" in next(e for e in wide.train if e.group == "dos" and e.facts["code"] == "J18.9").context


def test_letters_are_drawn_and_none_of_these_is_learnt(small_us: CodeBook, tmp_path: Path):
    pairs = [
        {"id": str(n), "lang": "en", "kind": "diagnosis", "mention": f"{what} heart failure {n}"}
        | {"normalized": ["x"], "codes": [code]}
        for n, (what, code) in enumerate([("congestive", "I50.9"), ("chronic", "I50.9"), ("weird", "Z79.4")] * 12)
    ]  # fmt: skip
    path = write_lines(tmp_path / "pairs.jsonl", pairs)
    options = DataOptions(inject=0.0, none_share=0.2, dev_share=0.1)
    examples = make("standardise_dx", [path], small_us, tmp_path / "o", options=options)
    answers = {example.answer for example in examples.train}
    assert len(answers) >= 3
    none = [e for e in examples.train if e.answer == e.options[-1]]
    assert none
    assert all(e.question.count(f"{e.options[-1]}. none of these") == 1 for e in examples.train)
    assert all(len(e.prior) == len(e.options) for e in examples.train)


def test_decisions_of_coders_teach_verdicts_and_choices(small_us: CodeBook, tmp_path: Path):
    text = "A man with pneumonia. His mother had hypertension. Failing heart."

    def evidence(quote: str) -> list[dict[str, Any]]:
        start = text.index(quote)
        return [{"document": 0, "start": start, "end": start + len(quote), "quote": quote}]

    def code(number: str, quote: str, rank: int) -> dict[str, Any]:
        return {
            "system": "ICD-10-CM",
            "code": number,
            "name": number,
            "rank": rank,
            "confidence": 0.5,
            "evidence": evidence(quote),
        }

    record = {
        "encounter": "e",
        "language": "en",
        "codes": [code("J18.9", "pneumonia", 1), code("I10", "hypertension", 2), code("I11.0", "Failing heart", 3)],
        "versions": {"program": "0"},
        "note": {"id": "e", "text": text, "language": "en"},
        "decisions": [
            {"system": "ICD-10-CM", "code": "J18.9", "decision": "accept"},
            {"system": "ICD-10-CM", "code": "I10", "decision": "reject"},
            {
                "system": "ICD-10-CM",
                "code": "I11.0",
                "decision": "change",
                "to": {"system": "ICD-10-CM", "code": "I50.9"},
            },
        ],
    }
    path = write_lines(tmp_path / "decided.jsonl", [record])
    examples = make("validate_dx", [path], small_us, tmp_path / "v", options=DataOptions(dev_share=0, negatives=4))
    verdicts = {(e.facts["code"], e.answer) for e in examples.train}
    assert {("J18.9", "yes"), ("I50.9", "yes"), ("I10", "no"), ("I11.0", "no")} <= verdicts
    choices = make("standardise_dx", [path], small_us, tmp_path / "s", options=DataOptions(dev_share=0))
    assert ["I50.9"] in [e.facts["codes"] for e in choices.train]
    record["decisions"] = [{"system": "ICD-10-CM", "code": "J18.9", "decision": "perhaps"}]
    with pytest.raises(InputError, match=r"JC108: decided.jsonl, line 1: decisions\[0\]"):
        make("validate_dx", [write_lines(path, [record])], small_us, tmp_path / "x")


def test_a_code_book_teaches_its_own_wordings(small_us: CodeBook, tmp_path: Path):
    examples = make("standardise_dx", ["book:"], small_us, tmp_path / "o", options=DataOptions(dev_share=0.2))
    assert examples.manifest["shippable"] is True
    assert "public domain" in examples.manifest["sources"][0]["licence"]
    assert all("Wording:" in example.question for example in examples.train)


def test_mine_asks_for_what_is_not_listed(small_us: CodeBook, tmp_path: Path):
    codes = {"0W993ZZ": ["drainage of the right pleural cavity"], "BW24ZZZ": ["scan of chest and abdomen"]}
    path = write_lines(tmp_path / "p.jsonl", [row("n", NOTE, codes, system="ICD-10-PCS", lang="en")])
    (example,) = make("mine", [path], small_us, tmp_path / "o", options=DataOptions(dev_share=0)).train
    (found,) = json.loads(example.answer)["procedures"]
    (listed,) = {quote for quotes in codes.values() for quote in quotes} - {found}
    assert f"already listed: {listed}\n" in example.question


def test_a_pair_is_parted_as_the_stage_parts_it(small_cn: CodeBook, tmp_path: Path):
    pair = {"id": "1", "lang": "zh", "kind": "diagnosis", "mention": "2型糖尿病伴肺炎"}
    pair |= {"normalized": ["2型糖尿病", "肺炎"], "codes": ["E11.900", "J18.900"]}
    path = write_lines(tmp_path / "t.jsonl", [pair])
    found = make("standardise_dx", [path], small_cn, tmp_path / "o", options=DataOptions(dev_share=0, none_share=0))
    assert {example.id for example in found.train} == {"terms:1:0", "terms:1:1"}
    assert not any("伴" in example.question for example in found.train)


def test_bad_input_has_a_code(cases: Path, small_us: CodeBook, small_cn: CodeBook, tmp_path: Path):
    with pytest.raises(UsageError, match="JC001: unknown agent"):
        make("code", [cases], small_us, tmp_path / "o")
    with pytest.raises(InputError, match=r"JC113: prioritise_dx finds nothing to learn in cases.jsonl"):
        make("prioritise_dx", [cases], small_us, tmp_path / "o")
    with pytest.raises(InputError, match="JC113"):
        make("validate_dx", [cases], small_cn, tmp_path / "o")
    with pytest.raises(InputError, match="JC107"):
        make("validate_dx", [tmp_path / "nowhere.jsonl"], small_us, tmp_path / "o")
    with pytest.raises(AssetError, match="JC214"):
        Examples.load(tmp_path / "nothing")
    made = make("validate_dx", [cases], small_us, tmp_path / "o")
    with pytest.raises(InputError, match=r"JC108.*'validate_dx'"):
        Examples.load(tmp_path / "o", agent="extract")
    values = {**asdict(made.train[0]), "answer": "maybe"}
    (tmp_path / "o" / "train.jsonl").write_text(json.dumps(values) + "\n", "utf-8")
    with pytest.raises(InputError, match=r"JC108: train.jsonl, line 1"):
        Examples.load(tmp_path / "o")


def test_codes_outside_a_closed_set_are_no_drafts(small_cn: CodeBook, tmp_path: Path):
    """Without marked evidence drafts are the book's wordings in the text, each code once, if the set has it."""

    def stay(number: int, text: str, *codes: str) -> dict[str, Any]:
        labels = [{"system": "ICD-10-CN", "code": code, "primary": not place} for place, code in enumerate(codes)]
        return {
            "id": f"s{number}",
            "lang": "zh",
            "source": "CCL25 made up",
            "sections": {"主诉": text},
            "codes": labels,
        }

    rows = [
        stay(1, "患者肺炎，复查仍有肺炎。咳嗽三天。", "J18.900", "I20.000"),
        stay(2, "不稳定型心绞痛，无肺炎。", "I20.000", "J18.900"),
        stay(3, "不稳定型心绞痛，既往肺炎。", "I20.000"),
    ]
    path = write_lines(tmp_path / "stays.jsonl", rows)
    examples = make("validate_dx", [path], small_cn, tmp_path / "o", options=DataOptions(dev_share=0.0))
    found = sorted((e.group, e.facts["code"], e.answer) for e in examples.train)
    assert ("s1", "J18.900", "是") in found
    assert ("s3", "J18.900", "否") in found
    assert not any(code == "R05.x00" for _, code, _ in found)  # a cough is in the book, but not in the set
    assert len({(group, code) for group, code, _ in found}) == len(found)
