"""The program on one page: code book, model and workflow opened; ``code(encounter) -> CodedRecord``.

>>> from jointcoder import Coder, Encounter                                   # doctest: +SKIP
>>> record = Coder().code(Encounter.from_text("Discharge diagnosis: acute appendicitis."))   # doctest: +SKIP
>>> [(code.code, code.confidence) for code in record.codes]                   # doctest: +SKIP

Then read ``workflow/library/jointcoder.toml``, ``steps/*`` in the order of the flow, and ``codebook/book.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from itertools import islice
from typing import Self

from jointcoder import __version__
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.editions import Editions, covers
from jointcoder.codebook.lookup import Lookup
from jointcoder.errors import UsageError, WorkflowError, name_list
from jointcoder.llm.adapters import Adapter
from jointcoder.llm.base import LanguageModel
from jointcoder.llm.load import cached, needs_file, open_model
from jointcoder.packs.pack import Pack, packs_in, places
from jointcoder.records import CodedRecord, Encounter, Flag, Kind, Mention, Span, System, Versions
from jointcoder.settings import Settings
from jointcoder.steps.base import Step, Tools, edition_date, validity_date
from jointcoder.steps.prompting import Prompts
from jointcoder.steps.runon import listed
from jointcoder.steps.standardise import StandardiseOptions, Term, choose_entries
from jointcoder.steps.taught import part_of
from jointcoder.workflow.check import Plan, plan, require_adapters, require_allowed
from jointcoder.workflow.run import Observer, Outcome, answer, run
from jointcoder.workflow.spec import Workflow, load_workflow


class Coder:
    """Codes encounters with one model, one workflow and the code book of the day. Not for use by two threads at once.

    ``model``, ``code_book`` and ``workflow`` take an object or a name (a path works too); by default what the
    settings name. Where no book is named, or several as Editions, an encounter is coded by that of its discharge date.
    ``systems`` restricts the code systems to assign. ``pack``, what coded history taught, is an object, a name or a
    folder, by default what settings or workflow name. The model is opened only if the workflow asks for one, with
    those of the ``adapters`` (name → file) that the workflow names. Raises AssetError (JC2xx) where one is missing,
    WorkflowError (JC4xx) where the workflow does not fit.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        model: LanguageModel | str | None = None,
        code_book: CodeBook | Editions | str | None = None,
        workflow: Workflow | str | None = None,
        systems: Sequence[System] | None = None,
        adapters: Mapping[str, Adapter] | None = None,
        pack: Pack | str | None = None,
    ) -> None:
        self.settings = settings or Settings.load()
        named = workflow if workflow is not None else self.settings.workflow
        self.workflow = named if isinstance(named, Workflow) else load_workflow(named)
        self.plan: Plan = plan(self.workflow)
        require_allowed(self.plan, allow_python=self.settings.allow_python)
        if isinstance(code_book, Editions):
            self.editions = code_book
        elif isinstance(code_book, CodeBook):
            self.editions = Editions([code_book])
        else:
            self.editions = Editions.open(self.settings, code_book)
        self.systems = self._systems(systems)
        self.pack = self._open_pack(pack)
        self._tools: dict[str, Tools] = {}
        if isinstance(model, LanguageModel):
            self.model: LanguageModel | None = model
        else:
            self.model = self._open_model(model, adapters or {}) if self.plan.asks else None

    # ---------------------------------------------------------------------------------------------------- coding

    def code(self, encounter: Encounter, *, observer: Observer | None = None) -> CodedRecord:
        """One encounter in, one coded record out. Raises InputError where the encounter itself is unfit."""
        (outcome,) = run(self.plan, [encounter], self._tools_of(self.book_of(encounter)), self.model, observer=observer)
        if outcome.error:
            raise outcome.error
        return self._record(outcome)

    def code_many(
        self,
        encounters: Iterable[Encounter],
        *,
        progress: Callable[[int], None] | None = None,
        batch: int = 1,
    ) -> Iterator[CodedRecord]:
        """Coded records in order, one for every encounter: an unfit one gives a record with flags and no codes.

        ``batch`` encounters pass each stage together. ``progress`` is called with the number just finished.
        """
        source = iter(encounters)
        while group := list(islice(source, batch)):
            for outcome in self._run(group):
                yield self._record(outcome)
                if progress:
                    progress(1)

    def normalise(
        self, terms: Sequence[str], *, kind: Kind, language: str, progress: Callable[[int], None] | None = None
    ) -> list[list[tuple[str, str]]]:
        """Each term's (name, code) pairs, most sure first, by the standardise stage alone: as a pack learnt it, where
        one is in use that learnt from term pairs, else by lookup. A term that lists several things gives one pair for
        each.
        """
        step = next((s for _, s in self.plan.steps if s.name == "standardise" and _kind_of(s) is kind), None)
        options = step.options if step else StandardiseOptions(kind=kind)
        assert isinstance(options, StandardiseOptions)
        system = self.tools.system(kind)
        learnt = part_of(self.tools, system) is not None  # such a part divides terms itself
        asked = []
        for number, term in enumerate(terms):
            places = () if learnt else listed(term, language, self.tools, system)
            items = [term[start:end] for start, end in places] or [term]
            asked += [(number, _bare(item, kind)) for item in items]
        chosen = answer(
            choose_entries([one for _, one in asked], self.tools, language, options, None),
            self.model,
            adapter=options.adapter,
        )
        of_term = {id(one): number for number, one in asked}
        results: list[dict[tuple[str, str], None]] = [{} for _ in terms]
        for choice in chosen:
            if choice.hit:
                results[of_term[id(choice.term)]][choice.hit.name, choice.hit.code] = None
        if progress:
            progress(len(terms))
        return [list(pairs) for pairs in results]

    def running(self, plan: Plan) -> Self:
        """The same books, model and pack under another checked workflow. They stay this coder's: it is this one that is
        closed. Raises WorkflowError where a pack is missing or not for this workflow (JC403), or a step not allowed."""
        other = copy(self)
        other.workflow, other.plan = plan.workflow, plan
        require_allowed(plan, allow_python=self.settings.allow_python)
        if plan.learns and other.pack is None:
            raise WorkflowError("JC403", f"workflow {plan.workflow.name!r} needs a learned pack")
        if other.pack is not None:
            other.pack = other._fitting(other.pack)
        return other

    # ------------------------------------------------------------------------------------------------- what it uses

    @property
    def book(self) -> CodeBook:
        """The main code book: the one named, else the newest edition."""
        return self.editions.main

    def book_of(self, encounter: Encounter) -> CodeBook:
        """The code book whose edition is in force on the encounter's date."""
        return self.editions.on(edition_date(encounter))

    def is_assignable(self, encounter: Encounter, system: System, code: str) -> bool:
        """Whether the code may leave for this encounter: valid on its date (without one, on that of the edition which
        the pack was taught), or a heading of the edition where a pack is in use whose training data code headings
        (such records carry the flag JC505)."""
        book = self.book_of(encounter)
        if book.is_valid(system, code, validity_date(encounter, self.pack)):
            return True
        return self.pack is not None and self.pack.info.headings and book.is_stem(system, code)

    def tools_for(self, encounter: Encounter) -> Tools:
        """What the steps may use for this encounter: the tools with the code book of its date."""
        return self._tools_of(self.book_of(encounter))

    @property
    def tools(self) -> Tools:
        """What the steps may use, with the main code book."""
        return self._tools_of(self.book)

    @property
    def versions(self) -> Versions:
        """What produces the records, by name and hash, with the main code book."""
        return self._versions(self.book)

    def versions_for(self, encounter: Encounter) -> Versions:
        """What would produce this encounter's record, with the code book of its date."""
        return self._versions(self.book_of(encounter))

    def close(self) -> None:
        """Free the model."""
        if self.model is not None:
            self.model.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _run(self, group: Sequence[Encounter]) -> list[Outcome]:
        """Outcomes in the order of ``group``; the encounters of one edition pass the stages together."""
        books = [self.book_of(encounter) for encounter in group]
        outcomes: dict[int, Outcome] = {}
        for book in dict.fromkeys(books):
            places = [place for place, other in enumerate(books) if other is book]
            done = run(self.plan, [group[place] for place in places], self._tools_of(book), self.model)
            outcomes.update(zip(places, done, strict=True))
        return [outcomes[place] for place in range(len(group))]

    def _tools_of(self, book: CodeBook) -> Tools:
        if book.info.id not in self._tools:
            known: dict[str, Prompts] = {}
            model = self.model
            self._tools[book.info.id] = Tools(
                book=book,
                lookup=Lookup(book, dense=self.settings.dense),
                prompts=lambda language: known.get(language) or known.setdefault(language, Prompts(language)),
                count_tokens=model.count_tokens if model else guessed_tokens,
                context_tokens=model.info.context_tokens if model else self.settings.context_tokens,
                systems=self.systems,
                pack=self.pack,
                allow_python=self.settings.allow_python,
            )
        return self._tools[book.info.id]

    def _versions(self, book: CodeBook) -> Versions:
        model = self.model if self.plan.asks else None
        info = model.info if model else None
        return Versions(
            program=__version__,
            workflow=self.workflow.name,
            workflow_hash=self.workflow.hash,
            model=info.name if info else "",
            model_hash=info.sha256 if info else "",
            adapters={name: model.adapter_version(name) for name in self.plan.adapters} if model else {},
            code_book=book.info.id,
            code_book_hash=book.info.sha256,
            edition=book.info.edition,
            search=self._tools_of(book).lookup.way,
            pack=self.pack.version if self.pack else "",
        )

    def _systems(self, wanted: Sequence[System] | None) -> tuple[System, ...]:
        offered = tuple(self.book.info.systems)
        if missing := [system for system in wanted or () if system not in offered]:
            raise UsageError(
                "JC001",
                f"code book {self.book.info.id} does not hold {name_list(missing)}",
                hint=f"it holds {name_list(offered)}",
            )
        return tuple(wanted) if wanted else offered

    def _open_pack(self, named: Pack | str | None) -> Pack | None:
        if isinstance(named, Pack):
            return self._fitting(named)
        name = named or self.settings.pack or self.plan.pack
        if name:
            return self._fitting(Pack.find(self.settings, name))
        if self.plan.learns:
            known = name_list(folder.name for place in places(self.settings) for folder in packs_in(place))
            hint = f"name one with --pack; known packs: {known}"
            raise WorkflowError("JC403", f"workflow {self.workflow.name!r} needs a learned pack", hint=hint)
        return None

    def _fitting(self, pack: Pack) -> Pack:
        """The pack, if what it judges are drafts of this workflow. WorkflowError JC403."""
        taught = pack.info.workflow
        if taught and taught != self.workflow.name:
            message = f"pack {pack.info.id} was taught on drafts of workflow {taught!r}, not of {self.workflow.name!r}"
            raise WorkflowError(
                "JC403", message, hint=f"use it with --workflow {taught}, or learn one for this workflow"
            )
        return pack

    def _open_model(self, name: str | None, adapters: Mapping[str, Adapter]) -> LanguageModel:
        from jointcoder.assets import adapters_of, resolve_model

        if not needs_file(self.settings.backend):
            model = open_model(self.settings, name=name)
        else:
            found = resolve_model(self.settings, name or self.settings.model)
            registered = adapters_of(self.settings, found.name, only=self.plan.adapters)
            known = {n: Adapter(a.path, activated=a.activated, sha256=a.sha256) for n, a in registered.items()}
            known |= adapters
            files = {adapter: known[adapter] for adapter in self.plan.adapters if adapter in known}
            model = open_model(
                self.settings,
                path=found.path,
                name=found.name,
                sha256=found.sha256,
                backend=self.settings.backend,
                adapters=files,
            )
        try:
            require_adapters(self.plan, model)
        except WorkflowError:
            model.close()
            raise
        return cached(model, self.settings)

    def _record(self, outcome: Outcome) -> CodedRecord:
        state = outcome.state
        codes = () if outcome.error else (*state.diagnoses, *state.procedures)
        on, book = edition_date(state.encounter), self.book_of(state.encounter)
        invalid = [c.code for c in codes if not self.is_assignable(state.encounter, c.system, c.code)]
        flags = state.flags
        if not covers(book, on):
            message = f"no code book of the edition of {on} is installed; coded by {book.info.edition}"
            flags += (Flag(code="JC504", message=message),)
        if invalid:
            # Defence in depth: whatever a workflow does, no code leaves that the code book does not hold.
            codes = tuple(code for code in codes if code.code not in invalid)
            flags += (Flag(code="JC501", message=f"not valid, removed: {', '.join(invalid)}"),)
        return CodedRecord(
            encounter=state.encounter.id,
            language=state.language,
            codes=codes,
            suggestions=() if outcome.error else state.suggestions,
            flags=flags,
            findings=state.findings,
            cost=outcome.cost,
            trace=outcome.trace,
            versions=self._versions(book),
        )


def guessed_tokens(text: str) -> int:
    """A cautious guess, for planning only where no model is loaded: 3 Latin characters or 1 other make a token."""
    latin = sum(character < "\u0250" for character in text)
    return 1 + latin // 3 + len(text) - latin


def _kind_of(step: Step) -> Kind | None:
    return getattr(step.options, "kind", None)


def _bare(term: str, kind: Kind) -> Term:
    span = Span(document=0, start=0, end=len(term), quote=term)
    return Term(term, (Mention(id="t", kind=kind, span=span, name=term, source="term"),))
