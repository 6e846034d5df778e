"""A completion cache: the same request to the same model is answered from disk. For evaluation and search; off in
production unless the settings ask for it (``completion_cache_mb``).

What lies on disk: one SQLite file, readable by its owner alone (mode 0600). Keys are hashes, from which no text can
be read back. Values hold *generated text*, which may repeat words of a record, and log-probabilities: the file is
patient data, to be kept and deleted as such. No pickle: values are JSON, each with a checksum, so that a damaged
entry is a miss, and a damaged file is begun anew.

The key covers all that can change an answer: the weights' hash, the adapter's, the context, the request, the schema
or options, the limit, the engine's version, options and facts, the processor, and the source of this package (how
prompts are rendered and tokens chosen). A model that cannot be told by a hash is not cached. Several processes may
share a folder; one thread at a time uses an object.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from jointcoder.errors import AssetError, UsageError
from jointcoder.llm.base import (
    Choice,
    Context,
    Generation,
    LanguageModel,
    Progress,
    Prompt,
    Question,
    Schema,
    Usage,
)

FILE = "completions.sqlite"
FORMAT = 1  # of the file; another one is begun anew
SMALLEST = 64 * 1024  # bytes; SQLite's own pages need some
WAIT_S = 10.0  # for another process that writes

T = TypeVar("T", Generation, Choice)


class Cached(LanguageModel):
    """``model`` with its answers kept in ``folder``, the least recently used ones forgotten beyond ``limit_bytes``.

    A batch's known answers come from disk, only the others are asked for, and the order is kept. A kept answer's
    usage says what this run did: the whole prompt reused, nothing generated. Validation and repair are done anew, so
    a kept text is never trusted to fit. Requests under an adapter are cached where the model tells the adapters'
    hashes (``info.facts["adapters"]``), else they pass by.

    ``identity`` stands for the weights' hash where the model knows none and the caller vouches for it. Raises
    UsageError JC001 without either, AssetError JC205 where the folder cannot be written.
    """

    def __init__(self, model: LanguageModel, folder: Path, limit_bytes: int, *, identity: str = "") -> None:
        weights = identity or model.info.sha256
        if not weights:
            raise UsageError(
                "JC001",
                f"the completion cache needs the hash of the model, and {model.info.name} has none",
                hint="a model server does not tell it: set server_model_sha256, or completion_cache_mb = 0",
            )
        self._model = model
        self.info = model.info
        self._adapters = model.info.facts.get("adapters", {})
        self._root = {"weights": weights, **_surroundings(model)}
        self._store = Store(folder, limit_bytes)

    @property
    def adapters(self) -> tuple[str, ...]:
        return self._model.adapters

    def adapter_version(self, name: str) -> str:
        return self._model.adapter_version(name)

    def count_tokens(self, text: str) -> int:
        return self._model.count_tokens(text)

    def close(self) -> None:
        self._store.close()
        self._model.close()

    def _complete(
        self,
        prompts: Sequence[Prompt],
        schema: Schema | None,
        max_tokens: int,
        adapter: str | None,
        progress: Progress | None,
    ) -> list[Generation]:
        def ask(indices: Sequence[int], tell: Progress | None) -> list[Generation]:
            return self._model._complete([prompts[i] for i in indices], schema, max_tokens, adapter, tell)

        asked = [
            {
                "context": [p.context.text, p.context.system],
                "instruction": p.instruction,
                "opening": p.opening,
                "schema": schema,
                "max_tokens": max_tokens,
            }
            for p in prompts
        ]
        return self._through(asked, adapter, ask, _generation_kept, lambda i, kept: _generation_read(kept), progress)

    def _score(
        self, context: Context, questions: Sequence[Question], adapter: str | None, progress: Progress | None
    ) -> list[Choice]:
        def ask(indices: Sequence[int], tell: Progress | None) -> list[Choice]:
            return self._model._score(context, [questions[i] for i in indices], adapter, tell)

        def read(index: int, kept: Any) -> Choice:
            return _choice_read(questions[index], kept)

        asked = [
            {"context": [context.text, context.system], "question": q.text, "options": q.options} for q in questions
        ]
        return self._through(asked, adapter, ask, _choice_kept, read, progress)

    def _through(
        self,
        asked: Sequence[Mapping[str, Any]],
        adapter: str | None,
        ask: Callable[[Sequence[int], Progress | None], list[T]],
        keep: Callable[[T], Any],
        read: Callable[[int, Any], T],
        progress: Progress | None,
    ) -> list[T]:
        """Answers in order: kept ones, and those that ``ask`` gives for the indices that are missing."""
        if adapter is not None and adapter not in self._adapters:
            return ask(range(len(asked)), progress)
        root = self._root | {"adapter": self._adapters[adapter] if adapter is not None else ""}
        keys = [_key(root, request) for request in asked]
        found: dict[int, T] = {}
        kept = self._store.get(set(keys))
        for index, key in enumerate(keys):
            if key in kept:
                with contextlib.suppress(ValueError, TypeError, KeyError):  # not what this program wrote: a miss
                    found[index] = read(index, kept[key])
        first = {key: index for index, key in reversed(list(enumerate(keys))) if index not in found}
        missing = sorted(first.values())
        known = len(asked) - len(missing)

        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress(known + done, len(asked))

        if missing:
            answers = ask(missing, tell)
            found.update(zip(missing, answers, strict=True))
            self._store.put({keys[i]: keep(answer) for i, answer in zip(missing, answers, strict=True)})
        elif progress is not None:
            progress(len(asked), len(asked))
        # A request that came twice in the batch was asked once.
        return [found[i] if i in found else read(i, keep(found[first[key]])) for i, key in enumerate(keys)]


class Store:
    """JSON values by key in one SQLite file of ``limit_bytes``, the least recently used ones dropped. While it is
    open, a journal of about a megabyte lies beside it.

    It never fails a request: what cannot be read is missing, what cannot be written is not kept.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.path = folder / FILE
        self._limit = max(SMALLEST, limit_bytes)
        self._process = 0
        self._db: sqlite3.Connection | None = None
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._open()
        except (OSError, sqlite3.Error):
            raise AssetError("JC205", f"the completion cache {self.path} cannot be written") from None

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Any]:
        """The values that are there; they count as used now."""
        found: dict[bytes, Any] = {}

        def work(db: sqlite3.Connection) -> None:
            for key in keys:
                row = db.execute("SELECT value, digest FROM entries WHERE key = ?", (key,)).fetchone()
                if row is not None and _digest(row[0]) == row[1]:
                    with contextlib.suppress(ValueError, TypeError):
                        found[key] = json.loads(row[0])
            if found:
                now = time.time_ns()
                with _writing(db):
                    rows = [(now + i, key) for i, key in enumerate(found)]
                    db.executemany("UPDATE entries SET used = ? WHERE key = ?", rows)

        self._try(work)
        return found

    def put(self, values: Mapping[bytes, Any]) -> None:
        """Keep values, then forget the longest unused ones beyond the limit."""
        now = time.time_ns()
        rows = []
        for i, (key, value) in enumerate(values.items()):
            text = json.dumps(value, ensure_ascii=True).encode()
            if len(text) <= self._limit // 4:  # one answer does not drive out all others
                rows.append((key, text, _digest(text), now + i))

        def work(db: sqlite3.Connection) -> None:
            with _writing(db):
                db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", rows)
                self._trim(db)
            db.execute("PRAGMA incremental_vacuum").fetchall()

        self._try(work)

    def close(self) -> None:
        """Safe to call twice."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _trim(self, db: sqlite3.Connection) -> None:
        def taken() -> int:
            pages, free, size = (
                int(db.execute(f"PRAGMA {name}").fetchone()[0])
                for name in ("page_count", "freelist_count", "page_size")
            )
            return (pages - free) * size

        while taken() > self._limit:
            count = int(db.execute("SELECT count(*) FROM entries").fetchone()[0])
            if not count:
                return
            oldest = "SELECT key FROM entries ORDER BY used LIMIT ?"
            db.execute(f"DELETE FROM entries WHERE key IN ({oldest})", (max(1, count // 10),))

    def _try(self, work: Callable[[sqlite3.Connection], None]) -> None:
        try:
            if self._db is None or self._process != os.getpid():  # connections do not survive a fork
                self._open()
            assert self._db is not None
            work(self._db)
        except sqlite3.OperationalError:
            return  # busy for too long, disk full, read-only
        except (sqlite3.DatabaseError, OSError):
            with contextlib.suppress(OSError, sqlite3.Error):
                self._anew()

    def _open(self) -> None:
        try:
            self._db, self._process = _connected(self.path), os.getpid()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # not a database, or a damaged one
            self._anew()

    def _anew(self) -> None:
        self.close()
        for end in ("", "-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        self._db, self._process = _connected(self.path), os.getpid()


def _connected(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    path.chmod(0o600)  # SQLite gives its side files the mode of this one
    db = sqlite3.connect(path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
    try:
        db.execute("PRAGMA auto_vacuum = INCREMENTAL")
        db.execute("PRAGMA journal_mode = WAL").fetchone()
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA wal_autocheckpoint = 256").fetchone()  # pages: a journal of a megabyte
        db.execute("PRAGMA journal_size_limit = 1048576").fetchone()
        with _writing(db):
            if db.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
                db.execute("DROP TABLE IF EXISTS entries")
            db.execute(
                "CREATE TABLE IF NOT EXISTS entries "
                "(key BLOB PRIMARY KEY, value BLOB NOT NULL, digest BLOB NOT NULL, used INTEGER NOT NULL)"
            )
            db.execute("CREATE INDEX IF NOT EXISTS by_use ON entries (used)")
            db.execute(f"PRAGMA user_version = {FORMAT}")
    except BaseException:
        db.close()
        raise
    return db


@contextlib.contextmanager
def _writing(db: sqlite3.Connection) -> Any:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _key(root: Mapping[str, Any], request: Mapping[str, Any]) -> bytes:
    # The order of a schema's properties and of options matters, so keys are not sorted.
    text = json.dumps([root, request], ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).digest()


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(value, digest_size=8).digest() if isinstance(value, bytes) else b""


def _surroundings(model: LanguageModel) -> dict[str, Any]:
    """What besides weights and request decides an answer."""
    from jointcoder.llm.options import machine

    source = hashlib.sha256()
    package = files("jointcoder.llm")
    for folder in (package, package / "data"):
        for file in sorted((f for f in folder.iterdir() if f.is_file()), key=lambda f: f.name):
            source.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    options: Any = getattr(model, "options", None)
    return {
        "source": source.hexdigest(),
        "engine": type(model).__name__,
        "machine": machine(),
        "options": options.to_json() if hasattr(options, "to_json") else None,
        "context_tokens": model.info.context_tokens,
        "facts": dict(model.info.facts),
    }


def _generation_kept(answer: Generation) -> Any:
    return {"text": answer.text, "finished": answer.finished, "prompt_tokens": answer.usage.prompt_tokens}


def _generation_read(kept: Any) -> Generation:
    text, finished = kept["text"], kept["finished"]
    if not isinstance(text, str) or not isinstance(finished, bool):
        raise TypeError("not a kept answer")
    return Generation(text, finished=finished, usage=_unasked(kept))


def _choice_kept(choice: Choice) -> Any:
    return {"logprobs": choice.logprobs, "mass": choice.mass, "prompt_tokens": choice.usage.prompt_tokens}


def _choice_read(question: Question, kept: Any) -> Choice:
    logprobs = tuple(float(x) for x in kept["logprobs"])
    if len(logprobs) != len(question.options):
        raise ValueError("not a kept choice")
    return Choice(question.options, logprobs, float(kept["mass"]), _unasked(kept))


def _unasked(kept: Any) -> Usage:
    return Usage(int(kept["prompt_tokens"]), int(kept["prompt_tokens"]), 0)
