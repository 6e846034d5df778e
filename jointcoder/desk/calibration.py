"""From which confidence codes may be accepted together, measured on the reviews that coders of this house finished.

    calibration = Calibration(outcomes)      # of every finished review, for each code: (confidence, was it right)
    calibration.start()                      # measures now, then whenever enough reviews were finished
    calibration.finished()                   # one more was
    calibration.found                        # None until it was measured

Measured anew when the finished reviews have grown by a tenth, at least by :data:`STEP`: over the years each review is
read about as often as there are digits in their number, and no clock is needed. The work is done beside the requests,
by one thread. Whoever finishes reviews in another process is counted at the next measuring.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from jointcoder.desk.bands import Bulk, measured
from jointcoder.errors import JointCoderError

log = logging.getLogger(__name__)

STEP = 20  # finished reviews, before it is worth measuring again
SHARE = 0.1  # of those that were read last time
Outcomes = Sequence[tuple[float, bool]]


class Calibration:
    """See the module. ``outcomes``: read anew at each measuring; None for a review whose confidence is not calibrated.
    Safe to share between threads."""

    def __init__(self, outcomes: Callable[[], Iterable[Outcomes | None]]) -> None:
        self.outcomes = outcomes
        self.found: Bulk | None = None
        self._measuring = threading.Lock()
        self._news = threading.Condition()
        self._running = self._due = False
        self._read = self._fresh = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Measure beside the requests, now and from now on."""
        with self._news:
            if self._running:
                return
            self._running = self._due = True
        self._thread = threading.Thread(target=self._work, name="calibration", daemon=True)
        self._thread.start()

    def stop(self, *, timeout_s: float = 30.0) -> None:
        """Measure no more."""
        with self._news:
            self._running = False
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def finished(self) -> None:
        """A review was finished."""
        with self._news:
            self._fresh += 1
            if self._fresh >= max(STEP, SHARE * self._read):
                self._due = True
                self._news.notify_all()

    def measure(self) -> Bulk:
        """Measure at once. Raises AssetError JC430 and InputError JC479 as the store does; what was found before stays
        then."""
        with self._measuring:
            with self._news:
                self._fresh = 0
            read = counted = 0
            codes: list[tuple[float, bool]] = []
            for one in self.outcomes():
                read += 1
                if one is not None:
                    counted += 1
                    codes += one
            self.found = replace(measured(codes), reviews=counted, codes=len(codes))
            with self._news:
                self._read = read
            return self.found

    def applied(self, given: Bulk) -> Bulk:
        """What counts for a record of which a pack's calibration supports ``given``: what was measured here goes
        before it, where coders decided on enough codes; a record without calibration has none."""
        found = self.found
        if found is None or given.reason == "not_calibrated":
            return given
        if found.reason == "calibration_unknown":
            return replace(given, reviews=found.reviews, codes=found.codes)
        return found

    def _work(self) -> None:
        while True:
            with self._news:
                while self._running and not self._due:
                    self._news.wait()
                if not self._running:
                    return
                self._due = False
            try:
                self.measure()
            except JointCoderError as error:
                log.warning("the calibration could not be measured: %s", error.code)
            except Exception as error:
                log.error("the calibration could not be measured: %s", type(error).__name__)
                log.debug("the calibration could not be measured", exc_info=True)
