"""Uploading files: texts, PDF and scans, JSON and JSON lines, tables. What can be read is queued for coding.

    GET  /upload     the form           POST /upload     the files; the answer says what was queued and what was not

Each file goes through :func:`jointcoder.exchange.reading.read`, as on the command line; what is wrong is said with its
file, sheet, row or page and a code, and the rest goes on. Pictures of the pages of PDF files and scans are kept beside
the encounter, so that evidence can be shown on them. A file lies in a private folder while it is read, no longer.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, UploadFile
from fastapi.responses import Response

from jointcoder.desk.service import Desk
from jointcoder.errors import InputError, JointCoderError, UsageError
from jointcoder.exchange.hl7_frames import SUFFIXES as MESSAGE_SUFFIXES
from jointcoder.exchange.reading import TABLE_SUFFIXES, WHOLE_FILES, read
from jointcoder.records import Encounter, Flag
from jointcoder.server.auth import roles
from jointcoder.server.deps import get_desk
from jointcoder.server.pages.shell import Viewer, is_fragment, render, viewer
from jointcoder.server.problem import of_error

PATH = "/upload"
SOURCE = "upload"
TEXTS = (".txt", ".md", ".json", ".jsonl", ".ndjson", *MESSAGE_SUFFIXES)
TAKEN = (*TEXTS, *TABLE_SUFFIXES, *WHOLE_FILES)
MOST_FILES = 50
MOST_SAID = 200  # problems that are listed one by one
LONGEST_NAME = 120
PIXELS_A_POINT = 1.5  # of the pictures that are kept
_UNFIT = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]+')

router = APIRouter()
Submitter = Annotated[Viewer, Depends(viewer(*roles.SUBMIT))]


@dataclass(frozen=True)
class Trouble:
    """What could not be read (``code``, ``message`` with the place), or a remark on what was."""

    code: str
    message: str
    hint: str = ""


@dataclass
class Intake:
    """What the files of one upload hold."""

    encounters: list[Encounter] = field(default_factory=list)
    refused: list[Trouble] = field(default_factory=list)
    remarks: list[Trouble] = field(default_factory=list)
    pages: list[tuple[Encounter, Path]] = field(default_factory=list)

    def take(self, path: Path) -> None:
        """Read a file; what is wrong with it is noted, never raised."""
        try:
            for incoming in read(path):
                if incoming.error is not None:
                    self.refuse(incoming.error)
                elif incoming.encounter is not None:
                    self.encounters.append(incoming.encounter)
                    self.remarks += [_remark(path.name, flag) for flag in incoming.flags]
                    if path.suffix.casefold() in WHOLE_FILES:
                        self.pages.append((incoming.encounter, path))
        except UsageError as error:  # a package that is missing
            self.refuse(error)

    def refuse(self, error: JointCoderError) -> None:
        self.refused.append(Trouble(error.code, error.message, error.hint))


@router.get(PATH)
def show(request: Request, who: Submitter) -> Response:
    """The form."""
    return render(request, who, "upload/page.html", accepts=",".join(TAKEN), limit=_limit(request))


@router.post(PATH)
def take(
    request: Request,
    who: Submitter,
    files: Annotated[list[UploadFile], File(max_length=MOST_FILES)],
    priority: Annotated[int, Form(ge=0, le=99)] = 0,
) -> Response:
    """Read the files and queue what they hold, as one job; where it does not fit into the queue it is held behind it.
    200 where anything was taken, 422 where nothing could be read or there is more than ever waits; 429 where too much
    waits already. Where it is not 200 nothing was taken."""
    desk = get_desk(request)
    intake, job = Intake(), None
    with tempfile.TemporaryDirectory(prefix="jointcoder-") as folder:
        for path in _written(files, Path(folder)):
            intake.take(path)
        full = None
        if intake.encounters:
            try:
                job = desk.submit(intake.encounters, by=who.name, priority=priority, source=SOURCE, whole=True)
            except JointCoderError as error:
                full = error
            else:
                for encounter, path in intake.pages:
                    _keep_pages(desk, encounter, path, intake)
    status = of_error(full).status if full else 200 if intake.encounters else 422
    return render(
        request,
        who,
        "upload/result.html" if is_fragment(request) else "upload/page.html",
        status=status,
        headers={"X-Fragment": "1"} if status != 200 else None,
        accepts=",".join(TAKEN),
        limit=_limit(request),
        job=job,
        full=full,
        files=len(files),
        taken=len(intake.encounters) if job else 0,
        held=job.counts["held"] if job else 0,
        refused=intake.refused[:MOST_SAID],
        refused_count=len(intake.refused),
        remarks=intake.remarks[:MOST_SAID],
    )


def _written(files: Sequence[UploadFile], folder: Path) -> Iterator[Path]:
    """The files on disk, each in a folder of its own under a name like the one it came with."""
    for number, given in enumerate(files):
        name = fit_name(given.filename or "")
        place = folder / str(number)
        place.mkdir()
        path = place / name
        with path.open("wb") as target:
            shutil.copyfileobj(given.file, target)
        yield path


def fit_name(given: str) -> str:
    """A file's name without folders and characters that a file system or a page could trip over."""
    name = _UNFIT.sub("_", given.replace("\\", "/").rpartition("/")[2]).strip(" .")
    stem, dot, ending = name.rpartition(".")
    if dot and len(ending) <= 8:
        return f"{stem[: LONGEST_NAME - len(ending) - 1] or 'file'}.{ending}"
    return name[:LONGEST_NAME] or "file"


def _keep_pages(desk: Desk, encounter: Encounter, path: Path, intake: Intake) -> None:
    """Keep a picture of every page. A page that cannot be drawn is a remark: its text is there all the same."""
    from jointcoder.exchange.pages import render as picture

    for number, document in enumerate(encounter.documents):
        pictures = {}
        for page in document.pages:
            try:
                pictures[number, page.number] = picture(path, page, scale=PIXELS_A_POINT)
            except (InputError, UsageError) as error:
                intake.remarks.append(Trouble(error.code, error.message, error.hint))
        if pictures:
            desk.keep_pages(encounter.id, pictures)


def _remark(name: str, flag: Flag) -> Trouble:
    told = flag.message.startswith(name)
    return Trouble(flag.code, flag.message if told else f"{name}: {flag.message}")


def _limit(request: Request) -> str:
    return f"{request.app.state.settings.body_limit_mb:g}"
