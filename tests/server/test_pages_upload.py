"""Uploading over HTTP: what is queued, what is refused and how it is named; no name leads out of its folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")
pytest.importorskip("multipart", reason="the extra server is not installed")

from jointcoder.codebook.book import CodeBook
from jointcoder.server.pages.upload import fit_name

from ..exchange.hl7_messages import report
from .api.conftest import until
from .pages_house import Person, house

NOTE = "Discharge diagnosis: sprained ankle after a fall."


def sent(person: Person, *files: tuple[str, bytes], priority: int = 0) -> Any:
    parts = [("files", (name, content, "application/octet-stream")) for name, content in files]
    return person.post("/upload", {"priority": str(priority)}, files=parts, htmx=True)


def pdf(*pages: str) -> bytes:
    canvas_of = pytest.importorskip("reportlab.pdfgen.canvas", reason="reportlab sets the PDF").Canvas
    made = io.BytesIO()
    canvas = canvas_of(made, pagesize=(420, 200), invariant=True)
    for page in pages:
        canvas.drawString(40, 150, page)
        canvas.showPage()
    canvas.save()
    return made.getvalue()


def test_what_can_be_read_is_queued_and_the_rest_is_named(tmp_path: Path, small_us: CodeBook) -> None:
    with house(tmp_path, small_us) as home:
        ana = home.person("ana", "coder")
        table = "case id,discharge diagnosis,notes\n17,sprained ankle,fell\n,broken wrist,slipped\n17,burn,twice\n"
        answer = sent(
            ana, ("note.txt", NOTE.encode()), ("torn.json", b'{"id": '), ("stays.csv", table.encode()), priority=3
        )
        assert answer.status_code == 200
        assert "torn.json" in answer.text
        assert "JC104" in answer.text
        assert "stays.csv, line 4" in answer.text
        assert NOTE not in answer.text
        lines = home.desk.worklist().lines
        assert {line.priority for line in lines} == {3}
        assert {line.source for line in lines} == {"upload"}
        assert "17" in {line.id for line in lines}
        (job,) = home.desk.jobs_of()
        assert (job.by, job.total) == ("ana", len(lines))


def test_nothing_readable_is_422_and_nothing_is_stored(tmp_path: Path, small_us: CodeBook) -> None:
    with house(tmp_path, small_us) as home:
        ana = home.person("ana", "coder")
        answer = sent(ana, ("torn.json", b"{"), ("empty.txt", b"  \n"))
        assert (answer.status_code, answer.headers["x-fragment"]) == (422, "1")
        assert "2 records could not be read" in answer.text
        assert "JC101" in answer.text
        assert home.desk.worklist().total == 0
        assert ana.post("/upload", {"priority": "0"}).status_code == 422


def test_pages_of_a_pdf_are_kept_as_pictures(tmp_path: Path, small_us: CodeBook) -> None:
    pytest.importorskip("pypdfium2", reason="the extra pdf is not installed")
    with house(tmp_path, small_us) as home:
        ana = home.person("ana", "coder")
        answer = sent(ana, ("stay.pdf", pdf("Discharge diagnosis: burn of the hand.", "It was cooled and dressed.")))
        assert answer.status_code == 200, answer.text
        (line,) = home.desk.worklist().lines
        assert home.desk.pictures(line.version) == {(0, 1), (0, 2)}
        image, kind = home.desk.page_image(line.version, 0, 2) or (b"", "")
        assert (image[:4], kind) == (b"\x89PNG", "image/png")
        broken = sent(ana, ("broken.pdf", b"%PDF-1.4 and no more"))
        assert (broken.status_code, "broken.pdf" in broken.text, "JC130" in broken.text) == (422, True, True)


def test_messages_and_columns_are_taken_as_they_are_elsewhere(tmp_path: Path, small_us: CodeBook) -> None:
    pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
    import pyarrow
    import pyarrow.parquet

    columns = io.BytesIO()
    pyarrow.parquet.write_table(
        pyarrow.table({"case id": ["17", "18"], "discharge diagnosis": ["sprain", "burn"], "notes": ["fell", "hot"]}),
        columns,
    )
    messages = report(visit="V1") + report("No fracture.", visit="V1", order="R2") + report(visit="V2", order="R3")
    with house(tmp_path, small_us) as home:
        ana = home.person("ana", "coder")
        assert ".parquet" in ana.get("/upload").text
        assert ".hl7" in ana.get("/upload").text
        answer = sent(ana, ("ward.hl7", messages.encode()), ("stays.parquet", columns.getvalue()))
        assert answer.status_code == 200, answer.text
        assert home.desk.worklist().total == 4  # two visits, two rows


def test_too_much_is_refused_before_it_is_read(tmp_path: Path, small_us: CodeBook) -> None:
    with house(tmp_path, small_us, body_limit_mb=0.05, queue_bound=2, upload_bound=8) as home:
        ana = home.person("ana", "coder")
        large = sent(ana, ("large.txt", b"x" * 100_000))
        assert (large.status_code, "JC482" in large.text) == (413, True)
        table = "case id,discharge diagnosis,notes\n" + "".join(f"{n},sprain,fell {n}\n" for n in range(9))
        full = sent(ana, ("stays.csv", table.encode()))
        assert (full.status_code, "JC108" in full.text) == (422, True)  # more rows than are ever held
        assert home.desk.worklist().total == 0


def test_a_table_with_more_rows_than_the_queue_takes_is_coded_whole(tmp_path: Path, small_us: CodeBook) -> None:
    table = "case id,discharge diagnosis,notes\n" + "".join(f"{n},sprain,fell {n}\n" for n in range(9))
    with house(tmp_path, small_us, queue_bound=2, upload_bound=9) as home:
        ana = home.person("ana", "coder")
        answer = sent(ana, ("stays.csv", table.encode()))
        assert (answer.status_code, "9 encounters were queued" in answer.text) == (200, True), answer.text
        assert "wait behind it" in answer.text
        (job,) = home.desk.jobs_of()
        until(lambda: home.desk.job(job.id).state == "done")
        assert home.desk.job(job.id).counts["done"] == 9
        assert [one.encounter for one in home.desk.results(job.id)] == [str(n) for n in range(9)]
        assert home.desk.worklist().total == 9


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("note.txt", "note.txt"),
        ("../../etc/passwd", "passwd"),
        ("C:\\notes\\stay 1.PDF", "stay 1.PDF"),
        ("病历 一.txt", "病历 一.txt"),
        ("..", "file"),
        ("", "file"),
        ("a\x00b\n.csv", "a_b_.csv"),
        ("x" * 300 + ".json", "x" * 115 + ".json"),
    ],
)
def test_a_name_is_made_fit(given: str, name: str) -> None:
    assert fit_name(given) == name
