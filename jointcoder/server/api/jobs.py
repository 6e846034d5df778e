"""``/v1/jobs``: many encounters in, a job at once; results when they are there, one a line, in the order sent.

A job survives a crash. A client that lost the answer sends the same job again under the same ``Idempotency-Key`` and
gets the job it made the first time.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from jointcoder.desk.service import Desk, Refused
from jointcoder.errors import InputError, JointCoderError
from jointcoder.exchange.incoming import Place
from jointcoder.exchange.json_records import record as read_record
from jointcoder.exchange.rows import Seen
from jointcoder.records import Encounter
from jointcoder.server.api.answers import LINES, ok
from jointcoder.server.api.operations import operation
from jointcoder.server.api.shapes import JobOut, JobsOut, ResultOut, told
from jointcoder.server.api.taken import EncounterIn
from jointcoder.server.auth import User
from jointcoder.server.bodies import Body
from jointcoder.server.deps import BodyDep, Collector, DeskDep, Settings_, Submitter, viewed
from jointcoder.server.looks import looked
from jointcoder.store.jobs import Job
from jointcoder.store.lines import HIGHEST_PRIORITY

router = APIRouter(tags=["jobs"])

PLACE = "request"  # how errors name the body
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
Key = Annotated[
    str | None, Header(alias="Idempotency-Key", description="Names this request: sent again, it makes no second job.")
]
Priority = Annotated[int, Query(ge=-HIGHEST_PRIORITY, le=HIGHEST_PRIORITY, description="Higher ones first.")]
Source = Annotated[str, Query(max_length=100, description="Where the encounters come from, for the worklist.")]


@router.post(
    "/v1/jobs",
    **operation("submit_job", status=202, answer=JobOut, body=EncounterIn, lines=True, errors=(409,)),
)
def submit_job(
    request: Request,
    body: BodyDep,
    user: Submitter,
    desk: DeskDep,
    settings: Settings_,
    key: Key = None,
    priority: Priority = 0,
    source: Source = "",
) -> Response:
    """Queue encounters: a JSON list, or JSON lines.

    An encounter that cannot be read becomes a failed item of the job; the others are coded. The encounters stand in
    the worklist too.
    """
    if key is not None and not _KEY.fullmatch(key):
        raise InputError("JC484", "Idempotency-Key: 1 to 200 printable ASCII characters, no blanks")
    works = list(read_works(body, bound=settings.queue_bound))
    job = desk.submit(works, by=user.name, key=key or "", priority=priority, source=clean(source))
    headers = {"Location": f"/v1/jobs/{job.id}"}
    return ok(JobOut.of(job, told(request)), status=202, headers=headers)


@router.get("/v1/jobs", **operation("list_jobs", answer=JobsOut))
def list_jobs(
    request: Request, user: Collector, desk: DeskDep, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> Response:
    """The newest jobs: one's own; leads see everybody's."""
    by = None if user.may("lead") else user.name
    jobs = desk.jobs_of(by, limit=limit)
    looked(request, "job.list", "job", details={"by": by or "anybody", "limit": limit}, rows=len(jobs))
    versions = told(request)
    return ok(JobsOut(items=tuple(JobOut.of(job, versions) for job in jobs), versions=versions))


@router.get("/v1/jobs/{id}", **operation("get_job", answer=JobOut, errors=(404,)))
def get_job(request: Request, id: str, user: Collector, desk: DeskDep) -> Response:
    """How far a job is."""
    return ok(JobOut.of(own(desk, id, user), told(request)))


@router.get("/v1/jobs/{id}/results", **operation("job_results", answer=ResultOut, stream=True, errors=(404,)))
def job_results(id: str, user: Collector, desk: DeskDep) -> Response:
    """The results so far, one a line, in the order sent: coded records, and failures with their codes.

    Ask again when the job has ended (`state` is done or cancelled) for all of them.
    """
    job = own(desk, id, user)
    viewed(desk, user, "job.view", "job", job.id, {"total": job.total})
    headers = {"Jointcoder-Job-State": str(job.state)}
    return StreamingResponse(_lines(desk.results(job.id)), media_type=LINES, headers=headers)


@router.post("/v1/jobs/{id}/cancel", **operation("cancel_job", answer=JobOut, errors=(404,)))
def cancel_job(request: Request, id: str, user: Submitter, desk: DeskDep) -> Response:
    """Take back what is not coded yet. What is coded stays; a job that has ended is left as it is."""
    job = own(desk, id, user)
    return ok(JobOut.of(desk.cancel(job.id, by=user.name), told(request)))


@router.delete("/v1/jobs/{id}", **operation("delete_job", answer=JobOut, errors=(404,)))
def delete_job(request: Request, id: str, user: Submitter, desk: DeskDep) -> Response:
    """The same as cancel: results that are there are kept."""
    return cancel_job(request, id, user, desk)


def read_works(body: Body, *, bound: int) -> Iterator[Encounter | Refused]:
    """Encounters of a body, each with what kept it from being read in its place. InputError JC101 for none, JC482 for
    more than the queue can ever hold, and those of the body as a whole."""
    seen = Seen()
    values = enumerate(itertools.islice(body.values(), bound + 1), start=1)
    count = 0
    for count, value in values:
        if count > bound:
            raise InputError(
                "JC482", f"a job holds {bound} encounters at most", hint="send several jobs, or raise queue_bound"
            )
        yield _work(value, Place(PLACE, record=count), seen)
    if not count:
        raise InputError("JC101", "the job holds no encounter")


def own(desk: Desk, id: str, user: User) -> Job:
    """A job of this person; leads may see all. JC460 otherwise: whose it is, is told to nobody."""
    job = desk.job(clean(id))
    if job.by != user.name and not user.may("lead"):
        raise InputError("JC460", "no such job")
    return job


def clean(text: str) -> str:
    """A word of a client that goes to the database. InputError JC484 for one that no database takes."""
    if "\x00" in text:
        raise InputError("JC484", "a parameter holds the character U+0000")
    return text


def _work(value: Any, place: Place, seen: Seen) -> Encounter | Refused:
    if isinstance(value, JointCoderError):
        return Refused(id=str(place), error=value)
    incoming = read_record(value, place, seen, ())
    if incoming.encounter is not None:
        return incoming.encounter
    assert incoming.error is not None
    return Refused(id=incoming.id or str(place), error=incoming.error)


def _lines(results: Iterator[Any]) -> Iterator[bytes]:
    for result in results:
        if result.state in ENDED:
            yield ResultOut.of(result).model_dump_json().encode() + b"\n"


ENDED = ("done", "failed", "cancelled")
