"""The phrases of pages: both languages say the same things, templates say nothing by themselves, readers get theirs."""

from __future__ import annotations

import re
import string
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jointcoder.server.pages.i18n import LANGUAGES, chosen, words
from jointcoder.server.pages.shell import folder

HAN = re.compile("[\u3400-\u9fff]")
JINJA = re.compile(r"\{% block main_class %\}.*?\{% endblock %\}|\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", re.DOTALL)
ATTRIBUTE = re.compile(r'''\b[a-z-]+="[^"]*"''')  # of a macro that makes attributes
SPOKEN = ("title", "aria-label", "placeholder", "alt")
NAMES = re.compile(r"\{\w*\}|JointCoder|htmx [\d.]+, 0BSD|jc_|\bEsc\b")
"""What is called the same in every language."""
TEMPLATES = sorted(folder("templates").rglob("*.html"))


def holes(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_the_languages_have_the_same_phrases_with_the_same_holes() -> None:
    english, chinese = words("en").table, words("zh").table
    assert set(english) == set(chinese)
    assert len(english) > 200
    plural = {key for key in english if key.endswith(".one")}  # English says "one", and may leave the number out
    assert [key for key in english if key not in plural and holes(english[key]) != holes(chinese[key])] == []


def test_chinese_phrases_are_chinese_and_english_ones_are_not() -> None:
    same = {"shell.other_language", "account.own_name.en", "account.own_name.zh"}
    english, chinese = words("en").table, words("zh").table
    official = {key for key in english if key.startswith("encounter.condition")}  # the front page's own term
    assert [key for key, text in english.items() if HAN.search(text) and key not in same | official] == []
    untold = [key for key, text in chinese.items() if not HAN.search(text) and key not in same]
    assert [
        key for key in untold if re.search("[a-z]{3}", NAMES.sub("", chinese[key])) and chinese[key] != "Python"
    ] == []


class Said(HTMLParser):
    """The words that stand in a page by themselves."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.within.append(tag)
        self.found += [value for name, value in attrs if value and name in SPOKEN]

    def handle_endtag(self, tag: str) -> None:
        while self.within and self.within.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "kbd" not in self.within:
            self.found.append(data)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(folder("templates"))))
def test_a_template_has_no_words_of_its_own(path: Path) -> None:
    page = Said()
    page.feed(JINJA.sub("", path.read_text("utf-8")))
    said = [NAMES.sub("", ATTRIBUTE.sub("", text)).strip() for text in page.found]
    assert [text for text in said if re.search(r"[^\W\d_]{2}", text)] == []


def test_every_phrase_that_templates_and_pages_name_is_there() -> None:
    table = words("en").table
    named = re.compile(r"""\b(tn?)\(\s*["']([\w.]+)["']\s*[,)]""")
    sources = [*TEMPLATES, *Path(folder("pages")).glob("*.py")]
    found = [match.groups() for path in sources for match in named.finditer(path.read_text("utf-8"))]
    assert len(found) > 100
    missing = {key for form, key in found if (f"{key}.other" if form == "tn" else key) not in table}
    assert missing == set()


def test_nothing_stands_inline_or_comes_from_elsewhere() -> None:
    bad = re.compile(
        r"""<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son[a-z]+=|hx-on|(?:src|href)=["']?(?:https?:)?//"""
    )
    assert [path.name for path in TEMPLATES if bad.search(path.read_text("utf-8"))] == []
    loaded = re.compile(r"""@import|url\(\s*["']?(?:https?:)?//|import\(?\s*["'](?:https?:)?//""")
    own = [path for path in folder("static").iterdir() if path.suffix in (".css", ".js") and ".min." not in path.name]
    assert own
    assert [path.name for path in own if loaded.search(path.read_text("utf-8"))] == []


def test_scripts_hold_no_phrases() -> None:
    text = re.compile(r"""["'`]([^"'`\n]*)["'`]""")
    comment = re.compile(r"/\*.*?\*/|(?<!:)//[^\n]*", re.DOTALL)
    for path in folder("static").glob("*.js"):
        if ".min." in path.name:
            continue
        code = comment.sub("", path.read_text("utf-8"))
        assert not HAN.search(code), path.name
        assert [said for said in text.findall(code) if re.fullmatch(r"[A-Z][a-z]+( [a-z]+){2,}.?", said)] == [], (
            path.name
        )


@pytest.mark.parametrize(
    ("account", "cookie", "accepts", "language"),
    [
        ("zh", "en", "en", "zh"),
        ("", "zh", "en", "zh"),
        (None, None, "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        (None, None, "en-GB,zh;q=0.5", "en"),
        (None, "fr", "fr,de;q=0.9,zh;q=0.1", "zh"),
        (None, None, "zh;q=0, en;q=0.1", "en"),
        (None, None, "zh;q=nonsense,*", "en"),
        (None, None, "", "en"),
    ],
)
def test_the_language_is_the_accounts_then_the_cookies_then_the_browsers(
    account: str | None, cookie: str | None, accepts: str, language: str
) -> None:
    assert chosen(account=account, cookie=cookie, accepts=accepts) == language
    assert language in LANGUAGES


def test_numbers_take_their_form() -> None:
    assert words("en").tn("worklist.shown", 1) == "1 encounter"
    assert words("en").tn("worklist.shown", 10_000) == "10,000 encounters"
    assert words("zh").tn("worklist.shown", 1) == "1 份病历"
    with pytest.raises(KeyError):
        words("en").t("worklist.no_such_phrase")
