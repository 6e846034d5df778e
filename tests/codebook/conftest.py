"""The books the tests run on: a small one of our own making, and the built US book where there is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build import build_cn, build_us
from jointcoder.codebook.lookup import Lookup
from jointcoder.errors import AssetError
from jointcoder.settings import Settings

TABULAR = """<?xml version="1.0" encoding="utf-8"?>
<ICD10CM.tabular><version>2099</version>
<chapter><name>1</name><desc>Things of the knee (S00-T98)</desc>
 <excludes2><note>things of the hip (M16.-)</note></excludes2>
 <section id="M17"><desc>Knees worn (M17)</desc>
  <diag><name>M17</name><desc>Osteoarthritis of knee</desc>
   <diag><name>M17.1</name><desc>Unilateral primary osteoarthritis of knee</desc>
    <diag><name>M17.10</name><desc>Unilateral primary osteoarthritis, unspecified knee</desc></diag>
    <diag><name>M17.11</name><desc>Unilateral primary osteoarthritis, right knee</desc></diag>
    <diag><name>M17.12</name><desc>Unilateral primary osteoarthritis, left knee</desc></diag></diag>
   <diag><name>M17.9</name><desc>Osteoarthritis of knee, unspecified</desc></diag></diag></section>
 <section id="I10-I15"><desc>Pressures (I10-I15)</desc>
  <diag><name>I10</name><desc>Essential (primary) hypertension</desc>
   <includes><note>high blood pressure</note></includes>
   <excludes1><note>hypertensive disease of a lung (I15.-)</note></excludes1></diag>
  <diag><name>I15</name><desc>Secondary hypertension</desc>
   <codeFirst><note>the cause, such as a sprain (S93.4-)</note></codeFirst>
   <diag><name>I15.0</name><desc>Renovascular hypertension</desc></diag>
   <diag><name>I15.8</name><desc>Other secondary hypertension</desc></diag></diag></section>
 <section id="S90-S99"><desc>Feet (S90-S99)</desc>
  <diag><name>S93</name><desc>Sprain of ankle and foot</desc>
   <sevenChrDef><extension char="A">initial encounter</extension>
   <extension char="D">subsequent encounter</extension><extension char="S">sequela</extension></sevenChrDef>
   <notes>
   <note>7th characters D and S do not apply to codes in category S93 with 6th character 7 - lost, or 8 - both.</note>
   </notes>
   <diag><name>S93.4</name><desc>Sprain of ankle</desc>
    <inclusionTerm><note>Twisted ankle</note></inclusionTerm></diag>
   <diag><name>S93.507</name><desc>Sprain of foot with foot lost</desc></diag>
   <diag><name>S93.501</name><desc>Sprain of foot without loss</desc></diag></diag></section>
 <section id="W00-W19"><desc>Falls (W00-W19)</desc>
  <diag><name>W19</name><desc>Unspecified fall</desc></diag></section>
</chapter></ICD10CM.tabular>
"""
PCS = """0FT40ZZ Resection of Gallbladder, Open Approach
0FT44ZZ Resection of Gallbladder, Percutaneous Endoscopic Approach
0DTJ4ZZ Resection of Appendix, Percutaneous Endoscopic Approach
"""
DIAGNOSES = """code\tname
I10.x00\t原发性高血压
I10.x00x002\t高血压
E11.400\t2型糖尿病伴有神经的并发症
E11.401+G63.2*\t2型糖尿病性周围神经病
E11.900\t2型糖尿病
C22.101M81600/3\t胆管癌
S72.000\t股骨颈骨折
"""
PROCEDURES = """code\tname
51.2300\t腹腔镜下胆囊切除术
51.2200\t胆囊切除术
06.2x00\t单侧甲状腺叶切除术
"""


@pytest.fixture(scope="session")
def us_sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("us-sources")
    (folder / "icd10cm-tabular-2026.xml").write_text(TABULAR, "utf-8")
    (folder / "icd10pcs-codes-2024.txt").write_text(PCS, "utf-8")
    return {"tabular": folder / "icd10cm-tabular-2026.xml", "pcs": folder / "icd10pcs-codes-2024.txt"}


@pytest.fixture(scope="session")
def cn_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cn-sources")
    (folder / "icd10_guolin2.tsv").write_text(DIAGNOSES, "utf-8")
    (folder / "icd9cm3_yb_procedures.tsv").write_bytes(PROCEDURES.encode("gb18030"))
    return folder


@pytest.fixture(scope="session")
def small(us_sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """A US book of four categories."""
    target = tmp_path_factory.mktemp("books") / "small"
    build_us(us_sources, target, book_id="small")
    return CodeBook.open(target)


@pytest.fixture(scope="session")
def chinese(cn_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """A Chinese book of a few rows."""
    target = tmp_path_factory.mktemp("books") / "cn-guolin2"
    build_cn("cn-guolin2", cn_folder, target)
    return CodeBook.open(target)


@pytest.fixture(scope="session")
def us() -> CodeBook:
    """The built US book."""
    path = Settings.load().books_dir / "us-2026"
    try:
        return CodeBook.open(path)
    except AssetError as error:
        pytest.skip(f"{error.message}: {error.hint}")


@pytest.fixture(scope="session")
def us_lookup(us: CodeBook) -> Lookup:
    return Lookup(us)


@pytest.fixture(scope="session")
def shared_books() -> Path:
    """The folder of official code-book files (JOINTCODER_BOOKS)."""
    default = Path(__file__).parents[2].parent / "shared" / "codebooks"
    folder = Path(os.environ.get("JOINTCODER_BOOKS", default))
    if not folder.is_dir():
        pytest.skip("no official code-book files (set JOINTCODER_BOOKS)")
    return folder


@pytest.fixture(scope="session")
def official(shared_books: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, CodeBook]:
    """The Chinese editions, built from the official files; the procedures that two of them share are built once."""
    folder = tmp_path_factory.mktemp("official")
    files = shared_books / "cn"
    for edition in ("cn-guolin2", "cn-bj601"):
        build_cn(edition, files, folder / edition)
    build_cn("cn-yb2", {"diagnoses": files / "icd10_yb_diagnoses.tsv"}, folder / "cn-yb2")
    return {name: CodeBook.open(folder / name) for name in ("cn-guolin2", "cn-yb2", "cn-bj601")}
