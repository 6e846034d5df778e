"""Results of nodes, kept by content: a node runs once for the same work, whichever workflows it stands in.

    memory = NodeMemory(Kept(folder, limit_bytes), surroundings={"model": …, "book": …})
    watch = Watch(memory, tools.count_tokens)
    plan = watch.over(check.plan(workflow))           # the same plan; its steps look here first
    …run it…
    watch.taken(encounter_id)                         # {step id: Passage}: key, reused or not, tokens, transcript

The key of a node covers its component and options, the encounter, and the content of every slot that it may read: so a
changed node makes only what lies below it run again, and only as far as what it writes differs. It covers also the
surroundings (model, code book, pack, the program's own source). A node that fails is not kept. Steps cannot tell
whether they were watched.

Tokens are counted in two ways side by side: *asked* is what the node asks for, as though nothing were kept anywhere;
*spent* is what reached the engine. In both a context counts once a node, since engines read it once for all questions
about it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from typing import Any, Protocol

from pydantic import BaseModel, TypeAdapter, ValidationError

from jointcoder.llm.base import Choice, Context, Generation
from jointcoder.records import Flag
from jointcoder.source import source_digest
from jointcoder.steps.base import SLOTS, Answers, Ask, Generate, Run, State, Step, Tools, Update
from jointcoder.workflow.check import Plan

FORMAT = 1  # of keys and kept values


class Keeper(Protocol):
    """Where values are kept by key: :class:`jointcoder.llm.cache.Store` fits."""

    def get(self, keys: Any, /) -> Mapping[bytes, Any]: ...
    def put(self, values: Mapping[bytes, Any], /) -> None: ...


@dataclass(frozen=True)
class Tokens:
    """Requests, tokens read and tokens written."""

    calls: int = 0
    read: int = 0
    written: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(self.calls + other.calls, self.read + other.read, self.written + other.written)

    @property
    def all(self) -> int:
        return self.read + self.written


@dataclass(frozen=True)
class Passage:
    """How an encounter passed a node. ``transcript``: every request and answer, the context by its hash; empty where
    the result was ``reused``; ``seconds``: what the node took when it ran."""

    key: str
    component: str
    reused: bool
    asked: Tokens = Tokens()
    spent: Tokens = Tokens()
    seconds: float = 0.0
    transcript: tuple[Mapping[str, Any], ...] = ()


class NodeMemory:
    """Kept updates of nodes. ``surroundings``: whatever besides plan and encounter decides a result."""

    def __init__(self, keeper: Keeper, *, surroundings: Mapping[str, Any]) -> None:
        self._keeper = keeper
        self._root = _digest({"format": FORMAT, "source": source_digest(), **surroundings})

    def key(self, step: Step, state: State, slots: Iterator[str]) -> str:
        """The key of ``step`` on ``state``, "" where the state holds something without a written form."""
        try:
            content = {slot: canonical(getattr(state, slot)) for slot in sorted(slots)}
            own = [self._root, step.name, step.options.model_dump(mode="json"), canonical(state.encounter), content]
        except TypeError:
            return ""
        return _digest(own)

    def get(self, key: str) -> tuple[Update, Tokens, float] | None:
        """What the node returned, what it asked for then, and the seconds it took."""
        found = self._keeper.get({bytes.fromhex(key)}) if key else {}
        for kept in found.values():
            try:
                return _update(kept), Tokens(*kept["asked"]), float(kept["seconds"])
            except (KeyError, TypeError, ValueError, ValidationError, ImportError, AttributeError):
                return None  # not what this program wrote
        return None

    def put(self, key: str, update: Update, asked: Tokens, seconds: float) -> None:
        """Keep an update, if it comes back as it was."""
        try:
            kept = {
                "values": {slot: _written(value) for slot, value in update.values.items()},
                "flags": [flag.model_dump(mode="json") for flag in update.flags],
                "notes": json.loads(json.dumps(dict(update.notes))),
                "asked": [asked.calls, asked.read, asked.written],
                "seconds": round(seconds, 4),
            }
            if key and _update(json.loads(json.dumps(kept))).values == dict(update.values):
                self._keeper.put({bytes.fromhex(key): kept})
        except (TypeError, ValueError, ValidationError, ImportError, AttributeError):
            return  # something that has no written form: the node runs again next time


@dataclass
class Watch:
    """Watches the steps of one workflow. ``memory`` None: everything runs, nothing is kept."""

    memory: NodeMemory | None
    count: Callable[[str], int]
    _passages: dict[str, dict[str, Passage]] = field(default_factory=dict)

    def over(self, plan: Plan) -> Plan:
        """The plan with every step watched."""
        specs = {spec.id: spec for spec in plan.workflow.step}
        steps = dict(plan.steps)
        watched = []
        for step_id, step in plan.steps:
            below = plan.workflow.ancestors(specs[step_id].id)
            slots = step.reads.union(*(steps[one].writes for one in below)) & SLOTS - {"encounter"}
            watched.append((step_id, Watched(step, step_id, frozenset(slots), self)))
        return replace(plan, steps=tuple(watched))

    def taken(self, encounter: str) -> dict[str, Passage]:
        """The passages of an encounter by step id, in order; forgotten here."""
        return self._passages.pop(encounter, {})

    def note(self, encounter: str, step_id: str, passage: Passage) -> None:
        self._passages.setdefault(encounter, {})[step_id] = passage


class Watched(Step):
    """A step that looks into the memory first, and writes down what it asks and hears."""

    def __init__(self, step: Step, step_id: str, slots: frozenset[str], watch: Watch) -> None:
        super().__init__(step.options)
        self._step, self._id, self._slots, self._watch = step, step_id, slots, watch
        self.name, self.purpose = step.name, step.purpose  # type: ignore[misc]  # of the class elsewhere

    @property
    def reads(self) -> frozenset[str]:
        return self._step.reads

    @property
    def writes(self) -> frozenset[str]:
        return self._step.writes

    @property
    def asks(self) -> bool:
        return self._step.asks

    def require(self, *, allow_python: bool) -> None:
        self._step.require(allow_python=allow_python)

    def run(self, state: State, tools: Tools) -> Run:
        memory, encounter = self._watch.memory, state.encounter.id
        key = memory.key(self._step, state, iter(self._slots)) if memory else ""
        if memory and (known := memory.get(key)) is not None:
            update, asked, seconds = known
            self._watch.note(encounter, self._id, Passage(key, self.name, True, asked, seconds=seconds))
            return update
        heard = _Heard(self._watch.count)
        going = self._step.run(state, tools)
        answers: Answers | None = None
        while True:
            try:
                ask = going.send(answers)  # type: ignore[arg-type]  # the first send of a generator is None
            except StopIteration as end:
                update = end.value or Update()
                break
            except BaseException:
                self._watch.note(encounter, self._id, heard.passage("", self.name))
                raise
            try:
                answers = yield ask
            except GeneratorExit:  # the model failed: the runner leaves the step where it is
                going.close()
                self._watch.note(encounter, self._id, heard.passage("", self.name))
                raise
            heard.add(ask, answers)
        if memory:
            memory.put(key, update, heard.asked, heard.seconds)
        self._watch.note(encounter, self._id, heard.passage(key, self.name))
        return update


class _Heard:
    """What a node asked and was answered, with the tokens of both counts."""

    def __init__(self, count: Callable[[str], int]) -> None:
        self._count = count
        self.asked, self.spent = Tokens(), Tokens()
        self._began = time.perf_counter()
        self._transcript: list[Mapping[str, Any]] = []
        self._read: dict[Context, set[str]] = {}

    def add(self, ask: Ask, answers: Answers) -> None:
        if isinstance(ask, Generate):
            for prompt, written in zip(ask.prompts, answers, strict=True):
                self._generated(prompt.context, f"{prompt.instruction}{prompt.opening}", written)
        else:
            for question, choice in zip(ask.questions, answers, strict=True):
                self._chosen(ask.context, question.text, choice)

    @property
    def seconds(self) -> float:
        """Since the node began, the model's time with it; notes pass one by one, so nothing else runs meanwhile."""
        return time.perf_counter() - self._began

    def passage(self, key: str, component: str) -> Passage:
        return Passage(key, component, False, self.asked, self.spent, self.seconds, tuple(self._transcript))

    def _generated(self, context: Context, own: str, answer: Generation) -> None:
        kept = _is_kept(answer)
        times = 2 if answer.repaired else 1
        self._counted(context, times * self._count(own), self._count(answer.text), times, kept=kept)
        line = {"ask": "generate", "context": _context_id(context), "prompt": own, "answer": answer.text}
        self._transcript.append({**line, "error": answer.error or "", "kept": kept})

    def _chosen(self, context: Context, own: str, choice: Choice) -> None:
        kept = _is_kept(choice)
        self._counted(context, self._count(own), 0, 1, kept=kept)
        scores = dict(zip(choice.options, (round(value, 3) for value in choice.logprobs), strict=True))
        line = {"ask": "choose", "context": _context_id(context), "prompt": own, "answer": choice.best}
        self._transcript.append({**line, "scores": scores, "kept": kept})

    def _counted(self, context: Context, own: int, written: int, calls: int, *, kept: bool) -> None:
        self.asked += Tokens(calls, own + self._once(context, "asked"), written)
        if not kept:
            self.spent += Tokens(calls, own + self._once(context, "spent"), written)

    def _once(self, context: Context, account: str) -> int:
        """The context's tokens, at its first request on that account."""
        paid = self._read.setdefault(context, set())
        if account in paid:
            return 0
        paid.add(account)
        return self._count(context.system) + self._count(context.text)


def _is_kept(answer: Generation | Choice) -> bool:
    """Whether an answer came from the completion cache: an engine decodes one token of a prompt at least."""
    usage = answer.usage
    return usage.prompt_tokens > 0 and usage.reused_tokens == usage.prompt_tokens and not usage.generated_tokens


def _context_id(context: Context) -> str:
    return _digest([context.system, context.text])[:16]


# ------------------------------------------------------------------------------------------------- written forms


def canonical(value: Any) -> Any:
    """A value of the state as JSON that is equal exactly where the values are. TypeError for what has no such form."""
    if value is None or isinstance(value, (str, int, float)):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__name__, [canonical(getattr(value, one.name)) for one in fields(value)]]
    if isinstance(value, Mapping):
        return [[canonical(key), canonical(item)] for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [canonical(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((canonical(item) for item in value), key=json.dumps)
    if isinstance(value, (dt.date, dt.datetime)):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no written form")


def _written(value: Any) -> Any:
    """A slot's value with the types of its items."""
    if isinstance(value, tuple):
        return {"items": [_written(item) for item in value]}
    if isinstance(value, BaseModel) or (is_dataclass(value) and not isinstance(value, type)):
        kind = type(value)
        plain = _adapter(kind).dump_python(value, mode="json")
        return {"type": f"{kind.__module__}:{kind.__qualname__}", "json": plain}
    if isinstance(value, str):
        return {"text": value}
    raise TypeError(f"{type(value).__name__} has no written form")


def _read(kept: Mapping[str, Any]) -> Any:
    if "items" in kept:
        return tuple(_read(item) for item in kept["items"])
    if "text" in kept:
        return str(kept["text"])
    module, _, name = str(kept["type"]).partition(":")
    if not module.startswith("jointcoder."):
        raise TypeError("not a type of this program")
    return _adapter(getattr(importlib.import_module(module), name)).validate_json(json.dumps(kept["json"]))


def _update(kept: Mapping[str, Any]) -> Update:
    values = {slot: _read(value) for slot, value in kept["values"].items()}
    return Update(values, tuple(Flag.model_validate(flag) for flag in kept["flags"]), dict(kept["notes"]))


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def _adapter(kind: type) -> TypeAdapter[Any]:
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def _digest(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
