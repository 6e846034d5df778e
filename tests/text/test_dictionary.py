"""The hospital's own words and abbreviations: what is read, what is refused and where; that the settings name both."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jointcoder.errors import InputError
from jointcoder.text.dictionary import Entry, read_abbreviations, read_dictionary
from jointcoder.text.segment import Segmenter

WORDS = "# 本院用词\n\n冠脉旋磨术\n药物球囊 2000 n\n射血分数保留 50\n"
SHORT = "# 缩写\t全称\n扩心\t扩张型心肌病\tdx\nLC\t腹腔镜胆囊切除术\tpx\tyes\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_dictionary_in_any_encoding(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "words.txt"
    path.write_bytes(WORDS.encode(encoding))
    assert read_dictionary(path) == (Entry("冠脉旋磨术"), Entry("药物球囊", 2000, "n"), Entry("射血分数保留", 50))


def test_an_empty_dictionary_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "words.txt").touch()
    assert read_dictionary(tmp_path / "words.txt") == ()


def test_words_of_a_dictionary_stay_whole(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text(WORDS, "utf-8")
    text = "行冠脉旋磨术及药物球囊治疗"
    with_it = [word.text for word in Segmenter("zh", dictionary=path, cache_dir=tmp_path / "cache").words(text)]
    without = [word.text for word in Segmenter("zh", cache_dir=tmp_path / "cache").words(text)]
    assert {"冠脉旋磨术", "药物球囊"} <= set(with_it)
    assert not {"冠脉旋磨术", "药物球囊"} & set(without)


def test_the_compiled_dictionary_is_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "jieba"
    Segmenter("zh", cache_dir=folder).words("胸痛")
    assert any(folder.iterdir())
    if os.name == "posix":
        assert folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("read", "content", "problem"),
    [
        (read_dictionary, "好\n好 12 n 余", "JC151: words.txt, line 2"),
        (read_dictionary, "好 十二", "JC151: words.txt, line 1"),
        (read_abbreviations, "# x\n扩心", "JC152: words.txt, line 2"),
        (read_abbreviations, "扩心\t", "JC152: words.txt, line 1"),
        (read_abbreviations, "扩心\t扩张型心肌病\t病", "JC152: words.txt, line 1"),
        (read_abbreviations, "扩心\t扩张型心肌病\tdx\tperhaps", "JC152: words.txt, line 1"),
    ],
)
def test_a_wrong_line_is_named_and_not_quoted(tmp_path: Path, read: object, content: str, problem: str) -> None:
    path = tmp_path / "words.txt"
    path.write_text(content, "utf-8")
    with pytest.raises(InputError, match=problem) as caught:
        read(path)  # type: ignore[operator]
    assert "扩心" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for read in (read_dictionary, read_abbreviations):
        with pytest.raises(InputError, match="JC107"):
            read(tmp_path / "missing.txt")


def test_rows_of_abbreviations_are_filled_up(tmp_path: Path) -> None:
    path = tmp_path / "short.tsv"
    path.write_text(SHORT, "utf-8")
    assert read_abbreviations(path) == (
        ("扩心", "扩张型心肌病", "dx", "no", "", ""),
        ("LC", "腹腔镜胆囊切除术", "px", "yes", "", ""),
    )


PROGRAM = """
from jointcoder.text.expand import expand
from jointcoder.text.segment import words
print(expand("扩心", "zh"), expand("LC术后", "zh"), [word.text for word in words("行冠脉旋磨术", "zh")])
"""


def test_the_settings_name_both(tmp_path: Path) -> None:
    """In a process of its own: the tables are read once."""
    (tmp_path / "words.txt").write_text(WORDS, "utf-8")
    (tmp_path / "short.tsv").write_text(SHORT, "utf-8")
    named = {
        "JOINTCODER_USER_DICTIONARY": str(tmp_path / "words.txt"),
        "JOINTCODER_ABBREVIATIONS": str(tmp_path / "short.tsv"),
        "JOINTCODER_CACHE": str(tmp_path / "cache"),
        "PYTHONIOENCODING": "utf-8",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env={**os.environ, **named}
    )
    assert "['扩心', '扩张型心肌病']" in done.stdout
    assert "['LC术后', '腹腔镜胆囊切除术术后']" in done.stdout  # the hospital's reading alone
    assert "冠脉旋磨术'" in done.stdout
    assert any((tmp_path / "cache" / "jieba").iterdir())
