"""Learned packs: what coded history teaches, as small files that explain themselves.

    pack.py       a folder with pack.json and one sub-folder a part; verified by sha256 when opened
    combiner.py   named features → log-odds → calibrated probability, with each feature's share
    proposal.py   what a part says of an encounter
    mentions/     codes found in running text, learned from marked evidence
    terms/        a mention → standard names, learned from term pairs
    labels/       a whole record → a closed set of codes, learned from coded records without marked evidence
    drafts.py     how sure the model workflow may be of its drafts

Packs are trained by :mod:`jointcoder.learn`; nothing here trains, and nothing here knows steps or workflows.
"""

from jointcoder.packs.combiner import Combiner
from jointcoder.packs.pack import Pack, PackInfo
from jointcoder.packs.proposal import Proposal

__all__ = ["Combiner", "Pack", "PackInfo", "Proposal"]
