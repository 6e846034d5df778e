"""What each stage of coding left behind, told to whoever watches an encounter being coded.

    for event in stages.subscribe(version):       # None every few seconds while nothing happens
        …                                         # past events first, then as they come, until done or failed

In this process only, and in memory: it is a view, the truth is in the store. Another process's workers are not seen;
who watches looks at the worklist line where nothing comes. Events hold offsets and names of codes, no text of the note.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from jointcoder.records import AssignedCode, Kind, Mention, StepTrace, System
from jointcoder.steps.base import State

KEPT = 64  # encounters whose stages stay readable after their end
Place = tuple[int, int, int]
"""Document, start and end in code points."""


@dataclass(frozen=True)
class StageMention:
    """A condition or procedure found so far, and where."""

    kind: Kind
    place: Place


@dataclass(frozen=True)
class StageCode:
    """A code as it stands after the stage, and where its evidence is."""

    system: System
    code: str
    name: str
    confidence: float
    places: tuple[Place, ...]


@dataclass(frozen=True)
class StageEvent:
    """One stage of ``total`` that ended (``state`` stage), or the end: ``done`` or ``failed`` with its error code.
    ``seconds``: what the stage took; ``counts``: how many of each thing it wrote."""

    encounter: str
    version: str
    state: str
    number: int
    total: int
    step: str = ""
    component: str = ""
    seconds: float = 0.0
    counts: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    mentions: tuple[StageMention, ...] = ()
    codes: tuple[StageCode, ...] = ()
    error_code: str = ""

    @property
    def last(self) -> bool:
        return self.state != "stage"


@dataclass
class _Channel:
    """The events of one version so far; ``run`` tells one coding of it from the next."""

    encounter: str
    total: int
    events: list[StageEvent] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1].last


class Stages:
    """The hub. Safe to share between threads."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._channels: OrderedDict[str, _Channel] = OrderedDict()

    # ------------------------------------------------------------------------------------------------------ telling

    def begin(self, version: str, *, encounter: str, total: int) -> None:
        """A coding of this version in ``total`` stages begins; those of an earlier one are forgotten."""
        with self._news:
            self._channels.pop(version, None)
            self._channels[version] = _Channel(encounter, total)
            ended = [one for one, channel in self._channels.items() if channel.ended]
            for one in ended[: max(0, len(ended) - KEPT)]:
                del self._channels[one]

    def stage(self, version: str, state: State, trace: StepTrace) -> None:
        """A stage ended."""
        with self._news:
            channel = self._channels.get(version)
            if channel is None or channel.ended:
                return
            channel.events.append(
                StageEvent(
                    encounter=channel.encounter,
                    version=version,
                    state="stage",
                    number=len(channel.events) + 1,
                    total=channel.total,
                    step=trace.step,
                    component=trace.component,
                    seconds=trace.cost.seconds,
                    counts=MappingProxyType(dict(trace.wrote)),
                    mentions=_mentions(state.mentions),
                    codes=_codes((*state.diagnoses, *state.procedures)),
                )
            )
            self._news.notify_all()

    def end(self, version: str, *, error_code: str = "") -> None:
        """The coding of this version ended."""
        with self._news:
            channel = self._channels.get(version)
            if channel is None or channel.ended:
                return
            state, number = "failed" if error_code else "done", len(channel.events)
            last = StageEvent(channel.encounter, version, state, number, channel.total, error_code=error_code)
            channel.events.append(last)
            self._news.notify_all()

    # ---------------------------------------------------------------------------------------------------- listening

    def running(self, version: str) -> bool:
        """Whether this version is being coded in this process."""
        with self._news:
            channel = self._channels.get(version)
            return channel is not None and not channel.ended

    def past(self, version: str) -> tuple[StageEvent, ...]:
        """The events of this version so far, of its last coding."""
        with self._news:
            channel = self._channels.get(version)
            return tuple(channel.events) if channel else ()

    def subscribe(self, version: str, *, timeout_s: float = 15.0) -> Iterator[StageEvent | None]:
        """The events of this version, those that are past first; None whenever ``timeout_s`` went by without one. Ends
        after the last event. Blocks: run it in a thread."""
        seen: _Channel | None = None
        told = 0
        while True:
            with self._news:
                deadline = time.monotonic() + timeout_s
                while not (found := self._after(version, seen, told)):
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._news.wait(left):
                        break
                channel = self._channels.get(version)
                if channel is not seen:
                    seen, told = channel, 0
                told += len(found)
            yield from found or (None,)
            if found and found[-1].last:
                return

    def _after(self, version: str, seen: _Channel | None, told: int) -> list[StageEvent]:
        channel = self._channels.get(version)
        if channel is None:
            return []
        return channel.events[told if channel is seen else 0 :]


def _mentions(mentions: Sequence[Mention]) -> tuple[StageMention, ...]:
    return tuple(StageMention(one.kind, (one.span.document, one.span.start, one.span.end)) for one in mentions)


def _codes(codes: Sequence[AssignedCode]) -> tuple[StageCode, ...]:
    return tuple(
        StageCode(
            one.system,
            one.code,
            one.name,
            one.confidence,
            tuple((span.document, span.start, span.end) for span in one.evidence),
        )
        for one in codes
    )
