"""A search as a command starts it: opens model, code book, data, store and folder, and writes what it found.

    with opened(settings, request) as session:
        outcome = session.search.go()
        session.write(outcome)

The folder holds ``run.json`` (which run this is, and its outcome), ``best.toml``, ``report.html`` and ``nodes/``, the
kept results of nodes. The archive is in the store. One search at a time works in a folder (JC444); one that lies
there already goes on only when asked to, and only under its own conditions (JC433). Results and transcripts quote
notes: folder and store are for their owner's eyes alone.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jointcoder import __version__
from jointcoder.coder import Coder
from jointcoder.corpora import Labelled, load
from jointcoder.errors import AssetError, InputError, UsageError, WorkflowError, name_list
from jointcoder.llm.base import LanguageModel
from jointcoder.llm.cache import Store as Kept
from jointcoder.llm.load import cached, needs_file, open_model
from jointcoder.records import System
from jointcoder.search.coder import PlanCoder
from jointcoder.search.conditions import Budget, Conditions, require_same
from jointcoder.search.designer import Designer
from jointcoder.search.finals import Outcome
from jointcoder.search.lab import Lab
from jointcoder.search.loop import Search
from jointcoder.search.nodes import NodeMemory
from jointcoder.search.plan import to_toml
from jointcoder.search.prompting import Words
from jointcoder.search.proposing import Roles
from jointcoder.search.reflector import Reflector
from jointcoder.search.report import report
from jointcoder.search.seeds import seeds
from jointcoder.search.sets import Sets, split
from jointcoder.search.space import Space
from jointcoder.search.view import plan_of, ranked
from jointcoder.settings import Settings
from jointcoder.steps import registry
from jointcoder.store.archive import Archive, Candidate, Run
from jointcoder.store.engine import open_store
from jointcoder.text.language import detect
from jointcoder.workflow.spec import Workflow, load_workflow

RUN_FILE, BEST_FILE, REPORT_FILE, NODES = "run.json", "best.toml", "report.html", "nodes"
NODE_MEMORY_MB = 500
RESEEDED = 5  # workflows taken over from an earlier run


@dataclass(frozen=True)
class Request:
    """What the user asked for. ``meta_model``: of the designing roles, by default the agents' own; "none" for edits
    without any; ``model`` "none": workflows that ask none. ``reseed``: an earlier run of the store."""

    data: tuple[Path, ...]
    out: Path
    select: Path | None = None
    test: Path | None = None
    share: float = 0.4
    limit: int | None = None
    start: str = ""
    model: str | None = None
    meta_model: str | None = None
    book: str | None = None
    pack: str | None = None
    system: str | None = None
    prompt_language: str = ""
    conditions: Conditions = field(default_factory=Conditions)
    budget: Budget = field(default_factory=Budget)
    resume: bool = False
    reseed: str = ""
    cache_mb: int = 500
    keep_nodes: bool = True


NONE = "none"


@dataclass
class Session:
    """An opened search and where it lies."""

    search: Search
    archive: Archive
    run: Run
    folder: Path

    def write(self, outcome: Outcome) -> None:
        """The outcome into the folder. Raises AssetError JC445."""
        run = self.archive.run(self.run.id)
        _put(self.folder / RUN_FILE, json.dumps({"run": run.id, **outcome.as_dict()}, indent=1) + "\n")
        _put(self.folder / BEST_FILE, to_toml(outcome.workflow))
        _put(self.folder / REPORT_FILE, report(self.archive, run))


@contextmanager
def opened(
    settings: Settings, request: Request, *, tell: Callable[[Candidate], None] = lambda _: None
) -> Iterator[Session]:
    """The search, ready to go. Raises UsageError (JC001, JC432, JC433), InputError (JC434, JC435 …), AssetError (JC430,
    JC444, JC445 …), WorkflowError as the start workflow does."""
    settings = settings.model_copy(
        update={"completion_cache_mb": request.cache_mb, "allow_python": request.conditions.allow_python}
    )
    with ExitStack() as stack:
        stack.enter_context(_locked(request.out))
        corpora = [load(path) for path in request.data]
        sets = split(
            corpora,
            select=load(request.select) if request.select else None,
            test=load(request.test) if request.test else None,
            share=request.share,
            limit=request.limit,
            seed=request.conditions.seed,
            system=request.system,
        )
        start = load_workflow(request.start or settings.workflow)
        coder = stack.enter_context(_coder(settings, request, start, sets))
        sets = replace(sets, systems=tuple(one.value for one in coder.systems if one.value in sets.systems))
        meta = _meta(settings, request, coder, stack)
        archive = Archive(stack.enter_context(open_store(settings.store_place)))
        languages = _languages(sets.search)
        config = _config(request, sets, coder, meta, start, languages)
        run = _run(archive, request, config)
        yield Session(
            _search(request, sets, coder, meta, archive, run, start, languages, tell), archive, run, request.out
        )


def open_named(settings: Settings, name: str | None) -> LanguageModel:
    """A model by name, path or server URL, behind the completion cache where its weights are known by a hash. Raises as
    the backend does."""
    if name and name.startswith(("http://", "https://")):
        settings = settings.model_copy(update={"backend": "http", "server_url": name})
        model = open_model(settings)
    elif not needs_file(settings.backend):
        model = open_model(settings, name=name)
    else:
        from jointcoder.assets import resolve_model

        found = resolve_model(settings, name or settings.model)
        model = open_model(settings, path=found.path, name=found.name, sha256=found.sha256, backend=settings.backend)
    return cached(model, settings) if model.info.sha256 else model


# ------------------------------------------------------------------------------------------------------ the parts


def _coder(settings: Settings, request: Request, start: Workflow, sets: Sets) -> Coder:
    """The coder of the agents. A model is opened even where the start asks none: other plans may."""
    model = None if request.model == NONE else open_named(settings, request.model)
    wanted = tuple(System(one) for one in sets.systems)
    try:
        if model is None and start.needs.model:
            raise WorkflowError("JC403", f"workflow {start.name!r} needs a model", hint="search without --model none")
        coder = Coder(settings, model=model, code_book=request.book, workflow=start, pack=request.pack)
        known = tuple(one for one in wanted if one in coder.systems)
        if not known:
            raise UsageError(
                "JC001",
                f"the data are labelled in {name_list(wanted)}, which code book {coder.book.info.id} does not hold",
                hint="choose a code book that does with --book",
            )
        coder.systems = known
        return coder
    except BaseException:
        if model is not None:
            model.close()
        raise


def _meta(settings: Settings, request: Request, coder: Coder, stack: ExitStack) -> LanguageModel | None:
    if request.meta_model == NONE or (request.meta_model is None and coder.model is None):
        return None
    if request.meta_model in (None, request.model) and coder.model is not None:
        return coder.model
    return stack.enter_context(open_named(settings, request.meta_model))


def _search(
    request: Request,
    sets: Sets,
    coder: Coder,
    meta: LanguageModel | None,
    archive: Archive,
    run: Run,
    start: Workflow,
    languages: Sequence[str],
    tell: Callable[[Candidate], None],
) -> Search:
    conditions = request.conditions
    memory = None
    if request.keep_nodes:
        kept = Kept(_folder(request.out / NODES), NODE_MEMORY_MB * 2**20)
        memory = NodeMemory(kept, surroundings=_surroundings(coder, sets))
    lab = Lab(coder, memory, systems=sets.systems)
    space = Space.of(
        registry.signatures(),
        model=coder.model is not None,
        pack=coder.pack is not None,
        programs=conditions.allow_python,
        judged=tuple(dict.fromkeys(System(one).kind for one in sets.systems)),
    )
    words = Words(request.prompt_language or languages[0])
    designer = Designer(meta, space, words, conditions.shows) if meta else None
    plan_coder = PlanCoder(designer, lab, languages=languages, retries=conditions.retries) if designer else None
    reflector = Reflector(meta if conditions.shows.text_feedback else None, words)
    more = _reseeded(archive, request.reseed) if request.reseed else ()
    return Search(
        lab,
        archive,
        sets,
        space,
        Roles(designer, plan_coder, reflector),
        run=run,
        seeds=seeds(start, conditions, coder, languages, more=more),
        conditions=conditions,
        budget=request.budget,
        languages=languages,
        tell=tell,
    )


def _reseeded(archive: Archive, named: str) -> list[Workflow]:
    """The best workflows of an earlier run."""
    earlier = archive.run(named)
    found = [one for one in ranked(archive.candidates(earlier.id)) if one.origin != "seed"][:RESEEDED]
    return [
        plan_of(one).workflow(one.name, languages=Workflow.from_toml(one.workflow).needs.languages) for one in found
    ]


def _languages(items: Sequence[Labelled]) -> tuple[str, ...]:
    """The languages of the notes, most frequent first: as they state it, else found out."""
    counts: Counter[str] = Counter()
    for item in items:
        encounter = item.encounter
        try:
            counts[encounter.language or detect(encounter.documents[0].text).language] += 1
        except InputError:
            continue
    if not counts:
        raise InputError("JC105", "none of the notes is in a language that the program knows")
    return tuple(language for language, _ in counts.most_common())


def _surroundings(coder: Coder, sets: Sets) -> dict[str, Any]:
    """What besides plan and note decides a node's result."""
    info = coder.model.info if coder.model else None
    every = (*sets.search, *sets.selection, *sets.test)
    books = {book.info.id: book.info.sha256 for book in {coder.book_of(item.encounter) for item in every}}
    return {
        "model": [info.name, info.sha256, info.context_tokens, sorted(map(str, info.facts.items()))] if info else None,
        "books": sorted(books.items()),
        "search": coder.tools.lookup.way,
        "pack": coder.pack.version if coder.pack else "",
        "systems": [one.value for one in coder.systems],
        "allow_python": coder.settings.allow_python,
    }


# --------------------------------------------------------------------------------------------- the run and its folder


def _config(
    request: Request, sets: Sets, coder: Coder, meta: LanguageModel | None, start: Workflow, languages: Sequence[str]
) -> dict[str, Any]:
    """The conditions of the run as the archive keeps them: equal ones, equal course."""
    named = {"model": coder.model, "meta_model": meta}
    models = {name: [one.info.name, one.info.sha256] if one else None for name, one in named.items()}
    conditions: dict[str, Any] = json.loads(json.dumps(request.conditions.as_dict()))
    return {
        "conditions": conditions,
        "sets": sets.fingerprint(),
        "notes": {name: len(getattr(sets, name)) for name in ("search", "selection", "test")},
        "systems": list(sets.systems),
        "languages": list(languages),
        "start": [start.name, start.hash],
        **models,
        "book": [coder.book.info.id, coder.book.info.sha256],
        "pack": coder.pack.version if coder.pack else "",
        "program": __version__,
        "reseed": request.reseed,
    }


def _run(archive: Archive, request: Request, config: dict[str, Any]) -> Run:
    """The run of the folder, begun or taken up."""
    file = request.out / RUN_FILE
    if not file.exists():
        name = request.out.resolve().name
        run = archive.begin(Run(id=secrets.token_hex(8), name=name, program=__version__, config=config))
        _put(file, json.dumps({"run": run.id}) + "\n")
        return run
    if not request.resume:
        raise UsageError(
            "JC433", f"{request.out} holds a search", hint="--resume goes on with it; or name another folder"
        )
    try:
        known = str(json.loads(file.read_text("utf-8"))["run"])
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError("JC443", f"{file} does not say which run it is") from None
    run = archive.run(known)
    require_same(run.config, config)
    return run


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = (_folder(folder) / ".lock").open("a+b")
    with handle:
        if sys.platform != "win32":
            import fcntl

            try:
                fcntl.flock(handle.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise AssetError("JC444", f"another search is at work in {folder}") from None
        yield  # closing the file gives the lock back, also when the process dies


def _folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise AssetError("JC445", f"{folder}: {error.strerror or type(error).__name__}") from None
    return folder


def _put(path: Path, text: str) -> None:
    """Write as a whole or not at all."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        scratch.write_text(text, "utf-8")
        scratch.replace(path)
    except OSError as error:
        scratch.unlink(missing_ok=True)
        raise AssetError("JC445", f"{path}: {error.strerror or type(error).__name__}") from None
