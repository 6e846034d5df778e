"""What errors and rules say in the language that is asked for; no language is in use here."""

from __future__ import annotations

from jointcoder.records import Finding, Severity
from jointcoder.text.phrases import finding_text, meaning, remedy_text, text

FINDING = Finding(
    rule="principal-asterisk",
    severity=Severity.ERROR,
    codes=("G63.2*",),
    message="G63.2* is an asterisk code and cannot be principal",
    remedy="put the dagger code first",
)


def test_english_stays_as_the_code_words_it() -> None:
    assert meaning("JC107", "a.txt: No such file or directory", "en") == "a.txt: No such file or directory"
    assert finding_text(FINDING, "en") == FINDING.message
    assert remedy_text(FINDING, "en") == FINDING.remedy


def test_chinese_comes_from_the_catalogue() -> None:
    assert meaning("JC107", "a.txt: No such file or directory", "zh").startswith("无法读取输入文件（a.txt：")
    assert finding_text(FINDING, "zh").startswith("G63.2* ")
    assert "asterisk" not in finding_text(FINDING, "zh")
    assert remedy_text(FINDING, "zh") != FINDING.remedy
    assert text("nothing that the catalogue holds", "zh") == "nothing that the catalogue holds"
