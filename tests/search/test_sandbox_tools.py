"""The conversation between the sandbox and its parent: tools, and programs that speak out of turn."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import CodeBookError, UsageError
from jointcoder.search.sandbox import Limits, Result, frames, run_python
from tests.search.jails import isolated


def paired(data: bytes) -> str:
    return data.decode("utf-16", "surrogatepass")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    # Lone surrogates occur in notes. A pair of them is one character.
    | st.text(st.characters(exclude_categories=())).map(lambda t: t.encode("utf-16", "surrogatepass")).map(paired),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
RAW = """
import json, os, struct
def speak(message):
    body = message if isinstance(message, bytes) else json.dumps(message).encode()
    os.write(1, struct.pack(">I", len(body)) + body)
"""


def add(a: float, b: float = 1) -> float:
    return a + b


def code_of(result: Result) -> str:
    return result.fault.code if result.fault else ""


# -------------------------------------------------------------------------------------------------------------- frames


@given(JSON)
def test_a_message_comes_out_as_it_went_in(value: Any) -> None:
    data = frames.packed({"value": value})
    length = frames.size(data[:4], limit=len(data))
    assert frames.parsed(data[4 : 4 + length]) == {"value": value}


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_anything_else_is_refused_and_not_quoted(body: bytes) -> None:
    try:
        message = frames.parsed(body)
    except frames.FrameError as error:
        said = str(error)
    else:
        said = "" if isinstance(message, dict) else "no object"
    assert said in {"", "a message is not ASCII", "a message is no JSON, or numbers that are none"} | {
        "a message is no JSON object"
    }


@pytest.mark.parametrize(
    "body",
    [b'{"value": NaN}', b'{"value": -Infinity}', b'{"value": 1e999}', b'{"value": ' + b"9" * 5000 + b"}"],
)
def test_numbers_that_are_none_are_refused(body: bytes) -> None:
    with pytest.raises(frames.FrameError):
        frames.parsed(body)


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(frames.FrameError, match="deeply"):
        frames.parsed(b'{"value": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")


# --------------------------------------------------------------------------------------------------------------- tools


@isolated
def test_tools_answer_by_position_and_by_name_and_are_counted() -> None:
    source = "def run(i, t): return [t.add(i['a']), t.add(b=2, a=3), t.name('急性阑尾炎')]"
    result = run_python(source, inputs={"a": 1}, tools={"add": add, "name": lambda text: text + "\ud800"})
    assert result.value == [2, 5, "急性阑尾炎\ud800"]
    assert dict(result.calls) == {"add": 2, "name": 1}


@isolated
def test_what_a_tool_raises_reaches_the_program_and_foreign_texts_do_not() -> None:
    def unknown(code: str) -> str:
        raise CodeBookError("JC501", "unknown code")

    def broken() -> None:
        raise RuntimeError("words of a note")

    source = """
def run(i, t):
    said = []
    for tool in (lambda: t.unknown("x"), t.broken, lambda: t.unknown(1, 2, 3), t.unfit):
        try:
            tool()
        except ToolError as error:
            said.append(str(error))
    return said
"""
    result = run_python(source, inputs=None, tools={"unknown": unknown, "broken": broken, "unfit": lambda: {1, 2}})
    assert result.value == [
        "unknown: JC501: unknown code",
        "broken: RuntimeError",
        "unknown: TypeError",
        "unfit: TypeError",
    ]
    uncaught = run_python("def run(i, t):\n t.unknown('x')", inputs=None, tools={"unknown": unknown})
    assert uncaught.fault
    assert (uncaught.fault.code, uncaught.fault.line) == ("JC458", 2)
    assert "unknown (JC501)" in uncaught.fault.message


@isolated
def test_a_tool_that_stops_the_parent_leaves_nothing_behind() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_python("def run(i, t): t.interrupted()", inputs=None, tools={"interrupted": interrupted})
    assert run_python("def run(i, t): return 1", inputs=None).value == 1


@isolated
def test_time_in_tools_is_not_the_program_s(monkeypatch: pytest.MonkeyPatch) -> None:
    passed, clock = 0.0, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + passed)

    def slow() -> None:
        nonlocal passed
        passed += 3600

    tools, limits = {"slow": slow}, Limits(wall_s=60)
    assert run_python("def run(i, t): return t.slow()", inputs=None, tools=tools, limits=limits).fault is None
    assert passed == 3600


LIMITED = {
    "calls": ("def run(i, t): return [t.add(1) for _ in range(10)]", Limits(calls=5), "more than 5 times"),
    "one call": ("def run(i, t): return t.echo('x' * 5000)", Limits(call_bytes=1000), "larger than 1,000"),
    "all of them": (
        "def run(i, t): return [t.echo('x' * 900)\n  for _ in range(99)]",
        Limits(traffic_bytes=9000),
        "9,000",
    ),
    "one answer": ("def run(i, t): return t.much(5000)", Limits(output_bytes=1000), "much (too large)"),
}


@isolated
@pytest.mark.parametrize("name", LIMITED)
def test_calls_have_limits(name: str) -> None:
    source, limits, said = LIMITED[name]
    tools = {"add": add, "echo": lambda text: text, "much": lambda count: "x" * count}
    result = run_python(source, inputs=None, tools=tools, limits=limits)
    assert result.fault
    assert (result.fault.code, said in result.fault.message) == ("JC458", True), result.fault
    assert run_python(source, inputs=None, tools=tools, limits=Limits()).fault is None


# ---------------------------------------------------------------------------------------------------- out of turn

HOSTILE = {
    "a tool it was not given": ("speak({'call': 'gold', 'args': [], 'named': {}})", "JC458"),
    "a name with dots": ("speak({'call': 'add.__globals__', 'args': [], 'named': {}})", "JC458"),
    "a call with more in it": ("speak({'call': 'add', 'args': [1], 'named': {}, 'x': 1})", "JC456"),
    "a call that is a list": ("speak([1, 2])", "JC456"),
    "a name that is no text": ("speak({'call': ['add'], 'args': [], 'named': {}})", "JC456"),
    "arguments that are no list": ("speak({'call': 'add', 'args': 'ab', 'named': {}})", "JC456"),
    "no JSON": ("speak(b'\\x80\\x04K\\x01.')", "JC456"),  # a pickle
    "nothing": ("speak(b'')", "JC456"),
    "too long": ("os.write(1, b'\\xff\\xff\\xff\\xff' + b'x' * 60000)", "JC456"),
    "too deep": ("speak(b'{\"value\":' + b'[' * 100000 + b']' * 100000 + b'}')", "JC456"),
    "two kinds at once": ("speak({'value': 1, 'fault': {}})", "JC456"),
    "ready, again": ("speak({'ready': True})", "JC456"),
    "half a message": ("os.write(1, b'\\x00\\x00\\x01\\x00{'); import time; time.sleep(60)", "JC453"),
    "a fault of its own making": ("speak({'fault': {'kind': i, 'type': i, 'line': 10 ** 9}})", "JC457"),
    "a fault that is none": ("speak({'fault': [i]})", "JC457"),
}


@isolated
@pytest.mark.parametrize("name", HOSTILE)
def test_a_program_that_speaks_out_of_turn_is_ended(name: str) -> None:
    said, code = HOSTILE[name]
    note = "the patient fell off a ladder"
    limits = Limits(wall_s=2 if code == "JC453" else 60)
    result = run_python(f"{RAW}\ndef run(i, t):\n {said}", inputs=note, tools={"add": add}, limits=limits)
    assert code_of(result) == code
    assert result.value is None
    assert note not in repr(result)


@isolated
def test_a_flood_of_calls_is_ended_and_does_not_block_the_parent() -> None:
    source = f"{RAW}\ndef run(i, t):\n while True: speak({{'call': 'add', 'args': [1], 'named': {{}}}})"
    flooded = run_python(source, inputs=None, tools={"add": add}, limits=Limits(calls=500))
    assert (code_of(flooded), flooded.calls["add"]) == ("JC458", 500)
    deaf = run_python(source, inputs=None, tools={"add": lambda a: "x" * 100_000}, limits=Limits(wall_s=20))
    assert code_of(deaf) == "JC458"


@isolated
def test_the_first_result_counts() -> None:
    source = f"{RAW}\ndef run(i, t):\n speak({{'value': 1}}); speak({{'value': 2}}); return 3"
    assert run_python(source, inputs=None).value == 1


# -------------------------------------------------------------------------------------------------------- the result

RESULTS = {
    "too large": ("return 'x' * 5000", "JC456"),
    "a set": ("return {1}", "JC456"),
    "not a number": ("return float('nan')", "JC456"),
    "a function": ("return run", "JC456"),
    "a ring": ("x = []; x.append(x); return x", "JC456"),
}


@isolated
@pytest.mark.parametrize("name", RESULTS)
def test_a_result_that_is_none(name: str) -> None:
    body, code = RESULTS[name]
    assert code_of(run_python(f"def run(i, t): {body}", inputs=None, limits=Limits(output_bytes=1000))) == code


@isolated
def test_what_is_printed_is_forgotten() -> None:
    source = (
        "import sys\ndef run(i, t):\n for _ in range(99): print('x' * 99999, file=sys.stderr); print('y')\n return 1"
    )
    assert run_python(source, inputs=None, limits=Limits(output_bytes=100)).value == 1


@isolated
def test_faults_say_where_and_never_what() -> None:
    note = "fell off a ladder"
    faults = {
        "x = (": ("JC452", "SyntaxError", 1),
        "def other(i, t): pass": ("JC452", "TypeError", 0),
        "def run(i, t):\n return (\n  1 / 0\n )": ("JC457", "ZeroDivisionError", 3),
        "def run(i, t):\n raise type(i, (KeyError,), {})(i)": ("JC457", "KeyError", 2),
        "def run(i, t):\n raise type(i.title(), (Exception,), {'__module__': 'builtins'})(i)": (
            "JC457",
            "Exception",
            2,
        ),
        "import numpy": ("JC457", "ModuleNotFoundError", 1),
    }
    assert code_of(run_python("x = 1\0", inputs=note)) == "JC452"
    for source, expected in faults.items():
        result = run_python(source, inputs=note)
        assert result.fault
        assert (result.fault.code, result.fault.type, result.fault.line) == expected, source
        assert note.lower() not in repr(result).lower()


@isolated
def test_a_caller_s_own_mistakes_are_raised() -> None:
    for wrong in ({"inputs": {1, 2}}, {"inputs": math.nan}, {"inputs": None, "entry": "a b"}):
        with pytest.raises(UsageError, match="JC001"):
            run_python("def run(i, t): pass", **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="JC001"):
        run_python("def run(i, t): pass", inputs=None, tools={"a.b": add})
    for limit in ({"wall_s": 0}, {"memory_mb": math.inf}, {"calls": -1}):
        with pytest.raises(UsageError, match="JC001"):
            Limits(**limit)  # type: ignore[arg-type]
    assert code_of(run_python("#" * 200_000, inputs=None)) == "JC452"


@isolated
def test_results_are_json_to_the_letter() -> None:
    value = {"a": [1, 2.5, None, True, "\U0001f600 \udc00 中"], "b": {"": -1}}
    assert run_python("def run(i, t): return i", inputs=value).value == value
    assert json.dumps(run_python("def run(i, t): return {1: (2, 3)}", inputs=None).value) == '{"1": [2, 3]}'
