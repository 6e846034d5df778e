"""The in-process backend: llama.cpp, one prefill of the context, requests as branches of the same cache.

    prefix (kept) ──┬── question 1 ── answer
                    ├── question 2 ── answer      decoded together, in waves that fit the cache
                    └── …

Log-probabilities equal those of one full prompt at a time (``benchmarks/choose.py`` prints the difference;
engine.py says how). Accounting: each request's ``prompt_tokens`` are all its tokens; ``reused_tokens`` those it
did not have to decode, so the first request of a context carries its prefill. One thread at a time: a second one
is refused. Plain adapters act on the whole request, activated ones behind the prefix, which all agents then share
(adapters.py). This module knows nothing of codes or steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from jointcoder.errors import ModelError
from jointcoder.llm.adapters import Adapter
from jointcoder.llm.base import (
    Choice,
    Context,
    Generation,
    LanguageModel,
    ModelInfo,
    Progress,
    Prompt,
    Question,
    Schema,
    Usage,
)
from jointcoder.llm.branches import FILLER, Branch, check_room, waves
from jointcoder.llm.options import EngineOptions, usable_cores

if TYPE_CHECKING:
    from jointcoder.llm.answer import Answer
    from jointcoder.llm.copying import Copying
    from jointcoder.llm.engine import Row
    from jointcoder.llm.load import Opening
    from jointcoder.llm.scoring import Scores


class LlamaCpp(LanguageModel):
    """A GGUF model in this process.

    ``context_tokens`` bounds one request and the whole cache. ``adapters``: names and LoRA files (GGUF), plain ones
    unless said otherwise. Raises AssetError JC201 (no such file), ModelError JC301 (cannot be loaded), JC303 (engine
    not installed).
    """

    def __init__(
        self,
        path: Path | str,
        *,
        name: str | None = None,
        sha256: str = "",
        context_tokens: int = 8192,
        threads: int | None = None,
        gpu_layers: int = 0,
        options: EngineOptions | None = None,
        adapters: Mapping[str, Path | Adapter] | None = None,
    ) -> None:
        from jointcoder.llm.chat import Chat
        from jointcoder.llm.copying import Pieces
        from jointcoder.llm.engine import Engine
        from jointcoder.llm.prefixes import Prefixes

        path = Path(path)
        self.options = options or EngineOptions()
        self._engine = engine = Engine(
            path,
            context_tokens=context_tokens,
            options=self.options,
            gpu_layers=gpu_layers,
            threads=threads or self.options.threads or usable_cores(),
        )
        self._chat = Chat(
            engine,
            template=engine.metadata("tokenizer.chat_template"),
            bos=engine.special("bos"),
            eos=engine.special("eos"),
        )
        self._prefixes = Prefixes(engine)
        self._pieces = Pieces(engine.piece, engine.vocabulary)
        self._lock = threading.Lock()
        files = {n: a if isinstance(a, Adapter) else Adapter(a) for n, a in (adapters or {}).items()}
        engine.load_adapters(files)
        versions = {"adapters": {n: adapter.version() for n, adapter in files.items()}} if files else {}
        self.info = ModelInfo(name or path.stem, sha256, context_tokens, engine.facts() | versions)

    @classmethod
    def open(cls, opening: Opening) -> Self:
        """Open as the settings ask; see :func:`jointcoder.llm.load.open_model`."""
        return cls(
            opening.path,
            name=opening.name,
            sha256=opening.sha256,
            context_tokens=opening.context_tokens,
            threads=opening.threads,
            gpu_layers=opening.gpu_layers,
            options=opening.options,
            adapters=opening.adapters,
        )

    @property
    def adapters(self) -> tuple[str, ...]:
        return tuple(self.info.facts.get("adapters", ()))

    def count_tokens(self, text: str) -> int:
        with self._alone():
            return len(self._engine.tokenize(text))

    def close(self) -> None:
        self._engine.close()

    # ----------------------------------------------------------------------------------------------- generate

    def _complete(
        self,
        prompts: Sequence[Prompt],
        schema: Schema | None,
        max_tokens: int,
        adapter: str | None,
        progress: Progress | None,
    ) -> list[Generation]:
        from jointcoder.llm.copying import held
        from jointcoder.llm.grammar import gbnf

        if max_tokens < 1:
            raise ValueError("max_tokens must be positive")
        grammar = None if schema is None else gbnf(schema)
        copying = held(schema, [prompt.context.text for prompt in prompts])
        with self._alone():
            prefix = self._grouped([prompt.context for prompt in prompts])
            branches = [
                Branch(i, *prefix[i], *self._split(adapter, p.context, p.instruction, p.opening), max_tokens)
                for i, p in enumerate(prompts)
            ]
            check_room(branches, self.info.context_tokens)
            results: dict[int, Generation] = {}
            with self._decoding():
                for wave in self._waves(branches, self.options.parallel):
                    results |= self._write(wave, prompts, grammar, copying, max_tokens, adapter, progress, len(results))
                    self._clear_branches()
        return [results[i] for i in range(len(prompts))]

    def _write(
        self,
        wave: list[Branch],
        prompts: Sequence[Prompt],
        grammar: str | None,
        copying: Sequence[Copying | None],
        max_tokens: int,
        adapter: str | None,
        progress: Progress | None,
        done: int,
    ) -> dict[int, Generation]:
        from jointcoder.llm.answer import Answer
        from jointcoder.llm.engine import FEWEST, WRITING, Run

        answers: list[Answer] = []
        try:
            for branch in wave:
                opening = prompts[branch.index].opening
                answers.append(
                    Answer(
                        self._engine,
                        opening=opening,
                        grammar=grammar,
                        max_tokens=max_tokens,
                        copying=copying[branch.index],
                        pieces=self._pieces,
                    )
                )

            def tell() -> None:
                if progress is not None:
                    progress(done + sum(answer.done for answer in answers), len(prompts))

            reused = self._branch(wave, adapter, tell)
            following: list[int | None] = [None] * len(wave)
            order = list(range(len(wave)))

            def take(run: int, offset: int, row: Row) -> None:
                i = order[run]
                following[i] = answers[i].step(row)
                if answers[i].done:
                    self._engine.remove(wave[i].sequence)

            runs = [Run(b.sequence, b.start, b.suffix, "last") for b in wave]
            while runs:
                reading = runs[0].start == wave[order[0]].start
                self._engine.decode(runs, fill=FEWEST if reading else WRITING, on_logits=take, between=tell)
                order, runs = [], []
                for i, branch in enumerate(wave):
                    token = following[i]
                    if token is not None and not answers[i].done:
                        position = branch.start + len(branch.suffix) + answers[i].tokens - 1
                        order.append(i)
                        runs.append(Run(branch.sequence, position, [token], "last"))
        finally:
            for answer in answers:
                answer.close()
        return {
            branch.index: Generation(
                text=answer.text,
                finished=answer.finished,
                usage=Usage(branch.tokens, kept, answer.tokens),
            )
            for branch, answer, kept in zip(wave, answers, reused, strict=True)
        }

    # ------------------------------------------------------------------------------------------------- choose

    def choose_all(
        self,
        asks: Sequence[tuple[Context, Sequence[Question]]],
        *,
        adapter: str | None = None,
        progress: Progress | None = None,
    ) -> list[list[Choice]]:
        pairs = [(context, question) for context, questions in asks for question in questions]
        choices = iter(self._score_pairs(pairs, adapter, progress) if pairs else ())
        return [[next(choices) for _ in questions] for _, questions in asks]

    def _score(
        self, context: Context, questions: Sequence[Question], adapter: str | None, progress: Progress | None
    ) -> list[Choice]:
        return self._score_pairs([(context, question) for question in questions], adapter, progress)

    def _score_pairs(
        self, pairs: Sequence[tuple[Context, Question]], adapter: str | None, progress: Progress | None
    ) -> list[Choice]:
        from jointcoder.llm.scoring import Scores

        with self._alone():
            prefix = self._grouped([context for context, _ in pairs])
            scores = [Scores(self._engine, question.options) for _, question in pairs]
            branches = [
                Branch(i, *prefix[i], *self._split(adapter, context, question.text), scores[i].longest)
                for i, (context, question) in enumerate(pairs)
            ]
            check_room(branches, self.info.context_tokens)
            # Options of several tokens are branches of their question's branch: keep sequences for them.
            most = self.options.parallel // (2 if any(score.forced for score in scores) else 1)
            reused: dict[int, int] = {}

            def tell() -> None:
                if progress is not None:
                    progress(len(reused), len(pairs))

            with self._decoding():
                for wave in self._waves(branches, most):
                    counts = self._branch(wave, adapter, tell)
                    self._read(wave, scores, tell)
                    self._clear_branches()
                    reused.update((b.index, count) for b, count in zip(wave, counts, strict=True))
                    tell()
        return [
            Choice(question.options, *score.result(), Usage(branch.tokens, reused[branch.index], 0))
            for (_, question), branch, score in zip(pairs, branches, scores, strict=True)
        ]

    def _read(self, wave: list[Branch], scores: list[Scores], tell: Callable[[], None]) -> None:
        """The first token of every option from its question's last row; longer options by teacher forcing."""
        from jointcoder.llm.engine import Run

        engine = self._engine
        runs = [Run(b.sequence, b.start, b.suffix, "last") for b in wave]
        engine.decode(runs, on_logits=lambda run, _, row: scores[wave[run].index].first(row), between=tell)
        pending = [(b, option) for b in wave for option in scores[b.index].forced]
        spare = self._sequences[len(wave) :]
        room = sum(b.room for b in wave)
        while pending:
            part: list[tuple[Branch, int]] = []
            while pending and len(part) < len(spare):
                branch, option = pending[0]
                room_left = room - sum(len(scores[b.index].forcing(o)) for b, o in part)
                if part and len(scores[branch.index].forcing(option)) > room_left:
                    break
                part.append(pending.pop(0))
            self._force(part, spare, scores, tell)

    def _force(
        self,
        part: list[tuple[Branch, int]],
        spare: Sequence[int],
        scores: list[Scores],
        tell: Callable[[], None],
    ) -> None:
        from jointcoder.llm.engine import Run

        runs = []
        for sequence, (branch, option) in zip(spare, part, strict=False):
            end = branch.start + len(branch.suffix)
            self._engine.copy(branch.sequence, sequence, end)
            runs.append(Run(sequence, end, scores[branch.index].forcing(option), "all"))

        def take(run: int, offset: int, row: Row) -> None:
            branch, option = part[run]
            scores[branch.index].further(option, offset, row)

        self._engine.decode(runs, on_logits=take, between=tell)
        for run in runs:
            self._engine.remove(run.sequence)

    # -------------------------------------------------------------------------------------------- waves, guards

    def _grouped(self, contexts: Sequence[Context]) -> list[tuple[int, list[int]]]:
        """For each context its group and prefix; each different context is split into tokens once."""
        groups: dict[Context, tuple[int, list[int]]] = {}
        for context in contexts:
            if context not in groups:
                groups[context] = len(groups), self._chat.prefix(context)
        return [groups[context] for context in contexts]

    def _waves(self, branches: Sequence[Branch], most: int) -> Iterator[list[Branch]]:
        room = self._engine.cells - FILLER
        return waves(branches, most=most, prefixes=self._prefixes.limit, room=room)

    def _branch(self, wave: Sequence[Branch], adapter: str | None, tell: Callable[[], None]) -> list[int]:
        """Prefill the wave's prefixes where they are not kept, start a branch for each request on them, and apply the
        adapter to what follows.

        Returns how many of each request's tokens need not be decoded: of a context's first request those that
        were kept before, of the others the whole prefix.
        """
        from jointcoder.llm.engine import Run

        base = adapter if self._engine.activation(adapter).plain else None
        distinct = {branch.group: branch.prefix for branch in wave}
        room = sum(branch.cells for branch in wave) + FILLER
        self._engine.use_adapter(base)
        self._prefixes.reserve(base, list(distinct.values()), room)
        homes: dict[int, int] = {}
        reused = []
        for i, branch in enumerate(wave):
            branch.sequence, branch.start = self._prefixes.limit + i, len(branch.prefix)
            if branch.group not in homes:
                kept = self._prefixes.hold(base, branch.prefix, between=tell)
                homes[branch.group] = kept.sequence
                reused.append(kept.reused)
            else:
                reused.append(len(branch.prefix))
            self._engine.copy(homes[branch.group], branch.sequence, branch.start)
        if leads := [Run(branch.sequence, branch.start, branch.lead) for branch in wave if branch.lead]:
            self._engine.decode(leads, between=tell)
            for branch in wave:
                branch.start += len(branch.lead)
        self._engine.use_adapter(adapter)
        return reused

    def _split(
        self, adapter: str | None, context: Context, instruction: str, opening: str = ""
    ) -> tuple[list[int], list[int]]:
        """The request's own tokens: those the base model reads, and those the adapter reads."""
        suffix = self._chat.suffix(context, instruction, opening)
        return self._engine.activation(adapter).split(suffix, adapter=adapter or "")

    @property
    def _sequences(self) -> range:
        """The branches' sequences."""
        return range(self._prefixes.limit, self._prefixes.limit + self.options.parallel)

    def _clear_branches(self) -> None:
        for sequence in self._sequences:
            self._engine.remove(sequence)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            raise ModelError("JC305", "the model is in use by another thread", hint="open one model per thread")
        try:
            if self._engine.closed:
                raise ModelError("JC305", "the model was closed")
            yield
        finally:
            self._lock.release()

    @contextmanager
    def _decoding(self) -> Iterator[None]:
        """Whatever goes wrong inside (Ctrl-C too), leave the engine empty and usable."""
        try:
            yield
        except BaseException:
            self._prefixes.forget()
            raise
