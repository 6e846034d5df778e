"""Schema → grammar → greedy token that the grammar accepts.

The converter covers exactly the keywords that :func:`structured.lint_schema` lets pass. The one that
llama-cpp-python carries is not used, for three reasons that its grammars show: strings may hold raw line breaks
(not JSON), Chinese ``enum`` values become ``\\uXXXX`` escapes (which no model writes), and integer bounds are
skipped. Objects are written in the order of their ``properties``, all of them, with at most one space between
tokens. llama.cpp's own GBNF engine does the matching; strings that are copies are held to the text by copying.py,
beside the grammar, which takes them for plain strings. This module knows nothing of prompts.
"""

from __future__ import annotations

import ctypes
import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from jointcoder.errors import ModelError
from jointcoder.llm.copying import Copying, Pieces, by_logit
from jointcoder.llm.engine import Engine, Row

SHORTLIST = 256  # likeliest tokens tried before the whole vocabulary
MAX_LITERALS = 512  # integers written out one by one; wider ranges are bounded by their number of digits

_BASICS = {
    "ws": '" "?',
    # No control characters, no \u escapes: text is copied as it stands, and lone surrogates cannot arise.
    "char": r'[^"\\\x00-\x1F\x7F] | "\\" ["\\/bfnrt]',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "number": '"-"? ("0" | [1-9] [0-9]{0,14}) ("." [0-9]{1,15})?',
    "integer": '"-"? ("0" | [1-9] [0-9]{0,14})',
}


def gbnf(schema: Mapping[str, Any]) -> str:
    """The schema's grammar in llama.cpp's notation. The schema must have passed ``lint_schema``."""
    rules: dict[str, str] = {}
    root = _rule(schema, "root", rules)
    if root != "root":
        rules["root"] = root
    return "\n".join(f"{name} ::= {body}" for name, body in (rules | _BASICS).items())


def _rule(schema: Mapping[str, Any], name: str, rules: dict[str, str]) -> str:
    """The name of the rule, or an expression in brackets, that matches ``schema``."""
    if "const" in schema or "enum" in schema:
        values = [schema["const"]] if "const" in schema else schema["enum"]
        return "(" + " | ".join(_literal(json.dumps(value, ensure_ascii=False)) for value in values) + ")"
    kind = schema["type"]
    if kind == "object":
        parts = [
            f'{_literal(json.dumps(key, ensure_ascii=False))} ":" ws {_rule(part, f"{name}-{i}", rules)}'
            for i, (key, part) in enumerate(schema["properties"].items())
        ]
        rules[name] = '"{" ws ' + ' "," ws '.join(parts) + ' ws "}"'
        return name
    if kind == "array":
        item = _rule(schema["items"], f"{name}-item", rules)
        rules[name] = f'"[" ws {_items(item, schema.get("minItems", 0), schema.get("maxItems"))} ws "]"'
        return name
    if kind == "string":
        low, high = schema.get("minLength", 0), schema.get("maxLength", "")
        return f'("\\"" char{{{low},{high}}} "\\"")' if low or high != "" else '("\\"" char* "\\"")'
    if kind == "integer":
        return _integer(schema.get("minimum"), schema.get("maximum"))
    return str(kind)


def _items(item: str, low: int, high: int | None) -> str:
    if high == 0:
        return '""'
    more = f'("," ws {item}){{{max(low - 1, 0)},{"" if high is None else high - 1}}}'
    return f"{item} {more}" if low else f"({item} {more})?"


def _integer(low: int | None, high: int | None) -> str:
    if low is not None and high is not None and high - low < MAX_LITERALS:
        return "(" + " | ".join(f'"{value}"' for value in range(low, high + 1)) + ")"
    sign = '"-"? ' if low is None or low < 0 else ""
    bounds = [bound for bound in (low, high) if bound is not None]
    digits = max(len(str(abs(bound))) for bound in bounds) if len(bounds) == 2 else 15
    return f'({sign}("0" | [1-9] [0-9]{{0,{digits - 1}}}))'


def _literal(text: str) -> str:
    return '"' + re.sub(r'["\\]', lambda found: "\\" + found.group(), text).replace("\n", "\\n") + '"'


class Constraint:
    """The state of one answer in a grammar, and of its copies in their text. ``close`` frees it.

    The likeliest token is tested alone first and the vocabulary only when it is refused, so that a model which
    writes what it should costs next to nothing. The result is the same: the likeliest token that is allowed.
    """

    def __init__(
        self, engine: Engine, grammar: str, *, copying: Copying | None = None, pieces: Pieces | None = None
    ) -> None:
        self._engine, self._api = engine, engine.api
        self._copying = copying
        self._pieces = pieces or Pieces(engine.piece, engine.vocabulary)
        self._sampler = self._api.llama_sampler_init_grammar(engine.vocab, grammar.encode(), b"root")
        if not self._sampler:
            raise ModelError("JC305", "the engine refused the grammar of the answer's schema")

    def allows(self, token: int) -> bool:
        """Whether ``token`` may come next."""
        return self._copies(token) and self._fits(token)

    def accept(self, token: int) -> None:
        """Go on by a token that :meth:`allows` (or :meth:`choose` returned); not by one that ends the answer."""
        if self._copying is not None:
            self._copying.accept(self._pieces[token])
        self._api.llama_sampler_accept(self._sampler, token)

    def choose(self, row: Row) -> int | None:
        """The likeliest token that may come next, the end of the answer included; None if there is none."""
        first = int(row.argmax())
        if self.allows(first):
            return first
        if self._copying is not None and self._copying.inside:
            return self._choose_inside(row, self._copying)
        near = np.argpartition(row, -SHORTLIST)[-SHORTLIST:] if len(row) > SHORTLIST else np.arange(len(row))
        best = self._choose_among(near, row)
        return best if best is not None else self._choose_among(np.arange(len(row)), row)

    def _choose_inside(self, row: Row, copying: Copying) -> int | None:
        """Inside a copy few tokens can follow, and they may stand far behind in the model's favour. Where none can, the
        copy may end inside a word."""
        tokens = self._pieces.beginning(copying.first_bytes())
        for anywhere in (False, True):
            for token in by_logit(tokens, row):
                if copying.allows(self._pieces[token], anywhere=anywhere) and self._fits(token):
                    return token
        return None

    def _choose_among(self, tokens: Any, row: Row) -> int | None:
        """The likeliest that the grammar accepts; tokens that begin a copy with what the text does not hold are passed
        over."""
        while len(tokens):
            best = self._best(tokens, row[tokens])
            if best is None or self._copies(best):
                return best
            tokens = tokens[tokens != best]
        return None

    def _copies(self, token: int) -> bool:
        return self._copying is None or self._copying.allows(self._pieces[token])

    def _fits(self, token: int) -> bool:
        """Whether the grammar accepts ``token`` next."""
        return self._best(np.array([token]), np.zeros(1, dtype=np.float32)) is not None

    def _best(self, tokens: Any, logits: Any) -> int | None:
        api = self._api
        table = np.zeros(
            len(tokens),
            dtype=np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)], align=True),
        )
        table["id"], table["logit"] = tokens, logits
        array = api.llama_token_data_array(
            data=table.ctypes.data_as(ctypes.POINTER(api.llama_token_data)),
            size=len(table),
            selected=-1,
            sorted=False,
        )
        api.llama_sampler_apply(self._sampler, ctypes.byref(array))
        scores = table["logit"]
        # Ties go to the lowest token number, whatever the order of the shortlist.
        best = scores.max()
        return None if np.isneginf(best) else int(table["id"][scores == best].min())

    def close(self) -> None:
        if self._sampler:
            self._api.llama_sampler_free(self._sampler)
            self._sampler = None
