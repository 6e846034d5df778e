"""The program in Chinese: the catalogue is whole, English stays as it is, and JSON does not change."""

from __future__ import annotations

import ast
import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import jointcoder
from jointcoder.cli import language
from jointcoder.codebook.book import CodeBook
from jointcoder.codebook.build.us import build_us
from jointcoder.codebook.diff import KINDS
from jointcoder.codebook.rules import rules
from jointcoder.codebook.rules.catalogue import table
from jointcoder.errors import CATALOGUE, UsageError
from jointcoder.records import AssignedCode, CodedRecord, Finding, Flag, Severity, System, Versions
from jointcoder.text.phrases import Catalogue, Phrases

from ..conftest import FIXTURES
from .command import jointcoder as program

PACKAGE = Path(jointcoder.__file__).parent
HAN = re.compile("[\u3400-\u9fff]")
SAME = {"", "P", "R", "F1", "F1 [95 %]", "MAP", "Jaccard", "n", "sha256"}
"""Headings that are the same in both languages."""


@pytest.fixture(scope="module")
def chinese() -> Catalogue:
    return language.catalogue("zh")


# ----------------------------------------------------------------------------------------------- the catalogue is whole


def test_every_error_code_has_a_meaning(chinese: Catalogue) -> None:
    assert set(chinese.errors) == set(CATALOGUE)
    assert all(HAN.search(text) for text in chinese.errors.values())


def test_every_rule_has_a_title(chinese: Catalogue) -> None:
    assert set(chinese.titles) == set(rules())
    assert all(HAN.search(text) for text in chinese.titles.values())


def test_severities_and_kinds_have_words(chinese: Catalogue) -> None:
    words = [*(str(one) for one in Severity), *(rule.kind for rule in rules().values()), *KINDS, "was: x", " or "]
    assert [word for word in words if not HAN.search(chinese.text(word))] == []


def texts(node: ast.expr) -> list[str]:
    """The texts an expression may make, ``7`` for what varies."""
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.JoinedStr):
        parts = [texts(part) for part in node.values]
        return ["".join(chosen) for chosen in itertools.product(*parts)]
    if isinstance(node, ast.FormattedValue):
        return texts(node.value) if isinstance(node.value, ast.IfExp) else ["7"]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [one + other for one in texts(node.left) for other in texts(node.right)]
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    return ["7"]


def said_of_codes() -> Iterator[str]:
    """What rules say and recommend: ``message`` and ``remedy``, given or put into a variable of that name."""
    for file in sorted((PACKAGE / "codebook" / "rules").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in ("message", "remedy"):
                yield from texts(node.value)
            elif isinstance(node, ast.Assign):
                for name, value in assigned(node.targets[0], node.value):
                    if name in ("message", "remedy"):
                        yield from texts(value)


def assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    """The variables of an assignment, each with what it is given."""
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for one, part in zip(target.elts, value.elts, strict=False):
            yield from assigned(one, part)


def test_everything_that_rules_say_has_a_wording(chinese: Catalogue) -> None:
    said = {text for text in said_of_codes() if re.search("[a-z]{2}", text)}
    assert len(said) > 80
    assert sorted(text for text in said if not HAN.search(chinese.rule_text(text))) == []


def test_what_the_tables_of_procedures_say_is_worded_to_the_end(chinese: Catalogue) -> None:
    said = [f"asks for a second code (00.40): {row['what']}" for row in table("zh", "procedures")["code_also"]]
    said += [f"is coded only beside {row['what']}, which is missing" for row in table("zh", "procedures")["adjunct"]]
    assert said
    assert [text for text in said if re.search("[a-z]", chinese.rule_text(text))] == []


def headings() -> Iterator[str]:
    """Every heading of a table in the command line and in the report of an evaluation."""
    files = [*sorted((PACKAGE / "cli").rglob("*.py")), PACKAGE / "evaluation" / "report.py"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                first = node.args[0] if node.args else None
                if name == "add_column" and isinstance(first, ast.Constant):
                    yield first.value
                if name == "table" and isinstance(first, ast.Tuple):
                    yield from _first_words(first)
                if name == "Table":
                    yield from (word.value.value for word in node.keywords if _titled(word))
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "names":
                yield from _first_words(node.value)  # of `codebook check`
            if isinstance(node, ast.For) and any(_adds_column(inner) for inner in ast.walk(node)):
                yield from _first_words(node.iter)


def _titled(word: ast.keyword) -> bool:
    return word.arg == "title" and isinstance(word.value, ast.Constant)


def _adds_column(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_column"


def _first_words(node: ast.expr) -> Iterator[str]:
    """The words of a tuple; of tuples in a tuple the first each."""
    for part in node.elts if isinstance(node, ast.Tuple) else ():
        head = part.elts[0] if isinstance(part, ast.Tuple) else part
        if isinstance(head, ast.Constant):
            yield head.value


def test_every_heading_has_a_word(chinese: Catalogue) -> None:
    found = set(headings())
    assert {"code", "evidence", "finding", "step", "macro F1", "taken for", "matched wording"} <= found
    assert sorted(word for word in found - SAME if not HAN.search(chinese.text(word))) == []


def test_the_lines_are_formed_alike_in_both_languages() -> None:
    import tomllib

    data = PACKAGE / "cli" / "data" / "zh"
    words = tomllib.loads((data / "words.toml").read_text("utf-8"))
    findings = tomllib.loads((data / "rules.toml").read_text("utf-8"))["findings"]
    for english, other in {**words["words"], **words["lines"], **findings}.items():
        holes = len(re.findall(r"\{#?\}", english))
        other.format(*range(holes))  # raises where it asks for more
        assert len(set(re.findall(r"\{\d\}", other))) + other.count("{}") == holes, english


# -------------------------------------------------------------------------------------------------------------- phrases


def test_the_phrase_with_most_words_of_its_own_counts() -> None:
    phrases = Phrases(
        {"{} codes": "{} 个编码", "{} codes of {}": "{1} 的 {0} 个编码", "no codes": "无", "{#}!": "{}！"}
    )
    assert phrases("3 codes") == "3 个编码"
    assert phrases("3 codes of I10") == "I10 的 3 个编码"
    assert phrases("no codes") == "无"
    assert phrases("1,000!") == "1,000！"
    assert phrases("many!") == "many!"
    assert phrases("something else") == "something else"


@pytest.fixture
def spoken() -> Iterator[None]:
    """Chinese within this test."""
    before = language.CHOSEN.language
    language.choose("zh")
    yield
    language.CHOSEN.language = before


@pytest.mark.usefixtures("spoken")
def test_errors_flags_and_findings() -> None:
    assert language.label("JC101") == "[JC101]"
    assert (
        language.meaning("JC107", "a.txt: No such file or directory") == "无法读取输入文件（a.txt：没有此文件或文件夹）"
    )
    assert language.meaning("JC108", "patient.sex: unheard of") == "病历的某个字段取值无效（patient.sex: unheard of）"
    assert language.meaning("JC604", "no principal diagnosis could be determined") == "无法确定主要诊断"
    flag = Flag(code="JC601", message="2 diagnosis wordings found no code")
    assert language.meaning(flag.code, flag.message) == "有诊断或操作未找到编码（2 个诊断用语未找到编码）"
    finding = Finding(
        rule="principal-asterisk",
        severity=Severity.ERROR,
        codes=("G63.2*",),
        message="G63.2* is an asterisk code and cannot be principal",
        remedy="put the dagger code first",
    )
    said = (language.severity_text(finding), language.finding_text(finding), language.remedy_text(finding))
    assert said == ("错误", "G63.2* 是星号编码，不能作主要诊断", "将剑号编码列于首位")


def test_english_is_what_the_code_says() -> None:
    before, language.CHOSEN.language = language.CHOSEN.language, "en"
    try:
        assert language.meaning("JC107", "x") == "x"
        assert language.label("JC107") == "JC107"
        assert language.text("code") == "code"
    finally:
        language.CHOSEN.language = before


def test_unknown_languages_are_refused() -> None:
    with pytest.raises(UsageError, match="JC001"):
        language.choose("fr")


@pytest.fixture(scope="module")
def bilingual(tmp_path_factory: pytest.TempPathFactory) -> CodeBook:
    """An American book with Chinese names."""
    folder = tmp_path_factory.mktemp("bilingual")
    names = folder / "icd10cm_2023_zh_en.tsv"
    rows = "code\tbillable\tname_en\tname_zh_tw\tname_zh_cn_t2s\nJ18.9\t1\tPneumonia\t肺炎，未明示\t肺炎，未明示\n"
    names.write_text(rows, "utf-8")
    sources = {"tabular": FIXTURES / "tabular.xml", "pcs": FIXTURES / "icd10pcs_codes.txt", "chinese_cm": names}
    build_us(sources, folder / "book", book_id="us-bilingual")
    return CodeBook.open(folder / "book")


@pytest.mark.usefixtures("spoken")
def test_codes_go_by_their_chinese_names_where_the_book_has_them(bilingual: CodeBook, small_us: CodeBook) -> None:
    entry = bilingual.get(System.ICD10CM, "J18.9")
    assert entry is not None
    code = AssignedCode(system=entry.system, code=entry.code, name=entry.name, confidence=1.0)
    other = AssignedCode(system=entry.system, code="I10", name="Essential hypertension", confidence=1.0)
    versions = Versions(program="0")
    record = CodedRecord(encounter="x", language="en", codes=(code, other), suggestions=(code,), versions=versions)
    renamed = language.named(record, bilingual)
    assert [one.name for one in (*renamed.codes, *renamed.suggestions)] == [
        entry.names["zh"],
        bilingual.name(System.ICD10CM, "I10", "zh"),
        entry.names["zh"],
    ]
    assert HAN.search(entry.names["zh"])
    assert language.named(record, small_us) == record  # has no Chinese names


# ---------------------------------------------------------------------------------------------------------- the program

NOTE = "出院诊断：\n1.肺炎\n2.咳嗽\n3.2型糖尿病\n4.冠状动脉粥样硬化性心脏病\n"


@pytest.fixture
def note(tmp_path: Path) -> str:
    path = tmp_path / "note.txt"
    path.write_bytes(NOTE.encode("gb18030"))
    return str(path)


def test_tables_findings_and_flags_are_chinese(note: str, tmp_path: Path, small_cn: CodeBook) -> None:
    arguments = ("code", note, "--workflow", "lexical", "--book", str(small_cn.path), "--trace")
    done = program(*arguments, "--lang", "zh", cache=tmp_path)
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("诊断 · ICD-10-CN", "编码", "名称", "依据", "步骤记录", "流程 lexical"))
    flagged = "文本不是 UTF-8，已按其他编码读取（文本按 gb18030 读取，不是 UTF-8）"
    assert f"[JC109]   {flagged}" in done.stdout
    assert f"[JC109] {flagged}" in done.stderr
    english = program(*arguments, cache=tmp_path).stdout
    assert "diagnosis · ICD-10-CN" in english
    assert "JC109   the text was decoded from gb18030, not UTF-8" in english


def test_json_is_the_same_in_every_language(note: str, tmp_path: Path, small_cn: CodeBook) -> None:
    def record(**environment: str) -> dict[str, object]:
        arguments = ("code", note, "--workflow", "lexical", "--book", str(small_cn.path), "--json")
        value = json.loads(program(*arguments, cache=tmp_path, **environment).stdout)
        assert value.pop("cost")
        assert value.pop("trace")
        return dict(value)

    assert record(JOINTCODER_LANG="zh") == record() == record(JOINTCODER_LANG="en")


def test_the_environment_and_the_settings_choose_and_the_flag_overrules(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text('lang = "zh"\n', "utf-8")
    missing = ("code", str(tmp_path / "missing.txt"))
    assert "[JC107] 无法读取输入文件" in program(*missing, cache=tmp_path, JOINTCODER_LANG="zh").stderr
    assert "[JC107] 无法读取输入文件" in program(*missing, cache=tmp_path, JOINTCODER_CONFIG=str(settings)).stderr
    assert "[JC107] 无法读取输入文件" in program("--lang", "zh", *missing, cache=tmp_path).stderr
    overruled = program(*missing, "--lang", "en", cache=tmp_path, JOINTCODER_LANG="zh").stderr
    assert overruled == program(*missing, cache=tmp_path).stderr
    assert overruled.startswith("JC107 ")


@pytest.mark.parametrize(
    "command", ["code", "evaluate", "doctor", "exchange export", "codebook show", "codebook check", "packs list"]
)
def test_commands_take_the_flag(command: str, tmp_path: Path) -> None:
    assert "Language of tables and messages" in program(*command.split(), "--help", cache=tmp_path).stdout


def test_the_language_of_a_search_stays_that_of_its_words(small_cn: CodeBook, tmp_path: Path) -> None:
    done = program("codebook", "search", "肺炎", "--lang", "zh", "--book", str(small_cn.path), cache=tmp_path)
    assert "J18.900" in done.stdout
    assert "Language of the words" in program("codebook", "search", "--help", cache=tmp_path).stdout


def test_rules_are_listed_in_chinese(tmp_path: Path) -> None:
    done = program("codebook", "check", "--rules", cache=tmp_path, JOINTCODER_LANG="zh")
    assert "principal-asterisk\t错误\t顺序\t以星号编码作主要诊断" in done.stdout
    value = json.loads(program("codebook", "check", "--rules", "--json", cache=tmp_path, JOINTCODER_LANG="zh").stdout)
    assert next(one for one in value if one["id"] == "principal-asterisk")["title"] == "an asterisk code is principal"


def test_an_unknown_language_names_the_known_ones(tmp_path: Path) -> None:
    done = program("doctor", "--lang", "fr", cache=tmp_path)
    assert done.returncode == 2
    assert "known: en, zh" in done.stderr
