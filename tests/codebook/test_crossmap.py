"""Cross maps between Chinese editions: both ways, without a map, by command, and the published ones."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_cn, build_from_directory
from jointcoder.codebook.build.cn_files import map_file
from jointcoder.codebook.build.crossmap import read_map
from jointcoder.codebook.codes import normalise_code
from jointcoder.codebook.crossmap import RELATIONS, CrossMap
from jointcoder.errors import AssetError, CodeBookError, UsageError
from jointcoder.records import System
from tests.cli.command import jointcoder

CN, CM3 = System.ICD10CN, System.ICD9CM3
SOURCE = """疾病名称,诊断编码
原发性高血压,I10.x00
高血压病3级,I10.x00x032
高血压病2级,I10.x00x031
脑膜结核,A17.000+G01*
霍乱,A00.900
只在临床版,Z99.900
"""
TARGET = """编码\t名称
I10.x00\t原发性高血压
I10.x05\t高血压3级
A17.000+G01*\t结核性脑膜炎
A00.900\t霍乱
B99.x00\t只在医保版
"""
MAP = """医保版编码,医保版名称,国临版编码,国临版名称,备注
I10.x00,原发性高血压,i10.x00,原发性高血压,
I10.x05,高血压3级,I10.x00x032,高血压病3级,
I10.x05,高血压3级,I10.x00x031,高血压病2级,
A17.000†G01*,结核性脑膜炎,A17.000+G01*,脑膜结核,
,,Z99.900,只在临床版,无对应
A00.900,霍乱,A00.900,霍乱,
A00.900,霍乱,A00.900,霍乱,
B99.x00,只在医保版,U07.100,新\\[冠\\],
"""
PROCEDURES = "code\tname\n51.2300\t腹腔镜下胆囊切除术\n18.7100\t耳廓建造术\n"
OTHER_DIAGNOSES = "code\tname\nA00.001\t霍乱\nI10.x00\t高血压（原发性）\nQ00.000\t无脑畸形\n"
OTHER_PROCEDURES = "code\tname\n51.2300\t腹腔镜下胆囊切除术\n18.7100\t耳郭建造术\n"
MAP_NAME = "map_guolin2_to_yb_diagnoses"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("map-sources")
    (folder / "icd10_guolin2.csv").write_bytes(SOURCE.encode("gb18030"))
    (folder / "icd10_yb_diagnoses.tsv").write_text(TARGET, "utf-8")
    (folder / "icd9cm3_yb_procedures.tsv").write_text(PROCEDURES, "utf-8")
    (folder / f"{MAP_NAME}.csv").write_text(MAP, "utf-8-sig")
    (folder / "icd10_beijing_v601.tsv").write_text(OTHER_DIAGNOSES, "utf-8")
    (folder / "icd9cm3_xiehe_codes.tsv").write_text(OTHER_PROCEDURES, "utf-8")
    return folder


@pytest.fixture(scope="module")
def cache(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with three editions."""
    cache = tmp_path_factory.mktemp("map-cache")
    for edition in ("cn-guolin2", "cn-yb2", "cn-bj601"):
        build_from_directory(edition, files, cache / "codebooks" / edition)
    return cache


@pytest.fixture(scope="module")
def maps(cache: Path) -> CrossMap:
    return CrossMap(*(CodeBook.open(path) for path in sorted((cache / "codebooks").iterdir())))


def short(maps: CrossMap, code: str, source: str, target: str) -> tuple[str, list[tuple[str, str]]]:
    found = maps.convert(code, source, target)
    assert {found.relation, *(one.relation for one in found.targets)} <= set(RELATIONS)
    return found.relation, [(one.code, one.relation) for one in found.targets]


@pytest.mark.parametrize(
    ("code", "relation", "targets"),
    [
        ("I10.x00", "same", [("I10.x00", "same")]),
        ("Ｉ１０ｘ００Ｘ０３２", "other-code", [("I10.x05", "other-code")]),
        ("A17.000†G01*", "renamed", [("A17.000+G01*", "renamed")]),
        ("Z99.900", "none", []),
        ("I10", "none", []),
        ("C99.999", "unknown", []),
        ("U07.100", "other-code", [("B99.x00", "other-code")]),  # a code that only the map knows
        ("51.2300", "same", [("51.2300", "same")]),  # both books hold the same table
        ("99.9900", "unknown", []),
    ],
)
def test_forward(maps: CrossMap, code: str, relation: str, targets: list[tuple[str, str]]) -> None:
    assert short(maps, code, "cn-guolin2", "cn-yb2") == (relation, targets)
    assert maps.convert(code, "cn-guolin2", "cn-yb2").official


def test_backward_and_names(maps: CrossMap) -> None:
    found = maps.convert("i10x05", "cn-yb2", "cn-guolin2")
    assert (found.code, found.name, found.system) == ("I10.x05", "高血压3级", CN)
    assert (found.source, found.target, found.relation) == ("icd10-yb2", "icd10-guolin2", "one-to-many")
    assert [(one.code, one.name) for one in found.targets] == [
        ("I10.x00x032", "高血压病3级"),
        ("I10.x00x031", "高血压病2级"),
    ]
    new = maps.convert("U07.100", "icd10-guolin2", "icd10-yb2")
    assert (new.code, new.name) == ("U07.100", "新[冠]")
    assert maps.editions["icd10-yb2"] == "ICD-10 医保版2.0"
    assert maps.maps == (("icd10-guolin2", "icd10-yb2"),)


def test_without_a_map_by_name_then_by_code(maps: CrossMap) -> None:
    wanted = {
        "A00.001": ("by-name", [("A00.900", "by-name")]),
        "I10.x00": ("by-code", [("I10.x00", "by-code")]),
        "51.2300": ("by-name", [("51.2300", "by-name")]),
        "18.7100": ("by-code", [("18.7100", "by-code")]),
        "Q00.000": ("none", []),
        "Q00": ("none", []),
        "Q77.777": ("unknown", []),
    }
    assert {code: short(maps, code, "cn-bj601", "cn-yb2") for code in wanted} == wanted
    assert not maps.convert("A00.001", "cn-bj601", "cn-yb2").official


def test_a_map_is_enough_for_one_side(cache: Path) -> None:
    alone = CrossMap(CodeBook.open(cache / "codebooks" / "cn-guolin2"))
    found = alone.convert("I10.x00x032", "cn-guolin2", "cn-yb2")
    assert [(one.code, one.name) for one in found.targets] == [("I10.x05", "高血压3级")]
    assert short(alone, "I10.x05", "icd10-yb2", "cn-guolin2")[0] == "one-to-many"
    with pytest.raises(AssetError, match="JC203: no map from icd10-guolin2 to icd10-bj601"):
        alone.convert("I10.x00", "cn-guolin2", "cn-bj601")


def test_no_map_is_made_up(maps: CrossMap, small: CodeBook, cache: Path) -> None:
    both = CrossMap(small, CodeBook.open(cache / "codebooks" / "cn-yb2"))
    with pytest.raises(CodeBookError, match=r"JC503: there is no map from ICD-10-CN, ICD-9-CM-3 to") as error:
        both.convert("I10.x00", "cn-yb2", "small")
    assert "none has been published" in error.value.hint
    with pytest.raises(AssetError, match="JC206: unknown edition 'cn-1815'"):
        maps.convert("I10.x00", "cn-1815", "cn-yb2")


def test_maps_named_by_their_tables(files: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "diagnoses.csv").write_bytes((files / "icd10_guolin2.csv").read_bytes())
    own = "source code\ttarget code\nI10.x00x032\tI10.x05\n"
    (folder / "map_cn-h-diagnoses_to_icd10-yb2.tsv").write_text(own, "utf-8")
    (folder / "map_cn-other_to_icd10-yb2.tsv").write_text(own, "utf-8")
    build_from_directory("cn-h", folder, tmp_path / "book")
    maps = CrossMap(CodeBook.open(tmp_path / "book"))
    assert maps.maps == (("cn-h-diagnoses", "icd10-yb2"),)
    assert short(maps, "I10.x00x032", "cn-h", "icd10-yb2") == ("other-code", [("I10.x05", "other-code")])
    assert map_file(folder / "国临2.0对照医保2.0.csv") is None
    shutil.copy(files / f"{MAP_NAME}.csv", folder / "国临2.0对照医保2.0.csv")
    found = map_file(folder / "国临2.0对照医保2.0.csv")
    assert found is not None
    assert (found.source, found.target) == ("icd10-guolin2", "icd10-yb2")
    with pytest.raises(UsageError, match="do not code the same things"):
        map_file(Path("map_icd10-yb2_to_icd9cm3-yb2.tsv"))
    with pytest.raises(UsageError, match=r"x\.tsv: the name does not say which editions"):
        build_cn("cn-h", {"diagnoses": folder / "diagnoses.csv"}, tmp_path / "b", maps=[Path("x.tsv")])


@pytest.mark.parametrize(
    ("content", "line", "problem"),
    [
        ("code\tname\nI10.x00\t高血压\n", 1, "no header with the columns source code, target code"),
        ("code_src\tcode_yb\nI10.x00\t51.2300\n", 2, "51.2300 is a procedure code"),
        ("code_src\tcode_yb\tname_yb\nI10.x00\tI10.x00\t高血压\n\t\t高血压\n", 3, "neither a source nor a target"),
        ("code_src\tcode_yb\nI10.x00\t\n", 2, "maps no codes"),
    ],
)
def test_malformed_maps(tmp_path: Path, content: str, line: int, problem: str) -> None:
    path = tmp_path / "m.tsv"
    path.write_text(content, "utf-8")
    with pytest.raises(CodeBookError, match=rf"JC502: m\.tsv, line {line}: .*{problem}"):
        read_map(path, CN)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([f"A00.{n:03}" for n in range(6)]), st.sampled_from([f"B00.{n:03}" for n in range(6)])
        ),
        min_size=1,
        max_size=20,
    )
)
@settings(max_examples=20, deadline=None)
def test_both_ways_say_the_same(pairs: list[tuple[str, str]]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows = "".join(f"{a}\t{b}\n" for a, b in pairs)
        (folder / f"{MAP_NAME}.tsv").write_text("code_src\tcode_yb\n" + rows, "utf-8")
        (folder / "d.tsv").write_text("code\tname\nA00.000\t甲\n", "utf-8")
        build_cn("own", {"diagnoses": folder / "d.tsv"}, folder / "book", maps=[folder / f"{MAP_NAME}.tsv"])
        maps = CrossMap(CodeBook.open(folder / "book"))
        ends = ("icd10-guolin2", "icd10-yb2")
        there = {(a, to.code) for a, _ in pairs for to in maps.convert(a, *ends).targets}
        back = {(to.code, b) for _, b in pairs for to in maps.convert(b, *reversed(ends)).targets}
    assert there == back == set(pairs)


# ------------------------------------------------------------------------------------------------------- the command


def test_command_prints_rows(cache: Path) -> None:
    codes = ("I10.x00x032", "Z99.900", "C99.999", "51.2300")
    ran = jointcoder("codebook", "map", *codes, "--from", "cn-guolin2", "--to", "cn-yb2", cache=cache)
    assert ran.returncode == 0, ran.stderr
    assert [line.split("\t") for line in ran.stdout.splitlines()] == [
        ["I10.x00x032", "高血压病3级", "I10.x05", "高血压3级", "other-code"],
        ["Z99.900", "只在临床版", "", "", "none"],
        ["C99.999", "", "", "", "unknown"],
        ["51.2300", "腹腔镜下胆囊切除术", "51.2300", "腹腔镜下胆囊切除术", "same"],
    ]
    assert "1 of 4 codes have no equivalent in cn-yb2" in ran.stderr
    assert "1 of 4 codes are unknown in cn-guolin2" in ran.stderr


def test_command_reads_a_file_and_writes_json(cache: Path, tmp_path: Path) -> None:
    codes = tmp_path / "codes.csv"
    codes.write_bytes("姓名,诊断编码\n甲,I10.x05\n乙,A00.900\n".encode("gb18030"))
    options = ("--file", str(codes), "--from", "icd10-yb2", "--to", "cn-guolin2", "--json")
    ran = jointcoder("codebook", "map", *options, cache=cache)
    assert ran.returncode == 0, ran.stderr
    value = json.loads(ran.stdout)
    assert value["editions"] == {"icd10-guolin2": "ICD-10 国家临床版2.0", "icd10-yb2": "ICD-10 医保版2.0"}
    assert [(one["code"], one["relation"], len(one["targets"])) for one in value["codes"]] == [
        ("I10.x05", "one-to-many", 2),
        ("A00.900", "same", 1),
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "status"),
    [
        (("Z99.999", "--from", "cn-guolin2", "--to", "cn-yb2"), "JC501", 4),
        (("--from", "cn-guolin2", "--to", "cn-yb2"), "JC101", 4),
        (("--file", "nowhere.tsv", "--from", "cn-guolin2", "--to", "cn-yb2"), "JC001", 2),
        (("I10.x00", "--from", "cn-guolin2", "--to", "us-1815"), "JC206", 5),
        (("I10.x00", "--from", "cn-guolin2", "--to", "us-2026"), "JC503", 4),
        (("I10.x00", "--from", "cn-guolin3", "--to", "cn-bj601"), "JC203", 5),
    ],
)
def test_command_errors(cache: Path, arguments: tuple[str, ...], code: str, status: int) -> None:
    only = shutil.copytree(cache, cache.parent / f"{cache.name}-{code}", dirs_exist_ok=True)
    if code == "JC203":
        shutil.rmtree(only / "codebooks" / "cn-bj601")
    ran = jointcoder("codebook", "map", *arguments, cache=only)
    assert (ran.returncode, ran.stdout) == (status, ""), ran.stderr
    assert ran.stderr.startswith(code)


# ------------------------------------------------------------------------------------------------- the published maps


def test_every_published_target_exists(shared_books: Path, official: dict[str, CodeBook]) -> None:
    def held(edition: str, system: System) -> set[str]:
        return {key for (key,) in official[edition].rows("SELECT key FROM node WHERE system = ?", system)}

    pairs = read_map(shared_books / "cn" / "map_guolin2_to_yb_diagnoses.tsv", CN)
    targets, sources = held("cn-yb2", CN), held("cn-guolin2", CN)
    missing = [target for _, target, *_ in pairs if normalise_code(target) not in targets]
    assert (len(pairs), missing) == (35591, [])
    # the map knows COVID-19 (U07.100 and its three extensions), which 国家临床版2.0 was printed without
    assert [source for source, *_ in pairs if normalise_code(source) not in sources] == [
        "U07.100",
        "U07.100x001",
        "U07.100x002",
        "U07.100x003",
    ]
    pairs = read_map(shared_books / "cn" / "map_src_to_yb_procedures.tsv", CM3)
    targets = held("cn-guolin2", CM3)
    missing = [target for _, target, *_ in pairs if normalise_code(target) not in targets]
    assert (len(pairs), missing) == (13654, [])


def test_the_published_map_of_diagnoses(official: dict[str, CodeBook]) -> None:
    maps = CrossMap(official["cn-guolin2"], official["cn-yb2"])
    codes = [code for (code,) in official["cn-guolin2"].rows("SELECT code FROM node WHERE system = ? AND billable", CN)]
    found = [maps.convert(code, "cn-guolin2", "cn-yb2") for code in codes]
    assert Counter(one.relation for one in found) == {"same": 30844, "renamed": 355, "other-code": 4388, "none": 275}
    unmapped = [one.code for one in found if one.relation == "none"]
    assert all(code.endswith("*") for code in unmapped)  # asterisk codes are no diagnoses of their own in 医保版
    assert found[0].official
