"""Queries in a language in which the book has no names: word for word into the book's language.

Terms of medicine are near cousins in European languages. A phrase table (`data/<language>/bridge.tsv`) gives the words
that differ, `endings.tsv` and `beginnings.tsv` those that differ regularly (``-ción`` → ``-tion``); what is unknown is
left to the spelling correction of the search. This is a makeshift for books without names in the language: word
order is lost where a phrase is not listed, and no table of this size is complete.
"""

from __future__ import annotations

from collections.abc import Iterator

from jointcoder.codebook.analysis import Analyser, Analysis, Raw, Tables, WordAnalyser

LONGEST = 5
SHORTEST = 6  # letters of a word below which it is not rewritten


class BridgeAnalyser(Analyser):
    """Analyses ``tables.language`` as if it were the language of ``target``. Immutable, like all analysers."""

    def __init__(self, tables: Tables, target: WordAnalyser) -> None:
        super().__init__(tables)
        self._target = target
        self.weights = target.weights
        rows = (*tables.get("bridge"), *((row[0], row[1]) for row in tables.get("sides")))
        self._phrases = {tuple(target.plain(row[0]).split()): row[1].split() for row in rows}
        self._stop = frozenset(target.plain(row[0]) for row in tables.get("stop"))
        endings = ((target.plain(row[0]), row[1]) for row in tables.get("endings"))
        self._endings = tuple(sorted(endings, key=lambda pair: -len(pair[0])))
        beginnings = ((target.plain(row[0]), row[1]) for row in tables.get("beginnings"))
        self._beginnings = tuple(sorted(beginnings, key=lambda pair: -len(pair[0])))

    def analyse(self, text: str, *, query: bool = False, procedures: bool = False) -> Analysis:
        return self._target.finish(list(self._carry(self._target.raw_words(text, "never"))), procedures)

    def runs(self, text: str, *, procedures: bool = False) -> Iterator[Analysis]:
        for words in self._target.raw_runs(text, "never"):
            yield self._target.finish(list(self._carry(words)), procedures)

    def _carry(self, words: list[Raw]) -> Iterator[Raw]:
        at = 0
        while at < len(words):
            length, found = self._phrase(words, at)
            start, end, aside = words[at][1], words[at + length - 1][2], words[at][3]
            for word in found:
                yield word, start, end, aside
            at += length

    def _phrase(self, words: list[Raw], at: int) -> tuple[int, list[str]]:
        for length in range(min(LONGEST, len(words) - at), 0, -1):
            found = self._phrases.get(tuple(word[0] for word in words[at : at + length]))
            if found is not None:
                return length, found
        word = words[at][0]
        return 1, [] if word in self._stop else [self._cousin(word)]

    def _cousin(self, word: str) -> str:
        if len(word) < SHORTEST:
            return word
        for ending, other in self._endings:
            if word.endswith(ending):
                word = word.removesuffix(ending) + other
                break
        for beginning, other in self._beginnings:
            if word.startswith(beginning):
                return other + word.removeprefix(beginning)
        return word
