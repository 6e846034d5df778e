"""What two wordings say differently, as features with readable names.

    difference(("left", "wrist"), ("right", "wrist"))  →  swap left>right

One alignment of units (longest common subsequence) gives stretches that only one side says and stretches that one says
where the other says something else. A log-linear model over these learns which differences matter: what similarity
alone cannot tell. And what a mention swaps against a known wording can be swapped in that wording's standard name:

    transfer(change, ("excision", "of", "left", "temporal", "lesion"))  →  the name that the mention should have

which helps for standard terms never seen in training whose siblings were. Knows nothing of weights and codes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rapidfuzz.distance import LCSseq

LONGEST = 6  # units of a stretch that is named in full


@dataclass(frozen=True, slots=True)
class Difference:
    """``same``: blocks (start, end) of the first wording that the second says too. ``swaps``: (first's, second's)
    stretches at one place. ``first``, ``second``: the window of the first wording from its first to its last same
    unit. ``outside``: units of the first wording beyond that window; they may belong to another term."""

    same: tuple[tuple[int, int], ...]
    swaps: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
    window: tuple[int, int]
    outside: tuple[tuple[str, ...], ...]

    @property
    def shared(self) -> int:
        return sum(end - start for start, end in self.same)


def difference(one: Sequence[str], other: Sequence[str]) -> Difference:
    """Align ``one`` (a mention) with ``other`` (a name or a known wording)."""
    same: list[tuple[int, int]] = []
    changes: list[tuple[int, int, int, int]] = []
    pending: list[int] | None = None
    for code in LCSseq.opcodes(one, other):
        if code.tag == "equal":
            same.append((code.src_start, code.src_end))
            if pending:
                changes.append((pending[0], pending[1], pending[2], pending[3]))
            pending = None
        elif pending is None:
            pending = [code.src_start, code.src_end, code.dest_start, code.dest_end]
        else:
            pending[1], pending[3] = code.src_end, code.dest_end
    if pending:
        changes.append((pending[0], pending[1], pending[2], pending[3]))
    window = (same[0][0], same[-1][1]) if same else (0, len(one))
    swaps: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    outside: list[tuple[str, ...]] = []
    for start, end, begin, stop in changes:
        mine, its = tuple(one[start:end]), tuple(other[begin:stop])
        if same and (end <= window[0] or start >= window[1]):
            if mine:
                outside.append(mine)
            if its:
                swaps.append(((), its))
                swaps.append((mine[-LONGEST:] if end <= window[0] else mine[:LONGEST], its))
        else:
            swaps.append((mine, its))
    return Difference(tuple(same), tuple(swaps), window, tuple(outside))


def names(difference: Difference, label: str) -> Iterator[str]:
    """The features of a difference. ``label`` tells apart whom the mention was compared with."""
    for mine, its in difference.swaps:
        if len(mine) <= LONGEST and len(its) <= LONGEST:
            yield f"{label} {_said(mine)}>{_said(its)}"
        if not mine or not its:
            sign = "-" if mine else "+"
            units = mine or its
            for unit in units:
                yield f"{label}{sign}{unit}"
        else:
            for unit in mine:
                yield f"{label}-{unit}"
            for unit in its:
                yield f"{label}+{unit}"
    for mine in difference.outside:
        if len(mine) <= LONGEST:
            yield f"{label} out {_said(mine)}"
        for unit in mine:
            yield f"{label} out {unit}"


def _said(units: Sequence[str]) -> str:
    return "·".join(units)


def transfer(change: Difference, name: Sequence[str]) -> tuple[str, ...] | None:
    """``name`` with the swaps of ``change`` (mention → known wording) applied; None when none fits.

    A swap whose stretch the name does not hold is passed over.
    """
    units = list(name)
    changed = False
    for mine, its in change.swaps:
        if not its:
            continue
        at = _find(units, its)
        if at >= 0:
            units[at : at + len(its)] = list(mine)
            changed = True
    return tuple(units) if changed and units else None


def _find(units: Sequence[str], wanted: Sequence[str]) -> int:
    width = len(wanted)
    for at in range(len(units) - width + 1):
        if tuple(units[at : at + width]) == tuple(wanted):
            return at
    return -1
