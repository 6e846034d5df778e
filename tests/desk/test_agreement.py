"""Agreement of coders and model: every figure counted by hand once; the report as people get it."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.desk.agreement import Agreement, agreement
from jointcoder.desk.bands import Band, band_of_code
from jointcoder.desk.history import day
from jointcoder.desk.twice import alpha, masi, twice
from jointcoder.errors import InputError
from jointcoder.store.engine import Store, open_store
from tests.cli.conftest import Command, command  # noqa: F401  (a fixture: the program in this process)
from tests.desk.reviewed import START, TEXT, Coders
from tests.store.conftest import place, store  # noqa: F401  (fixtures: a store of each kind)

REJECT_DIABETES = {"kind": "reject", "item": "p3"}
REPLACE_I10 = {"kind": "replace", "item": "p2", "system": "ICD-10-CM", "code": "I11.0"}
ADD_COUGH = {"kind": "add", "system": "ICD-10-CM", "code": "R05.9"}
I10_FIRST = {"kind": "principal", "item": "p2"}
POA = {"kind": "poa", "item": "p1", "value": "Y"}


@pytest.fixture
def coders(store: Store, small_us: CodeBook) -> Coders:  # noqa: F811
    return Coders(store, small_us)


def worked(coders: Coders) -> Agreement:
    """Three records: untouched; one code of each kind of edit; reordered."""
    coders.coded("e1")
    coders.finish("e1", "ana")
    coders.coded("e2", text=TEXT + " Second.")
    coders.finish("e2", "bo", REJECT_DIABETES, REPLACE_I10, ADD_COUGH, POA)
    coders.coded("e3", text=TEXT + " Third.")
    coders.finish("e3", "bo", I10_FIRST)
    coders.coded("e4", text=TEXT + " Fourth.")
    coders.decide("e4", "bo", REJECT_DIABETES)  # not finished: counts nowhere
    return agreement(coders.history(), by_coder=True)


def test_codes_principal_and_edits_are_counted(coders: Coders) -> None:
    report = worked(coders)
    assert (report.records, report.coders) == (3, 2)
    joint = report.agreed["joint"]  # of 9 codes given 7 stand; of 9 that stand 7 were given
    assert (joint.precision.value, joint.recall.value) == (pytest.approx(7 / 9), pytest.approx(7 / 9))
    assert (joint.f1.value, joint.f1.n, joint.precision.n) == (pytest.approx(7 / 9), 3, 9)
    low, high = joint.f1.interval
    assert low <= 7 / 9 <= high
    assert report.agreed["procedure"].f1.value is None
    assert (report.principal["diagnosis"].value, report.principal["diagnosis"].n) == (pytest.approx(2 / 3), 3)
    assert report.principal["procedure"].n == 0
    mean = {name: round(figure.value * 3) for name, figure in report.edits.mean.items()}
    assert mean == {"added": 1, "removed": 1, "replaced": 1, "moved": 1, "principal": 1, "on_admission": 1}
    assert (report.edits.total.value, report.edits.median) == (pytest.approx(4 / 3), 1)
    assert report.edits.untouched.value == pytest.approx(1 / 3)
    assert [(one.name, one.records, one.f1.value) for one in report.by_coder] == [
        ("ana", 1, 1.0), ("bo", 2, pytest.approx(4 / 6))
    ]  # fmt: skip


def test_precision_by_confidence(coders: Coders) -> None:
    report = worked(coders)
    stated = {one.name: (one.precision.value, one.precision.n) for one in report.tenths if one.precision.n}
    assert stated == {"0.9–1.0": (1.0, 3), "0.8–0.9": (pytest.approx(2 / 3), 3), "0.3–0.4": (pytest.approx(2 / 3), 3)}
    assert sum(one.precision.n for one in report.bands) == 9
    assert [one.name for one in report.bands] == [band.value for band in Band]
    for one in report.bands:
        assert band_of_code(one.low).value == one.name
    expected = (abs(3 - 3 * 0.97) + abs(2 - 3 * 0.8) + abs(2 - 3 * 0.3)) / 9
    assert report.calibration_error == pytest.approx(expected)
    assert report.scores["ICD-10-CM"].count((0.3, False)) == 1
    assert report.missed["ICD-10-CM"] == 2


def test_codes_accepted_together_say_nothing_of_confidence(small_us: CodeBook, tmp_path: Path) -> None:
    from jointcoder.desk.agreement import _counted  # the rest of the way is the same
    from jointcoder.desk.decisions import BulkAccept, Decided
    from jointcoder.desk.history import Handled
    from jointcoder.desk.sheet import folded

    with open_store(str(tmp_path / "store.sqlite")) as there:
        coders = Coders(there, small_us)
        coders.coded("e1")
        coders.finish("e1", "ana")
        (one,) = coders.history()
    bulk = Decided(seq=1, by="ana", at=START, decision=BulkAccept(threshold=0.7, items=("p1", "p2")))
    rest = [decided for decided in one.decided if getattr(decided.decision, "item", "") not in ("p1", "p2")]
    decided = (bulk, *[each.model_copy(update={"seq": seq}) for seq, each in enumerate(rest, start=2)])
    together = Handled(one.stored, one.encounter, decided, folded(one.record, decided, one.encounter))
    assert together.in_bulk == {"p1", "p2"}
    assert [confidence for _, confidence, _ in _counted(together, dt.timedelta(minutes=9)).stated] == [0.3]
    assert agreement([together]).together == 2


@pytest.mark.parametrize(("idle", "minutes"), [(10, 4.0), (60, 34.0)])
def test_minutes_leave_long_pauses_out(coders: Coders, idle: int, minutes: float) -> None:
    coders.coded("e1")
    coders.decide("e1", "ana", {"kind": "accept", "item": "p1"}, {"kind": "accept", "item": "p2"}, minutes=2)
    coders.now += dt.timedelta(minutes=28)  # called away: half an hour until the next decision
    coders.finish("e1", "ana", {"kind": "accept", "item": "p3"}, minutes=2)
    report = agreement(coders.history(), idle=dt.timedelta(minutes=idle))
    assert (report.minutes.median.value, report.minutes.median.n) == (minutes, 1)
    assert report.minutes.median.interval is None  # one record tells nothing of others


def test_a_record_with_nothing_but_pauses_has_no_time(coders: Coders) -> None:
    coders.coded("e1")
    coders.finish("e1", "ana", minutes=30)
    report = agreement(coders.history())
    assert (report.minutes.median.value, report.minutes.only_pauses) == (None, 1)


def test_a_reopened_record_counts_as_it_was_finished_last(coders: Coders) -> None:
    coders.coded("e1")
    coders.finish("e1", "ana")
    coders.decide("e1", "lea", {"kind": "reopen", "reason": "audit"})
    with pytest.raises(InputError, match="JC166"):
        agreement(coders.history())
    coders.finish("e1", "bo", REJECT_DIABETES)
    report = agreement(coders.history(), by_coder=True)
    assert (report.records, [one.name for one in report.by_coder]) == (1, ["bo"])
    assert report.edits.mean["removed"].value == 1
    assert report.twice.encounters == 0  # bo saw what ana had done


def test_moves_are_counted_as_few_as_they_can_be(coders: Coders) -> None:
    coders.coded("e1")
    coders.finish("e1", "ana", {"kind": "move", "item": "p1", "to": 3})  # one code moved, though three ranks changed
    report = agreement(coders.history())
    assert report.edits.mean["moved"].value == 1


# ---------------------------------------------------------------------------------------------------------- coded twice


def test_stays_that_two_people_coded_apart(coders: Coders) -> None:
    for number, (first, second) in enumerate([((), ()), ((), (REJECT_DIABETES,)), ((I10_FIRST,), ())]):
        text = f"{TEXT} Stay {number}."
        coders.coded(f"a{number}", text=text)
        coders.finish(f"a{number}", "ana", *first)
        coders.coded(f"b{number}", text=text)
        coders.finish(f"b{number}", "bo", *second)
    coders.coded("alone", text=TEXT)
    coders.finish("alone", "ana")
    coders.coded("again", text=TEXT)
    coders.finish("again", "ana")  # the same person twice is no second opinion
    found = twice(coders.history())
    assert (found.encounters, found.pairs) == (3, 3)
    assert found.f1 == pytest.approx((1 + 4 / 5 + 1) / 3)
    assert found.principal.value < 1
    assert found.codes.n == 3


def test_alpha_is_that_of_krippendorff() -> None:
    """The worked example of "Computing Krippendorff's Alpha-Reliability" (2011), nominal data of four observers:
    0.743."""
    rows = [
        ["1", "2", "3", "3", "2", "1", "4", "1", "2", ".", ".", "."],
        ["1", "2", "3", "3", "2", "2", "4", "1", "2", "5", ".", "3"],
        [".", "3", "3", "3", "2", "3", "4", "2", "2", "5", "1", "."],
        ["1", "2", "3", "3", "2", "4", "4", "1", "2", "5", "1", "."],
    ]
    units = [[value for value in unit if value != "."] for unit in zip(*rows, strict=True)]
    found = alpha(units, lambda a, b: float(a != b))
    assert (round(found.value, 3), found.n) == (0.743, 11)
    low, high = found.interval
    assert low < found.value < high


def test_alpha_where_chance_cannot_be_told() -> None:
    assert alpha([], lambda a, b: 1.0).value is None
    assert alpha([["x", "x"], ["x", "x"]], lambda a, b: float(a != b)).value is None
    assert alpha([["x", "x"], ["y", "y"]], lambda a, b: float(a != b)).value == 1


def test_masi_lets_sets_agree_in_part() -> None:
    a, b, c = ("s", "a"), ("s", "b"), ("s", "c")
    assert masi(frozenset({a}), frozenset({a})) == 0
    assert masi(frozenset({a}), frozenset({b})) == 1
    assert masi(frozenset({a}), frozenset({a, b})) == pytest.approx(1 - 0.5 * 2 / 3)
    assert masi(frozenset({a, b}), frozenset({a, c})) == pytest.approx(1 - 1 / 3 / 3)
    assert masi(frozenset(), frozenset()) == 0


# ---------------------------------------------------------------------------------------------------------- the command


@pytest.fixture
def there(tmp_path: Path, small_us: CodeBook) -> str:
    """A store with three finished records."""
    with open_store(str(tmp_path / "desk.sqlite")) as opened:
        worked(Coders(opened, small_us))
    return str(tmp_path / "desk.sqlite")


def test_the_report_names_nobody_unless_it_is_asked_to(command: Command, there: str) -> None:  # noqa: F811
    code, shown, said = command("report", "coders", "--store", there)
    assert (code, said) == (0, "")
    assert "coders and model" in shown
    assert "0.778" in shown
    assert "ana" not in shown.split()
    code, shown, _ = command("report", "coders", "--store", there, "--json")
    report = json.loads(shown)
    assert "by_coder" not in report
    assert "ana" not in shown
    assert (report["records"], report["agreed"]["joint"]["f1"]["n"]) == (3, 3)
    code, shown, _ = command("report", "coders", "--store", there, "--by-coder")
    assert "ana" in shown.split()
    views = json.loads(command("audit", "show", "--store", there, "--action", "report.view", "--json")[1])
    assert [one["details"] for one in views] == [{"records": 3, "by_coder": named} for named in (True, False, False)]


def test_the_report_in_chinese_and_as_a_picture(command: Command, there: str, tmp_path: Path) -> None:  # noqa: F811
    pytest.importorskip("matplotlib", reason="needs the extra learn")
    code, shown, _ = command("--lang", "zh", "report", "coders", "--store", there, "--picture", tmp_path / "p.svg")
    assert code == 0
    assert "编码员与模型" in shown
    assert "principal" not in shown
    assert (tmp_path / "p.svg").read_text("utf-8").lstrip().startswith("<?xml")


def test_a_time_without_finished_records(command: Command, there: str) -> None:  # noqa: F811
    code, shown, said = command("report", "coders", "--store", there, "--since", "2027-01-01")
    assert (code, shown) == (4, "")
    assert "JC166" in said
    until = (START - dt.timedelta(days=1)).date().isoformat()
    assert command("report", "coders", "--store", there, "--until", until)[0] == 4
    assert day(None) is None
