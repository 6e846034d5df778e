"""The default workflow over small code books with a scripted model: what it does, and what it does when things fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from jointcoder.coder import Coder
from jointcoder.errors import InputError, WorkflowError
from jointcoder.llm.base import Prompt
from jointcoder.records import AssignedCode, CodedRecord, Encounter, Kind, Role
from jointcoder.steps import registry
from jointcoder.steps.base import Step, StepOptions, Update
from jointcoder.workflow.spec import Workflow

Make = Callable[..., Coder]

NOTE = """CHIEF COMPLAINT

Cough and swollen legs.

HISTORY OF PRESENT ILLNESS

A woman who lives alone. She denies pneumonia in the past. Her sister has type 2 diabetes.

ASSESSMENT AND PLAN

Congestive heart failure. Hypertension. Osteoarthritis of the left knee.
A drainage of the right pleural cavity was performed.
"""


def model(lists: dict[str, list[str]], *, yes: tuple[str, ...] = (), principal: str = "") -> Callable[[Any], Any]:
    """A model that lists these wordings, agrees with drafts whose name holds one of ``yes``, finds everything else
    doubtful, chooses the first option whose text a question's wording holds, and ``principal`` as principal."""

    def answer(asked: Any) -> Any:
        if isinstance(asked, Prompt):
            return {field: items for field, items in lists.items() if f"- {field}" in asked.instruction}
        _, question = asked
        if question.options[0] in ("yes", "是", "sí"):
            doubt = [0.5, 0.5] if "N/A" in question.text else [0.02, 0.98]
            return [0.95, 0.05] if any(word in question.text for word in yes) else doubt
        lines = question.text.splitlines()
        wanted = [o for o in question.options for line in lines if line.startswith(f"{o}.") and principal in line]
        return wanted[0] if principal and wanted else question.options[0]

    return answer


def codes(record: CodedRecord, kind: Kind = Kind.DIAGNOSIS) -> list[str]:
    return [code.code for code in record.of_kind(kind)]


LISTED = {
    "diagnoses": ["Congestive heart failure", "osteoarthritis of the left knee", "hypertension", "type 2 diabetes"],
    "procedures": ["drainage of the right pleural cavity"],
}
AGREED = ("heart failure", "steoarthritis", "ypertension", "Drainage")


def test_the_whole_way(coder: Make) -> None:
    program = coder(model(LISTED, yes=AGREED, principal="heart failure"))
    encounter = Encounter.from_text(NOTE, id="e1")
    record = program.code(encounter)
    assert codes(record)[0] == "I11.0"  # hypertension with heart failure is one combination, sequenced first
    assert set(codes(record)) == {"I11.0", "I50.9", "M17.12"}  # side from the text; the sister's diabetes left out
    assert codes(record, Kind.PROCEDURE) == ["0W993ZZ"]
    assert all(span.reproduces(encounter) for code in record.codes for span in code.evidence)
    assert [c.role for c in record.of_kind(Kind.DIAGNOSIS)][:2] == [Role.PRINCIPAL, Role.SECONDARY]
    assert all(code.evidence and code.stages[-1] == "reconcile" for code in record.codes)
    assert record.versions.model == "scripted"
    assert record.cost.calls == len(program.model.requests)  # type: ignore[union-attr]


def test_denied_and_family_mentions_are_not_coded(coder: Make) -> None:
    lists = {"diagnoses": ["pneumonia", "type 2 diabetes"], "procedures": []}
    record = coder(model(lists, yes=("neumonia", "iabetes"))).code(Encounter.from_text(NOTE))
    assert not {"J18.9", "E11.9"} & set(codes(record))


def test_invented_wordings_are_dropped_and_said(coder: Make) -> None:
    lists = {"diagnoses": ["Congestive heart failure", "tropical sprue"], "procedures": []}
    record = coder(model(lists, yes=("heart failure",))).code(Encounter.from_text(NOTE))
    assert any(flag.code == "JC602" for flag in record.flags)
    assert all("sprue" not in code.name for code in record.codes)


def test_what_the_model_denies_falls_out(coder: Make) -> None:
    text = "Assessment: rule out pneumonia was discussed."
    lists = {"diagnoses": ["pneumonia"], "procedures": []}
    kept = coder(model(lists, yes=("neumonia",))).code(Encounter.from_text(text))
    dropped = coder(model(lists)).code(Encounter.from_text(text))
    assert codes(kept) == ["J18.9"]
    assert codes(dropped) == []
    assert {"JC603"} <= {flag.code for flag in dropped.flags}


def test_an_answer_that_is_no_json_is_repaired_once_then_flagged(coder: Make) -> None:
    answers = iter(["not json", "still not json"])
    program = coder(lambda asked: next(answers, "{}") if isinstance(asked, Prompt) else asked[1].options[0])
    record = program.code(Encounter.from_text("She has pneumonia and hypertension."))
    assert any(flag.code == "JC302" and flag.step == "extract" for flag in record.flags)
    assert record.codes  # the dictionary still found something: the record is not lost


def test_a_chinese_list_is_coded_in_order_with_its_companions(coder: Make) -> None:
    text = (
        "现病史：反复胸痛3年，既往无特殊。\n手术名称：药物洗脱冠状动脉支架置入\n手术经过：于右冠状动脉置入一枚支架，"
        "行单根导管的冠状动脉造影术。\n出院诊断：\n1.不稳定型心绞痛\n2.高血压病3级（极高危）\n3.2型糖尿病\n"
    )

    def answer(asked: Any) -> Any:
        if isinstance(asked, Prompt):
            return {"procedures": ["单根导管的冠状动脉造影术"]}
        _, question = asked
        if "几个支架" in question.text or "几根血管" in question.text:
            return "A"
        if question.options[0] == "是":
            return "是"
        lines = question.text.splitlines()
        first = ("不稳定型心绞痛", "药物洗脱")  # the model names the right principal
        return next((line[0] for line in lines if line[1:2] == "." and any(w in line for w in first)), "A")

    record = coder(answer, book="cn").code(Encounter.from_text(text))
    assert record.language == "zh"
    assert codes(record) == ["I20.000", "I10.x00x032", "E11.900"]
    procedures = codes(record, Kind.PROCEDURE)
    assert procedures[0] == "36.0700"
    assert {"88.5500", "00.4000", "00.4500"} <= set(procedures)
    companion = next(code for code in record.codes if code.code == "00.4500")
    assert companion.links[0].code == "36.0700"
    assert "36.06/36.07" in companion.checks[0].citation


def test_a_long_record_is_read_in_parts_and_nothing_is_cut(coder: Make) -> None:
    filler = "The patient slept well and walked in the corridor. " * 400
    text = f"HISTORY\n\n{filler}\n\nASSESSMENT\n\nPneumonia.\n\n{filler}\n\nIMPRESSION\n\n"
    text += "Osteoarthritis of left knee: rest."
    seen: list[str] = []

    def answer(asked: Any) -> Any:
        if isinstance(asked, Prompt):
            seen.append(asked.context.text)
            found = [w for w in ("Pneumonia", "Osteoarthritis of left knee") if w in asked.context.text]
            return {f: found if f == "diagnoses" else [] for f in LISTED if f"- {f}" in asked.instruction}
        return asked[1].options[0]

    encounter = Encounter.from_text(text)
    assert encounter.characters > 20_000
    record = coder(answer).code(encounter)
    assert {"J18.9", "M17.12"} <= set(codes(record))
    assert any(flag.code == "JC111" for flag in record.flags)
    assert sum(part.count("walked in the corridor") for part in seen) >= 790  # all 800 but those cut by a part's end


def test_many_encounters_give_as_many_records_in_order(coder: Make) -> None:
    german = "Der Patient wurde wegen einer schweren Lungenentzündung stationär aufgenommen und zehn Tage behandelt."
    encounters = [
        Encounter.from_text("Assessment: pneumonia.", id="a"),
        Encounter.from_text(german, id="b"),
        Encounter.from_text("Assessment: cough.", id="c"),
    ]
    for batch in (1, 3):
        records = list(coder(workflow="lexical").code_many(encounters, batch=batch))
        assert [record.encounter for record in records] == ["a", "b", "c"]
        assert [codes(record) for record in records] == [["J18.9"], [], ["R05.9"]]
        assert [flag.code for flag in records[1].flags] == ["JC105"]


def test_a_batch_gives_what_single_runs_give(coder: Make) -> None:
    encounters = [Encounter.from_text(NOTE, id="a"), Encounter.from_text("Assessment: pneumonia and cough.", id="b")]

    def answer(asked: Any) -> Any:
        if isinstance(asked, Prompt):
            known = ["Congestive heart failure", "pneumonia", "cough"]
            return {"diagnoses": [w for w in known if w in asked.context.text], "procedures": []}
        return asked[1].options[0]

    single = [coder(answer).code(encounter) for encounter in encounters]
    batched = list(coder(answer).code_many(encounters, batch=2))
    assert [record.codes for record in single] == [record.codes for record in batched]


def test_an_unfit_encounter_raises_when_coded_alone(coder: Make) -> None:
    with pytest.raises(InputError) as error:
        coder(workflow="lexical").code(Encounter.from_text("cough", language="fr"))
    assert error.value.code == "JC105"


def test_a_model_is_needed_and_said_so(coder: Make) -> None:
    program = coder(model(LISTED))
    program.model = None
    with pytest.raises(WorkflowError) as error:
        program.code(Encounter.from_text(NOTE))
    assert error.value.code == "JC403"


class Broken(Step):
    """Fails on every record that holds the word; its message would leak the note."""

    name = "broken"
    purpose = "fails"
    reads = frozenset({"encounter"})
    writes = frozenset({"language"})

    def run(self, state: Any, tools: Any) -> Any:
        yield from ()
        raise RuntimeError(state.encounter.documents[0].text)


class Greedy(Broken):
    """Writes what it did not declare."""

    name = "greedy"

    def run(self, state: Any, tools: Any) -> Any:
        yield from ()
        return Update({"diagnoses": ()})


def with_step(step: type[Step], monkeypatch: pytest.MonkeyPatch) -> Workflow:
    build = registry.build
    monkeypatch.setattr(
        "jointcoder.workflow.check.registry.build",
        lambda name, options: step(StepOptions()) if name == step.name else build(name, options),
    )
    text = '[[step]]\nuse = "read"\n[[step]]\nuse = "extract"\noptions = { sources = ["dictionary"] }\n'
    text += f'[[step]]\nuse = "{step.name}"\n'
    text += '[[step]]\nuse = "standardise"\noptions = { kind = "diagnosis", ask_model = false }'
    return Workflow.from_toml(f'name = "t"\n{text}')


def test_a_step_that_fails_leaves_a_flag_without_note_text(
    coder: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    program = coder(workflow=with_step(Broken, monkeypatch))
    record = program.code(Encounter.from_text("Assessment: pneumonia. Secretname."))
    assert [flag.code for flag in record.flags] == ["JC406"]
    assert codes(record) == ["J18.9"]  # the other steps went on
    assert "Secretname" not in record.flags[0].message + caplog.text


def test_a_step_must_keep_its_declaration(coder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorkflowError) as error:
        coder(workflow=with_step(Greedy, monkeypatch)).code(Encounter.from_text("Assessment: pneumonia."))
    assert error.value.code == "JC405"


def test_normalise_takes_bare_terms(coder: Make) -> None:
    program = coder(workflow="lexical", book="cn")
    pairs = program.normalise(["2型糖尿病", "肺炎；咳嗽"], kind=Kind.DIAGNOSIS, language="zh")
    assert pairs == [[("2型糖尿病", "E11.900")], [("肺炎", "J18.900"), ("咳嗽", "R05.x00")]]


def test_only_the_systems_asked_for(coder: Make) -> None:
    from jointcoder.errors import UsageError
    from jointcoder.records import System

    listed = {"procedures": LISTED["procedures"]}
    record = coder(model(listed, yes=AGREED), systems=[System.ICD10PCS]).code(Encounter.from_text(NOTE))
    assert codes(record) == []
    assert codes(record, Kind.PROCEDURE) == ["0W993ZZ"]
    with pytest.raises(UsageError):
        coder(model(LISTED), systems=[System.ICD10CN])


def test_a_code_that_the_book_lacks_never_leaves(coder: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    class Inventor(Broken):
        name = "inventor"
        writes = frozenset({"diagnoses"})

        def run(self, state: Any, tools: Any) -> Any:
            yield from ()
            return Update({"diagnoses": (AssignedCode(system="ICD-10-CM", code="Q99.99", name="x", confidence=1.0),)})

    build = registry.build
    monkeypatch.setattr(
        "jointcoder.workflow.check.registry.build",
        lambda name, options: Inventor(StepOptions()) if name == "inventor" else build(name, options),
    )
    flow = Workflow.from_toml('name = "t"\n[[step]]\nuse = "read"\n[[step]]\nuse = "inventor"')
    record = coder(workflow=flow).code(Encounter.from_text("Assessment: pneumonia."))
    assert record.codes == ()
    assert any(flag.code == "JC501" for flag in record.flags)
