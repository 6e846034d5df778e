"""Where a model server may stand, and scores from a short list of tokens: what needs no server."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jointcoder.errors import ModelError, UsageError
from jointcoder.llm.base import Question
from jointcoder.llm.http import guessed_tokens
from jointcoder.llm.likeliest import Seen
from jointcoder.llm.wire import Wire, is_inside

pytest.importorskip("openai", reason="the client for model servers is not installed")


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "10.1.2.3", "172.31.0.1", "192.168.9.9", "fd00::1", "fe80::1%eth0", "::ffff:10.0.0.1"],
)
def test_addresses_on_the_premises(address: str) -> None:
    assert is_inside(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "172.32.0.1", "192.169.0.1", "100.64.0.1", "0.0.0.0", "2001:4860::1", "::ffff:8.8.8.8"]
)
def test_addresses_elsewhere(address: str) -> None:
    assert not is_inside(address)


def test_notes_do_not_leave_the_premises_unless_it_is_said() -> None:
    with pytest.raises(ModelError, match=r"JC310.*8\.8\.8\.8") as raised:
        Wire("https://8.8.8.8/v1")
    assert "allow_remote" in raised.value.hint
    wire = Wire("https://8.8.8.8/v1", allow_remote=True)  # nothing is sent at opening
    wire.close()


@pytest.mark.parametrize(
    "url", ["", "localhost", "ftp://127.0.0.1", "http://", "http://me:secret@127.0.0.1/v1", "http://127.0.0.1:port/"]
)
def test_what_is_no_address_of_a_server(url: str) -> None:
    with pytest.raises(UsageError, match="JC001") as raised:
        Wire(url)
    assert "secret" not in str(raised.value) + raised.value.hint


scores = st.lists(st.floats(-12, -0.1), min_size=1, max_size=6)


@given(scores, st.integers(1, 4))
def test_an_unseen_option_is_worth_less_than_any_seen(seen: list[float], unseen: int) -> None:
    whole = math.log(sum(map(math.exp, seen)) + 0.05)
    tokens = {chr(ord("A") + i): score - max(0.0, whole) for i, score in enumerate(seen)}
    options = (*tokens, *(f"?{i}" for i in range(unseen)))
    score = Seen(Question("Which?", options))
    score.see(tokens)
    assert score.unseen == list(options[len(tokens) :])
    logprobs, mass = score.result()
    assert sum(map(math.exp, logprobs)) == pytest.approx(1)
    assert mass == pytest.approx(sum(map(math.exp, tokens.values())))
    assert max(logprobs[len(tokens) :]) < min(logprobs[: len(tokens)])
    assert len(set(logprobs[len(tokens) :])) == 1


def test_none_seen_leaves_no_mass() -> None:
    score = Seen(Question("Which?", ("A", "B")))
    score.see({"The": -0.1, "It": -3.0})
    logprobs, mass = score.result()
    assert logprobs == pytest.approx((math.log(0.5), math.log(0.5)))
    assert mass == 0


def test_an_option_that_begins_another_keeps_the_rest() -> None:
    score = Seen(Question("How many?", ("1", "10", "100", "2")))
    score.see({"1": math.log(0.5), "2": math.log(0.25)})
    score.force("10", [("1", math.log(0.5)), ("0", math.log(0.4))])
    score.force("100", [("1", math.log(0.5)), ("0", math.log(0.4)), ("0", math.log(0.25))])
    logprobs, mass = score.result()
    assert [math.exp(x) * mass for x in logprobs] == pytest.approx([0.3, 0.15, 0.05, 0.25])


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=80))
def test_the_guess_grows_with_the_text(text: str) -> None:
    assert 1 <= guessed_tokens(text) <= 1 + 2 * len(text)
    assert guessed_tokens(text + "7") == guessed_tokens(text) + 1
