"""Labelled data: one loader a corpus, chosen by the fields of the first record.

    load(path)        encounters with gold codes   codiesp, aci_bench, ccl25, jointcoder_samples, mdace, generic
    load_terms(path)  mention → standard term      CHIP-CDN, Yidu-N7K and files laid out like them

Loaders read a path that the user names; no data ships with the program.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from jointcoder.corpora import aci_bench, ccl25, codiesp, generic, jointcoder_samples, mdace, terms
from jointcoder.corpora.base import Corpus, GoldCode, GoldSpan, Labelled, Row, Where, checked_limit, lines
from jointcoder.corpora.terms import TermCorpus, TermPair, load_terms

__all__ = ["Corpus", "GoldCode", "GoldSpan", "Labelled", "TermCorpus", "TermPair", "load", "load_terms"]

_LOADERS = (mdace, ccl25, jointcoder_samples, codiesp, aci_bench, generic)  # the special before the general


def load(path: Path | str, *, limit: int | None = None) -> Corpus:
    """Read a JSON-lines file of labelled encounters; ``limit`` keeps the first records only.

    The whole file is checked whatever the limit. Raises InputError: JC107 (cannot be read), JC102 (not UTF-8),
    JC104 (a line is not JSON), JC101 (no record, or no text in it), JC108 (a field is wrong, an id comes twice,
    or the file holds term pairs). Messages name file and line, never content.
    """
    path, limit = Path(path), checked_limit(limit)
    rows = lines(path)
    where, first = next(rows)
    if terms.matches(first):
        raise where.error("the file holds term pairs, not encounters", hint="evaluate it with --task normalise")
    loader = next((module for module in _LOADERS if module.matches(first)), None)
    if loader is None:
        raise where.error("no text, sections or documents to code", code="JC101")
    corpus: Corpus = loader.load(path, _unique(chain([(where, first)], rows), notes=loader is mdace))
    return corpus if limit is None else replace(corpus, items=corpus.items[:limit])


def _unique(rows: Iterator[tuple[Where, Row]], *, notes: bool) -> Iterator[tuple[Where, Row]]:
    """Ids tell records apart everywhere downstream, so one that comes twice is an error."""
    seen: set[object] = set()
    for where, row in rows:
        identity = row.get("note_id") if notes else row.get("id")
        if isinstance(identity, (str, int)) and identity in seen:
            raise where.error("an id comes twice")
        if isinstance(identity, (str, int)):
            seen.add(identity)
        yield where, row
