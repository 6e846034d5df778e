"""Which of the supported languages a note is written in, and whether it is in two of them.

Script shares decide between Chinese, the Latin alphabet and everything else; py3langid (naive Bayes over byte
n-grams, Lui & Baldwin 2012) decides within the Latin alphabet. Lists of abbreviations carry no language, so only
enough running text may call a note unsupported; anything shorter falls back to English, or to Spanish where that
is the likelier. Knows nothing of sections or of what the text says.
"""

from __future__ import annotations

import io
import lzma
import re
from array import array
from dataclasses import dataclass
from functools import cache
from typing import Any

from jointcoder.errors import InputError, name_list
from jointcoder.text.resources import LANGUAGES, toml

_HAN = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_WORD = re.compile(r"[^\W\d_]+")
_LATIN_WORD = re.compile("[A-Za-z\u00c0-\u024f]+(?:['’-][A-Za-z\u00c0-\u024f]+)*")
_HAN_PER_WORD = 1.7  # Chinese characters that say about as much as one Latin word
_MIXED_SHARE = 0.25
_PROSE_WORDS = 6
_MIN_WORDS = 8  # fewer running words never make a text unsupported
_MIN_PROBABILITY = 0.6
_BLOCK = 400
_SAMPLE = 20_000
_ARRAYS = {2: "H", 4: "I", 8: "L"}  # by bytes a number


@dataclass(frozen=True)
class Detected:
    """The dominant language, its probability (0–1), and whether a quarter or more is in another one."""

    language: str
    confidence: float
    mixed: bool = False


def detect(text: str) -> Detected:
    """Detect the language of a note. InputError JC105 if it is clearly none of the supported ones."""
    sample = text[:_SAMPLE]
    han = len(_HAN.findall(sample))
    _refuse_other_scripts(sample, han)
    chinese = han / _HAN_PER_WORD
    words = _LATIN_WORD.findall(sample)
    if han == 0:
        return _latin(sample)
    prose = _prose_words(sample)
    total = chinese + prose
    if prose > chinese and prose >= _PROSE_WORDS:
        latin = _latin(_HAN.sub(" ", sample))
        return Detected(latin.language, prose / total, latin.mixed or chinese / total >= _MIXED_SHARE)
    if chinese < 0.1 * len(words) and len(words) >= _MIN_WORDS:
        return _latin(_HAN.sub(" ", sample))
    return Detected("zh", chinese / total, prose / total >= _MIXED_SHARE)


def _refuse_other_scripts(sample: str, han: int) -> None:
    letters = sum(len(word) for word in _WORD.findall(sample))
    for name, pattern in _scripts():
        found = len(pattern.findall(sample))
        # Japanese mixes kana into Han text; a stray kana or a Greek letter in a note means nothing.
        threshold = 0.15 * letters if name == "Japanese" else 0.5 * (letters - han)
        if found >= 4 and found >= threshold:
            raise _unsupported(name)


@cache
def _scripts() -> tuple[tuple[str, re.Pattern[str]], ...]:
    def pattern(ranges: list[list[str]]) -> re.Pattern[str]:
        spans = (f"{chr(int(first, 16))}-{chr(int(last, 16))}" for first, last in ranges)
        return re.compile(f"[{''.join(spans)}]")

    return tuple((str(s["name"]), pattern(s["ranges"])) for s in toml("languages")["scripts"])


def _unsupported(name: str) -> InputError:
    names = [*(toml("languages")["latin"][code] for code in LANGUAGES if code != "zh"), "Chinese"]
    return InputError(
        "JC105",
        f"the text seems to be {name}, which is not supported",
        hint=f"supported languages: {name_list(names)}; set the language yourself if this is wrong",
    )


def _latin(sample: str) -> Detected:
    probabilities = _probabilities(sample)
    best = max(probabilities, key=lambda code: probabilities[code])
    if best not in LANGUAGES:
        if _running_words(sample) >= _MIN_WORDS and probabilities[best] >= _MIN_PROBABILITY:
            raise _unsupported(str(toml("languages")["latin"][best]))
        best = "es" if probabilities["es"] > 2 * probabilities["en"] else "en"
    confidence = probabilities[best] / (probabilities["en"] + probabilities["es"])
    return Detected(best, confidence, _is_mixed_latin(sample, best))


def _probabilities(text: str) -> dict[str, float]:
    return {code: float(p) for code, p in _identifier().rank(text)}


@cache
def _identifier() -> Any:
    from py3langid import langid

    try:
        identifier = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
    except OSError:
        identifier = _from_memory(langid)
    identifier.set_languages(list(toml("languages")["latin"]))
    return identifier


def _from_memory(langid: Any) -> Any:
    """The same identifier without a temporary file, which py3langid unpacks its model into: for a read-only system or a
    full disk."""
    import numpy as np

    with lzma.open(langid.MODEL_DIR / langid.MODEL_FILE) as packed:
        unpacked = io.BytesIO(packed.read())
    with np.load(unpacked, allow_pickle=False) as model:
        nextmove, rows = (
            array(_ARRAYS[table.itemsize], table.tobytes()) for table in (model["nextmove"], model["nextmove_row"])
        )
        return langid.LanguageIdentifier(
            model["ptc"],
            model["pc"],
            model["classes"].tolist(),
            nextmove,
            model["out_feat"].tolist(),
            norm_probs=True,
            tk_row=rows,
        )


def _running_words(sample: str) -> int:
    """Words that are not abbreviations: lower case, or an all-capitals text's words of four letters or more."""
    words = _LATIN_WORD.findall(sample)
    if sample.isupper():
        return sum(1 for word in words if len(word) >= 4)
    return sum(1 for word in words if len(word) >= 2 and word[1:].islower())


def _prose_words(sample: str) -> int:
    """Latin words in runs long enough to be sentences, not drug names within Chinese text."""
    count = 0
    for stretch in _HAN.split(sample):
        words = _LATIN_WORD.findall(stretch)
        plain = sum(1 for word in words if len(word) >= 3 and word.islower())  # not "mg", "qd"
        if len(words) >= _PROSE_WORDS and 2 * plain >= len(words):
            count += len(words)
    return count


def _is_mixed_latin(sample: str, language: str) -> bool:
    """Whether blocks of running text in the other of English and Spanish make a quarter or more."""
    other = "es" if language == "en" else "en"
    sizes = {language: 0, other: 0}
    for block in _blocks(sample):
        words = _running_words(block)
        if words < _MIN_WORDS:
            continue
        probabilities = _probabilities(block)
        best = max(probabilities, key=lambda code: probabilities[code])
        if best in sizes and probabilities[best] >= _MIN_PROBABILITY:
            sizes[best] += words
    total = sum(sizes.values())
    return total > 0 and sizes[other] / total >= _MIXED_SHARE


def _blocks(sample: str) -> list[str]:
    """Lines, cut into sentences where they are long."""
    blocks: list[str] = []
    for line in sample.splitlines():
        blocks.extend(re.split(r"(?<=[.!?])\s", line) if len(line) > _BLOCK // 4 else [line])
    return blocks
