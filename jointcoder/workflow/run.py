"""Runs a checked workflow over encounters: stage by stage, with a trace, a cost account and errors kept apart.

All encounters of a batch pass one step before the next step begins, so that requests which share a model setting
meet (generation prompts of the whole batch go to the engine in one call, those of an adapter together). A step that
fails on one encounter leaves a flag (JC406 or the error's own code) on that record and its state as it was; an input
that is unfit (InputError) stops that record; the others go on in both cases.
Knows nothing of what steps do, nor of files.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from jointcoder.errors import InputError, JointCoderError, ModelError, WorkflowError
from jointcoder.llm.base import LanguageModel, Usage
from jointcoder.records import Cost, Encounter, Flag, StepTrace
from jointcoder.steps.base import CODE_SLOTS, Answers, Ask, Choose, Generate, Run, State, Step, Tools, Update
from jointcoder.workflow.check import Plan, require_needs

T = TypeVar("T")
log = logging.getLogger(__name__)

Observer = Callable[[State, StepTrace], None]  # called as each step of each encounter ends, with what it left behind


@dataclass
class _Way:
    """One encounter on its way: its state, its trace, and the generator of the step it is in, whose asks go under
    ``adapter`` where they name none; ``used`` are the adapters asked so far in the step."""

    state: State
    trace: list[StepTrace] = field(default_factory=list)
    run: Run | None = None
    ask: Ask | None = None
    adapter: str | None = None
    used: set[str] = field(default_factory=set)
    cost: Cost = field(default_factory=Cost)
    update: Update | None = None
    stopped: JointCoderError | None = None


@dataclass(frozen=True)
class Outcome:
    """Where an encounter arrived, and what the way cost. ``error``: the input was unfit and coding stopped."""

    state: State
    trace: tuple[StepTrace, ...]
    error: JointCoderError | None = None

    @property
    def cost(self) -> Cost:
        return sum((step.cost for step in self.trace), Cost())


def run(
    plan: Plan,
    encounters: Sequence[Encounter],
    tools: Tools,
    model: LanguageModel | None,
    *,
    observer: Observer | None = None,
) -> list[Outcome]:
    """One outcome per encounter, in order. Raises WorkflowError JC403 if the workflow needs what is not there: a model,
    its adapters, a code system, a pack."""
    require_needs(plan, tools, model)
    ways = [_Way(State(encounter)) for encounter in encounters]
    for step_id, step in plan.steps:
        going = [way for way in ways if way.stopped is None]
        for way in going:
            _begin(way, step_id, step, tools)
        while waiting := [way for way in going if way.ask is not None]:
            _answer(waiting, step_id, model)
        for way in going:
            _finish(way, step_id, step)
            _check_language(way, step_id, plan)
            if observer:
                observer(way.state, way.trace[-1])
    return [Outcome(way.state, tuple(way.trace), way.stopped) for way in ways]


def reply(ask: Ask, model: LanguageModel | None) -> Answers:
    """What the model says to one ask. Raises WorkflowError JC403 without a model, ModelError as the model does."""
    if model is None:
        raise WorkflowError("JC403", "this needs a model", hint="run `jointcoder setup`")
    if isinstance(ask, Generate):
        return list(model.generate(ask.prompts, ask.schema, max_tokens=ask.max_tokens, adapter=ask.adapter))
    return list(model.choose(ask.context, ask.questions, adapter=ask.adapter))


def answer(asking: Generator[Ask, Answers, T], model: LanguageModel | None, *, adapter: str = "") -> T:
    """Drive one generator of asks to its end outside a workflow, under ``adapter`` where they name none."""
    try:
        ask = next(asking)
        while True:
            ask = asking.send(reply(_under(ask, adapter or None), model))
    except StopIteration as end:
        result: T = end.value
        return result


def _under(ask: Ask, adapter: str | None) -> Ask:
    return replace(ask, adapter=adapter) if ask.adapter is None and adapter is not None else ask


def _begin(way: _Way, step_id: str, step: Step, tools: Tools) -> None:
    way.cost, way.update = Cost(), None
    way.adapter, way.used = step.options.adapter or None, set()
    way.run = step.run(way.state, tools)
    _advance(way, step_id, None)


def _advance(way: _Way, step_id: str, answers: Answers | None) -> None:
    """Resume the step's generator until its next ask or its end; a failure becomes a flag."""
    assert way.run is not None
    began = time.perf_counter()
    try:
        ask = way.run.send(answers)  # type: ignore[arg-type]  # the first send of a generator is None
        way.ask = _under(ask, way.adapter)
        way.used |= {way.ask.adapter} if way.ask.adapter is not None else set()
    except StopIteration as end:
        way.ask, way.update = None, end.value
    except InputError as error:
        way.stopped = error
        _fail(way, Flag(code=error.code, step=step_id, message=error.message))
    except JointCoderError as error:
        _fail(way, Flag(code=error.code, step=step_id, message=error.message))
    except Exception as error:
        # The text of a foreign exception may quote the note: only its type and place are kept.
        log.error("step %s failed on a record: %s", step_id, type(error).__name__)
        log.debug("step %s failed", step_id, exc_info=True)
        place = error.__traceback__
        while place and place.tb_next:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place else "?"
        _fail(way, Flag(code="JC406", step=step_id, message=f"{type(error).__name__} in {where}"))
    way.cost += Cost(seconds=time.perf_counter() - began)


def _fail(way: _Way, flag: Flag) -> None:
    way.ask, way.update = None, Update(flags=(flag,))


def _answer(waiting: list[_Way], step_id: str, model: LanguageModel | None) -> None:
    """Answer the open asks of all encounters: those of one kind and adapter in one call."""
    groups: dict[Any, list[_Way]] = {}
    for way in waiting:
        ask = way.ask
        kind = (repr(ask.schema), ask.max_tokens) if isinstance(ask, Generate) else "choose"
        adapter = ask.adapter if ask is not None else None
        groups.setdefault((kind, adapter), []).append(way)
    for group in groups.values():
        if len(group) == 1 or not _together(group, step_id, model):
            # One request too long must not fail its neighbours: ask one encounter at a time.
            for way in group:
                _ask(way, step_id, model)


def _together(group: list[_Way], step_id: str, model: LanguageModel | None) -> bool:
    """All requests of a group in one call; False if the model refused them together."""
    began = time.perf_counter()
    try:
        answers = _replies([way.ask for way in group if way.ask is not None], model)
    except ModelError:
        return False
    seconds = (time.perf_counter() - began) / max(1, sum(map(len, answers)))
    for way, own in zip(group, answers, strict=True):
        way.cost += _cost_of(own, seconds * len(own))
        _advance(way, step_id, own)
    return True


def _replies(asks: Sequence[Ask], model: LanguageModel | None) -> list[Answers]:
    """The answers to several asks of one kind and adapter. Raises as :func:`reply` does."""
    written = [ask for ask in asks if isinstance(ask, Generate)]
    if written:
        answers = reply(replace(written[0], prompts=[prompt for ask in written for prompt in ask.prompts]), model)
        rest = iter(answers)
        return [[next(rest) for _ in ask.prompts] for ask in written]
    if model is None:
        raise WorkflowError("JC403", "this needs a model", hint="run `jointcoder setup`")
    chosen = [(ask.context, ask.questions) for ask in asks if isinstance(ask, Choose)]
    return [list(choices) for choices in model.choose_all(chosen, adapter=asks[0].adapter)]


def _ask(way: _Way, step_id: str, model: LanguageModel | None) -> None:
    assert way.ask is not None
    began = time.perf_counter()
    try:
        answers = reply(way.ask, model)
    except JointCoderError as error:
        _fail(way, Flag(code=error.code, step=step_id, message=error.message))
        return
    way.cost += _cost_of(answers, time.perf_counter() - began)
    _advance(way, step_id, answers)


def _cost_of(answers: Sequence[Any], seconds: float) -> Cost:
    usage = sum((answer.usage for answer in answers), Usage())
    return Cost(
        seconds=seconds,
        calls=len(answers),
        prompt_tokens=usage.prompt_tokens,
        reused_tokens=usage.reused_tokens,
        generated_tokens=usage.generated_tokens,
    )


def _finish(way: _Way, step_id: str, step: Step) -> None:
    update = way.update or Update()
    if undeclared := set(update.values) - step.writes:
        raise WorkflowError("JC405", f"step {step_id} wrote {', '.join(sorted(undeclared))} without declaring it")
    before, way.state = way.state, way.state.updated(update)
    way.trace.append(
        StepTrace(
            step=step_id,
            component=step.name,
            cost=way.cost,
            read={slot: _count(getattr(before, slot)) for slot in sorted(step.reads - {"encounter"})},
            wrote={slot: _count(value) for slot, value in update.values.items()},
            notes={**update.notes, **_codes_written(update), **({"adapters": sorted(way.used)} if way.used else {})},
        )
    )
    way.run = None


def _codes_written(update: Update) -> dict[str, Any]:
    """The codes as a step left them, so that each stage's recall and precision can be measured."""
    slots = [slot for slot in CODE_SLOTS.values() if slot in update.values]
    codes = [[code.system, code.code] for slot in slots for code in update.values[slot]]
    return {"codes": codes} if slots else {}


def _check_language(way: _Way, step_id: str, plan: Plan) -> None:
    """Stop a record in a language that the workflow is not made for."""
    languages, language = plan.workflow.needs.languages, way.state.language
    if language and languages and language not in languages and way.stopped is None:
        message = f"workflow {plan.workflow.name!r} is made for {', '.join(languages)}, the record is in {language!r}"
        way.stopped = WorkflowError("JC403", message)
        way.state = way.state.updated(Update(flags=(Flag(code="JC403", step=step_id, message=message),)))


def _count(value: Any) -> int:
    return len(value) if isinstance(value, (tuple, list, dict)) else int(bool(value))
