"""Codes found in running text, learned from encounters whose codes have marked evidence.

    part = pack.part("mentions", lookup=lookup)
    part.propose(encounter, "es")                  ranked proposals with evidence and reasons
    part.unsure(encounter, "es")                   what a language model may be asked about
    part.propose(encounter, "es", verdicts={("ICD-10-CM", "J18.9"): 1.7})

    tokens → lexicon, tagger, likeness, book → evidence → features → first look → company → second look → proposals

| file | what |
|---|---|
| `tokens.py` | encounter → levelled words |
| `meanings.py` | wordings that mean the same → one form |
| `lexicon.py` | marked wordings and how often they meant their code |
| `tagger.py` | where a code is worded |
| `likeness.py` | wordings never seen → like ones |
| `evidence.py`, `features.py`, `second.py` | what speaks for a code, as figures |
| `part.py` | models, thresholds, proposals |
| `verdicts.py` | questions for a model, and its answers as one more feature |

Trained by :mod:`jointcoder.learn.mentions`.
"""

from jointcoder.packs.mentions.part import Mentions

__all__ = ["Mentions"]
