"""What the commands that read records share: options to a mapping, and the count of what failed, said once each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from jointcoder.cli import common
from jointcoder.errors import InputError

if TYPE_CHECKING:
    from jointcoder.errors import JointCoderError
    from jointcoder.exchange.incoming import Incoming

SAID = 20  # failures told one by one; the others are counted


def records(
    file: str,
    *,
    mapping: Path | None,
    sheet: str | None,
    limit: int | None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Incoming]:
    """The records of a file, or of standard input (``-``). ``sheet``: a name, or a number from 1. ``progress``: see
    :func:`jointcoder.exchange.reading.read`."""
    import sys

    from jointcoder.exchange.mapping import ColumnMapping
    from jointcoder.exchange.reading import read

    described = ColumnMapping.read(mapping) if mapping else None
    given = sys.stdin.buffer.read() if file == "-" else Path(file)
    return islice(read(given, mapping=described, sheet=numbered(sheet), progress=progress), limit)


def numbered(sheet: str | None) -> str | int | None:
    """A sheet by name, or by number where the option is one."""
    return int(sheet) if sheet and sheet.isdecimal() else sheet


@dataclass
class Tally:
    """Records done, and failed by error code."""

    done: int = 0
    failed: Counter[str] = field(default_factory=Counter)

    def fails(self, error: JointCoderError) -> None:
        """Count a failure, and say it while they are few."""
        self.failed[error.code] += 1
        if self.failed.total() <= SAID:
            common.warn(error.code, error.message)
            if error.hint and self.failed[error.code] == 1:
                common.say(f"      {error.hint}")

    def close(self, verb: str) -> None:
        """Say how it went; leave with the exit code of bad input when some failed."""
        if not self.failed:
            common.say(f"{self.done} {verb}")
            return
        codes = ", ".join(f"{code} {count}" for code, count in sorted(self.failed.items()))
        common.stderr().print(f"{self.done} {verb}, {self.failed.total()} failed ({codes})", highlight=False)
        raise SystemExit(InputError.exit_code)
