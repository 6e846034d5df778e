"""Adapters that a workflow's steps name: they reach the model, are checked before the run and told in the record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.errors import WorkflowError
from jointcoder.llm.adapters import Adapter
from jointcoder.llm.base import Context, LanguageModel, Prompt, Question
from jointcoder.llm.cache import Cached
from jointcoder.llm.llamacpp import LlamaCpp
from jointcoder.llm.load import open_model
from jointcoder.llm.scripted import Scripted
from jointcoder.records import Encounter, Kind
from jointcoder.settings import Settings
from jointcoder.steps import registry
from jointcoder.steps.base import Choose, Generate, Step, StepOptions, Tools, Update
from jointcoder.workflow.check import plan, problems
from jointcoder.workflow.run import answer, run
from jointcoder.workflow.spec import Workflow

QUESTION = Question("Is there fever?", ("yes", "no"))


class AskOptions(StepOptions):
    own: str = ""


class Asker(Step):
    """Asks both ways; with ``own`` the question names an adapter itself."""

    name = "asker"
    purpose = "asks"
    Options = AskOptions
    options: AskOptions
    reads = frozenset({"encounter"})
    writes = frozenset({"diagnoses"})

    @property
    def asks(self) -> bool:
        return True

    def run(self, state: Any, tools: Any) -> Any:
        context = Context(state.encounter.documents[0].text)
        (written,) = yield Generate([Prompt(context, "Go on.")], max_tokens=4)
        (chosen,) = yield Choose(context, [QUESTION], adapter=self.options.own or None)
        return Update({"diagnoses": ()}, notes={"text": written.text, "yes": chosen.logprobs[0]})


@pytest.fixture
def asker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.BUILT_IN, "asker", f"{__name__}:Asker")


def flow(*options: str) -> Workflow:
    steps = [f'[[step]]\nuse = "asker"\nid = "s{i}"\noptions = {{ {o} }}' for i, o in enumerate(options)]
    return Workflow.from_toml('name = "t"\n[needs]\nmodel = true\n' + "\n".join(steps))


def go(workflow: Workflow, model: LanguageModel, notes: tuple[str, ...] = ("fever", "cough")) -> list[Any]:
    """The notes of each encounter's trace, step by step."""
    outcomes = run(plan(workflow), [Encounter.from_text(note, id=note) for note in notes], TOOLS, model)
    return [[step.notes for step in outcome.trace] for outcome in outcomes]


TOOLS: Tools = None  # type: ignore[assignment]  # the asker uses none


class Counting(Scripted):
    """Notes the adapter and the number of requests of each call."""

    def __init__(self, **options: Any) -> None:
        super().__init__(lambda asked: "x" if isinstance(asked, Prompt) else "yes", **options)
        self.calls: list[tuple[str, str | None, int]] = []

    def generate(self, prompts: Any, *arguments: Any, **options: Any) -> Any:
        self.calls.append(("generate", options["adapter"], len(prompts)))
        return super().generate(prompts, *arguments, **options)

    def choose_all(self, asks: Any, **options: Any) -> Any:
        self.calls.append(("choose", options["adapter"], len(asks)))
        return super().choose_all(asks, **options)


@pytest.mark.usefixtures("asker")
class TestScripted:
    def test_a_steps_adapter_is_on_all_it_asks(self) -> None:
        model = Counting(adapters=["a", "b"])
        traces = go(flow('adapter = "a"', "", 'adapter = "b"'), model)
        assert model.calls == [(how, name, 2) for name in ("a", None, "b") for how in ("generate", "choose")]
        assert [r.adapter for r in model.requests] == ["a"] * 4 + [None] * 4 + ["b"] * 4
        for notes in traces:
            assert [step.get("adapters") for step in notes] == [["a"], None, ["b"]]

    def test_an_adapter_that_an_ask_names_itself_goes_before(self) -> None:
        model = Counting(adapters=["a", "b"])
        (notes,) = go(flow('adapter = "a", own = "b"'), model, ("fever",))
        assert [r.adapter for r in model.requests] == ["a", "b"]
        assert notes[0]["adapters"] == ["a", "b"]

    def test_asks_under_different_adapters_are_not_one_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def run_(self: Asker, state: Any, tools: Any) -> Any:
            text = state.encounter.documents[0].text
            yield Choose(Context(text), [QUESTION], adapter=text[0])
            return Update({"diagnoses": ()})

        monkeypatch.setattr(Asker, "run", run_)
        model = Counting(adapters=["f", "c"])
        go(flow(""), model, ("fever", "cough", "flu"))
        assert model.calls[0] == ("choose", "f", 2)
        assert [r.adapter for r in model.requests] == ["f", "f", "c"]

    def test_an_adapter_that_the_model_lacks_is_refused_before_anything_is_asked(self) -> None:
        model = Counting(adapters=["coder", "auditor"])
        with pytest.raises(WorkflowError) as error:
            go(flow("", 'adapter = "codder"'), model)
        assert error.value.code == "JC403"
        assert "codder" in error.value.message
        assert "coder" in (error.value.hint or "")
        assert "auditor" in (error.value.hint or "")
        assert model.requests == []

    def test_outside_a_workflow_the_adapter_is_given(self) -> None:
        model = Counting(adapters=["a"])
        asking = Asker(AskOptions()).run(type("S", (), {"encounter": Encounter.from_text("fever")}), None)
        answer(asking, model, adapter="a")
        assert [r.adapter for r in model.requests] == ["a", "a"]

    def test_the_cache_reports_what_its_model_has(self, tmp_path: Path) -> None:
        with Cached(Scripted([], adapters=["a"]), tmp_path, 10**6, identity="x") as model:
            assert model.adapters == ("a",)
            assert model.adapter_version("a") == ""

    def test_only_a_step_that_asks_may_name_one(self) -> None:
        text = 'name = "t"\n[[step]]\nuse = "read"\noptions = { adapter = "a" }\n[[step]]\nuse = "asker"'
        (problem,) = problems(Workflow.from_toml(text.replace("[[step]]", "[needs]\nmodel = true\n[[step]]", 1)))
        assert "read names an adapter" in problem


def test_the_default_workflow_with_adapters(small_us: CodeBook, tmp_path: Path) -> None:
    """Every step that asks takes one; records say which, and normalise uses the step's, too."""
    from jointcoder.workflow.spec import load_workflow

    base = load_workflow("jointcoder")
    asking = {step_id for step_id, step in plan(base).steps if step.asks}
    steps = tuple(
        s.model_copy(update={"options": {**s.options, "adapter": s.id}}) if s.id in asking else s for s in base.step
    )
    workflow = base.model_copy(update={"step": steps})
    assert workflow.hash != base.hash

    def say(asked: Any) -> Any:
        return {"diagnoses": ["hypertension"], "procedures": []} if isinstance(asked, Prompt) else asked[1].options[0]

    model = Scripted(say, adapters=asking)
    with Coder(Settings(cache=tmp_path), model=model, code_book=small_us, workflow=workflow) as program:
        record = program.code(Encounter.from_text("ASSESSMENT: Hypertension."))
        assert set(record.versions.adapters) == asking
        used = {step.step: step.notes["adapters"] for step in record.trace if "adapters" in step.notes}
        assert used
        assert all(names == [step_id] for step_id, names in used.items())
        model.requests.clear()
        program.normalise(["swollen heart"], kind=Kind.DIAGNOSIS, language="en")
        (step_id,) = (i for i, s in program.plan.steps if s.name == "standardise" and s.options.kind is Kind.DIAGNOSIS)  # type: ignore[attr-defined]
        assert {r.adapter for r in model.requests} == {step_id}


def test_backends_get_the_files(tmp_path: Path) -> None:
    (tmp_path / "script.json").write_text("[]")
    adapters = {"a": Adapter(tmp_path / "a.gguf")}
    with open_model(
        Settings(cache=tmp_path), path=tmp_path / "script.json", backend="scripted", adapters=adapters
    ) as m:
        assert m.adapters == ("a",)


# --------------------------------------------------------------------------------------------------------- the engine


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Adapter]:
    from tests.llm.test_adapters import write_adapter

    folder = tmp_path_factory.mktemp("adapters")
    paths = {name: write_adapter(folder / f"{name}.gguf", seed) for seed, name in enumerate("ab")}
    return {"a": Adapter(paths["a"]), "b": Adapter(paths["b"], activated=True), "unused": Adapter(paths["a"])}


@pytest.fixture
def opened(
    files: dict[str, Adapter], small_us: CodeBook, tmp_path: Path, asker: None
) -> Iterator[Callable[[Workflow], Coder]]:
    from tests.llm.conftest import SMALLEST, weights

    programs: list[Coder] = []

    def open_(workflow: Workflow) -> Coder:
        settings = Settings(cache=tmp_path, model=str(weights(SMALLEST)), context_tokens=512, threads=2)
        programs.append(Coder(settings, code_book=small_us, workflow=workflow, adapters=files))
        return programs[-1]

    yield open_
    for program in programs:
        program.close()


@pytest.mark.engine
def test_a_workflow_answers_as_the_engine_does_under_each_adapter(opened: Callable[[Workflow], Coder]) -> None:
    program = opened(flow("", 'adapter = "a"', 'adapter = "b"'))
    model = program.model
    assert isinstance(model, LlamaCpp)
    assert model.adapters == ("a", "b"), "what no step names is not loaded"
    note = "Record: " + "fever and cough for three days. " * 6
    record = program.code(Encounter.from_text(note))
    found = [step.notes["yes"] for step in record.trace]
    context = Context(note)
    alone = [model.choose(context, [QUESTION], adapter=name)[0].logprobs[0] for name in (None, "a", "b")]
    assert found == pytest.approx(alone, abs=1e-5)
    assert len({round(x, 3) for x in found}) == 3
    assert record.versions.adapters == {"a": model.adapter_version("a"), "b": model.adapter_version("b")}
    plain, activated = record.versions.adapters.values()
    assert len(plain) == 64
    assert activated.endswith(" activated")


@pytest.mark.engine
def test_an_unknown_adapter_is_refused_when_the_program_opens(opened: Callable[[Workflow], Coder]) -> None:
    with pytest.raises(WorkflowError, match=r"JC403.*absent"):
        opened(flow('adapter = "a"', 'adapter = "absent"'))


@pytest.mark.engine
def test_an_adapter_that_was_added_is_found_by_its_name(
    files: dict[str, Adapter], small_us: CodeBook, tmp_path: Path, asker: None
) -> None:
    from tests.cli.command import jointcoder
    from tests.llm.conftest import SMALLEST, weights

    (tmp_path / "models").mkdir()
    (tmp_path / "models" / f"{SMALLEST}.gguf").symlink_to(weights(SMALLEST))
    named = ("--adapter-of", SMALLEST, "--name", "mine", "--activated")
    added = jointcoder("models", "add", str(files["a"].path), *named, cache=tmp_path)
    assert added.returncode == 0, added.stderr
    settings = Settings(cache=tmp_path, model=SMALLEST, context_tokens=512, threads=2)
    with Coder(settings, code_book=small_us, workflow=flow('adapter = "mine"')) as program:
        record = program.code(Encounter.from_text("Record: fever."))
    assert record.versions.adapters["mine"].endswith(" activated")
    assert record.trace[0].notes["adapters"] == ["mine"]
