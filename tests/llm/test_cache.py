"""The completion cache: the same request is answered from disk, any other is asked."""

from __future__ import annotations

import json
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.coder import Coder
from jointcoder.errors import AssetError, ModelError, UsageError
from jointcoder.llm.base import Choice, Context, Generation, Prompt, Question
from jointcoder.llm.cache import FILE, Cached, Store
from jointcoder.llm.llamacpp import LlamaCpp
from jointcoder.llm.scripted import Scripted
from jointcoder.settings import Settings
from tests.llm.conftest import forget

ROOT = Path(__file__).parents[2]
NOTE = Context("Fever for three days.", "You code.")
PROMPT = Prompt(NOTE, "List.")
FEVER = Question("Fever?", ("yes", "no"))
SCHEMA = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a"],
}
MEGABYTE = 2**20


def answering(asked: Any) -> Any:
    return asked.instruction if isinstance(asked, Prompt) else "yes"


def cached(folder: Path, answers: Any = answering, *, identity: str = "w1", limit: int = MEGABYTE) -> Cached:
    return Cached(Scripted(answers), folder, limit, identity=identity)


def asked(model: Cached) -> int:
    scripted = model._model
    assert isinstance(scripted, Scripted)
    return len(scripted.requests)


def test_a_known_request_is_answered_after_a_restart(tmp_path: Path) -> None:
    with cached(tmp_path) as model:
        first = model.generate([PROMPT]), model.choose(NOTE, [FEVER])
    with cached(tmp_path, []) as model:  # a script with no answers at all
        again = model.generate([PROMPT]), model.choose(NOTE, [FEVER])
        assert asked(model) == 0
    (text,), (choice,) = again
    assert text.text == first[0][0].text
    assert choice.logprobs == first[1][0].logprobs
    assert choice.mass == first[1][0].mass
    for answer, before in ((text, first[0][0]), (choice, first[1][0])):
        assert answer.usage.prompt_tokens == answer.usage.reused_tokens == before.usage.prompt_tokens > 0
        assert answer.usage.generated_tokens == 0


Ask = Callable[[Cached], list[Generation] | list[Choice]]
CHANGES: dict[str, Ask] = {
    "text": lambda m: m.generate([replace(PROMPT, context=replace(NOTE, text="Fever."))]),
    "system": lambda m: m.generate([replace(PROMPT, context=replace(NOTE, system=""))]),
    "border": lambda m: m.generate([replace(PROMPT, context=Context("Fever for three days.You", " code."))]),
    "instruction": lambda m: m.generate([replace(PROMPT, instruction="List!")]),
    "opening": lambda m: m.generate([replace(PROMPT, opening="L")]),
    "max_tokens": lambda m: m.generate([PROMPT], max_tokens=511),
    "schema": lambda m: m.generate([Prompt(NOTE, '{"a": 1}')], SCHEMA),
    "question": lambda m: m.choose(NOTE, [Question("Fever!", ("yes", "no"))]),
    "options": lambda m: m.choose(NOTE, [Question("Fever?", ("yes", "no", "maybe"))]),
    "order": lambda m: m.choose(NOTE, [Question("Fever?", ("no", "yes"))]),
    "context": lambda m: m.choose(Context("Fever."), [FEVER]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_any_changed_field_is_asked_anew(tmp_path: Path, change: str) -> None:
    with cached(tmp_path) as model:
        model.generate([PROMPT])
        model.choose(NOTE, [FEVER])
        known = asked(model)
        CHANGES[change](model)
        assert asked(model) == known + 1
        CHANGES[change](model)
        assert asked(model) == known + 1


def test_the_order_of_a_schema_matters(tmp_path: Path) -> None:
    turned = SCHEMA | {"properties": {"b": {"type": "integer"}, "a": {"type": "integer"}}}
    with cached(tmp_path) as model:
        for schema in (SCHEMA, turned, SCHEMA):
            model.generate([Prompt(NOTE, '{"a": 1}')], schema)
        assert asked(model) == 2


def test_other_weights_facts_or_limits_are_another_model(tmp_path: Path) -> None:
    with cached(tmp_path) as model:
        model.generate([PROMPT])
    with cached(tmp_path, identity="w2") as model:
        model.generate([PROMPT])
        assert asked(model) == 1
    for change in ({"facts": {"quantisation": "Q8_0"}}, {"context_tokens": 4096}):
        scripted = Scripted(answering)
        scripted.info = replace(scripted.info, **change)  # type: ignore[arg-type]
        with Cached(scripted, tmp_path, MEGABYTE, identity="w1") as model:
            model.generate([PROMPT])
            assert asked(model) == 1


def test_adapters_are_told_apart_by_their_hash_or_pass_by(tmp_path: Path) -> None:
    def with_adapters(**hashes: str) -> Cached:
        scripted = Scripted(answering)
        scripted.info = replace(scripted.info, facts={"adapters": hashes} if hashes else {})
        return Cached(scripted, tmp_path, MEGABYTE, identity="w1")

    with with_adapters() as model:
        model.choose(NOTE, [FEVER])
        for _ in range(2):
            model.choose(NOTE, [FEVER], adapter="extract")
        assert asked(model) == 3
    for hashes, more in (({"extract": "h1"}, 1), ({"extract": "h1"}, 0), ({"extract": "h2"}, 1)):
        with with_adapters(**hashes) as model:
            model.choose(NOTE, [FEVER], adapter="extract")
            assert asked(model) == more


def test_only_the_misses_are_sent_and_the_order_is_kept(tmp_path: Path) -> None:
    prompts = [Prompt(NOTE, f"{i}") for i in range(6)]
    steps: list[tuple[int, int]] = []
    with cached(tmp_path) as model:
        model.generate(prompts[1:6:2])
        batch = [*prompts, prompts[0], prompts[2]]
        answers = model.generate(batch, progress=lambda done, total: steps.append((done, total)))
        assert [answer.text for answer in answers] == [prompt.instruction for prompt in batch]
        assert asked(model) == 6
        assert steps[-1] == (8, 8)
        assert steps == sorted(steps)
        model.generate(batch, progress=lambda done, total: steps.append((done, total)))
        assert steps[-1] == (8, 8)


def test_kept_answers_are_validated_and_repaired_like_others(tmp_path: Path) -> None:
    for _ in range(2):
        with cached(tmp_path, ["no JSON", '{"a": 2}']) as model:
            (answer,) = model.generate([PROMPT], SCHEMA)
            assert (answer.value, answer.repaired) == ({"a": 2}, True)
    assert asked(model) == 0


def test_a_failed_batch_keeps_nothing_and_says_so(tmp_path: Path) -> None:
    with cached(tmp_path, ["one"]) as model, pytest.raises(ModelError):
        model.generate([Prompt(NOTE, "1"), Prompt(NOTE, "2")])
    with cached(tmp_path) as model:
        model.generate([Prompt(NOTE, "1")])
        assert asked(model) == 1


def test_no_hash_no_cache(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"JC001.*hash"):
        Cached(Scripted([]), tmp_path, MEGABYTE)


def test_a_folder_that_cannot_be_written_is_jc205(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", "utf-8")
    with pytest.raises(AssetError, match="JC205"):
        cached(tmp_path / "file")


# -------------------------------------------------------------------------------------------------------- the file


def test_only_the_owner_reads_it_and_keys_tell_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    with cached(folder, ["cough"]) as model:
        model.generate([PROMPT])
        found = list(folder.iterdir())
        assert found
        assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert b"three days" not in (folder / FILE).read_bytes()
    assert b"cough" in (folder / FILE).read_bytes()  # as the docstring says


def test_it_stays_within_its_limit_and_forgets_the_longest_unused(tmp_path: Path) -> None:
    limit = 200 * 1024
    store = Store(tmp_path, limit)
    favourite = b"favourite"
    store.put({favourite: "dear"})
    for i in range(100):
        store.put({f"{i}".encode(): "x" * 5000})
        assert store.get([favourite]) == {favourite: "dear"}
    kept = store.get(f"{i}".encode() for i in range(100))
    assert 20 < len(kept) < 45
    assert set(kept) == {f"{i}".encode() for i in range(100 - len(kept), 100)}
    store.put({b"huge": "x" * 2 * limit})  # larger than all there is
    assert b"huge" not in store.get([b"huge"])
    store.close()
    assert (tmp_path / FILE).stat().st_size <= limit + 16 * 1024


def test_a_damaged_entry_is_a_miss(tmp_path: Path) -> None:
    with cached(tmp_path) as model:
        model.choose(NOTE, [FEVER, Question("Gout?", ("yes", "no"))])
    rows = "SELECT key, value FROM entries"
    with sqlite3.connect(tmp_path / FILE) as db:
        for i, (key, value) in enumerate(db.execute(rows).fetchall()):
            changed = value.replace(b"0.97", b"0.11") if i else b"\x00\xff"
            changed = changed if changed != value else value[:-3]
            db.execute("UPDATE entries SET value = ? WHERE key = ?", (changed, key))
    with cached(tmp_path) as model:
        model.choose(NOTE, [FEVER, Question("Gout?", ("yes", "no"))])
        assert asked(model) == 2
        model.choose(NOTE, [FEVER, Question("Gout?", ("yes", "no"))])
        assert asked(model) == 2


def test_an_entry_of_another_shape_is_a_miss(tmp_path: Path) -> None:
    with cached(tmp_path) as model:
        model.generate([PROMPT])
        with sqlite3.connect(tmp_path / FILE) as db:
            (key,) = db.execute("SELECT key FROM entries").fetchone()
        for value in ([], {"text": 7}, {"logprobs": [0.1]}, None):
            model._store.put({key: value})
            model.generate([PROMPT])
        assert asked(model) == 5


@pytest.mark.parametrize("damage", [b"not a database at all, but long enough to look like one" * 40, b""])
def test_a_damaged_file_is_begun_anew(tmp_path: Path, damage: bytes) -> None:
    with cached(tmp_path) as model:
        model.generate([PROMPT])
    (tmp_path / FILE).write_bytes(damage)
    for expected in (1, 0):
        with cached(tmp_path) as model:
            model.generate([PROMPT])
            assert asked(model) == expected


def test_a_file_cut_in_its_middle_fails_no_request(tmp_path: Path) -> None:
    prompts = [Prompt(NOTE, f"{i}" * 500) for i in range(60)]
    with cached(tmp_path) as model:
        model.generate(prompts)
    raw = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(raw[: len(raw) // 2])
    with cached(tmp_path) as model:
        assert [answer.text for answer in model.generate(prompts)] == [prompt.instruction for prompt in prompts]
        model.generate(prompts)
    with cached(tmp_path) as model:
        assert [answer.text for answer in model.generate(prompts)] == [prompt.instruction for prompt in prompts]


WRITER = """
import sys
from pathlib import Path
from jointcoder.llm.cache import Store
store = Store(Path(sys.argv[1]), 10_000_000)
for i in range(150):
    store.put({f"{sys.argv[2]}-{i}".encode(): {"who": sys.argv[2], "text": "x" * 300}})
    store.get([f"{other}-{i}".encode() for other in "ab"])
store.close()
"""


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path), name], cwd=ROOT, stderr=subprocess.PIPE)
        for name in "ab"
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors.decode()
    store = Store(tmp_path, 10_000_000)
    kept = store.get(f"{name}-{i}".encode() for name in "ab" for i in range(150))
    store.close()
    assert len(kept) == 300
    assert {key[:1].decode() == value["who"] for key, value in kept.items()} == {True}


# ----------------------------------------------------------------------------------------------- with real weights


@pytest.mark.engine
def test_the_engine_is_cached_by_its_weights(fresh: LlamaCpp, tmp_path: Path) -> None:
    if not fresh.info.sha256:
        fresh.info = replace(fresh.info, sha256="0" * 64)
    questions = [FEVER, Question("Gout?", ("yes", "no"))]
    model = Cached(fresh, tmp_path, MEGABYTE)
    (first,) = model.choose(NOTE, questions[:1])
    forget(fresh)
    again = model.choose(NOTE, questions)
    assert again[0].logprobs == first.logprobs
    assert again[0].usage.reused_tokens == again[0].usage.prompt_tokens == first.usage.prompt_tokens
    assert again[1].usage.reused_tokens == 0  # asked, and nothing was kept in the engine
    model._store.close()


@pytest.mark.engine
def test_settings_switch_it_on(smallest: Path, small_us: CodeBook, tmp_path: Path) -> None:
    off = Settings(cache=tmp_path, model=str(smallest), context_tokens=256)
    with Coder(off, code_book=small_us) as coder:
        assert isinstance(coder.model, LlamaCpp)
    with Coder(off.model_copy(update={"completion_cache_mb": 1}), code_book=small_us) as coder:
        assert isinstance(coder.model, Cached)
        assert coder.model.info.sha256
        assert coder.versions.model_hash == coder.model.info.sha256
    assert json.dumps([path.name for path in (tmp_path / "completions").iterdir()]) == json.dumps([FILE])
