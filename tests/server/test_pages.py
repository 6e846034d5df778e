"""The pages over HTTP: who sees and may do what, what is said, in which language, and that nothing breaks out of it."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra server is not installed")
pytest.importorskip("sqlalchemy", reason="the extra store is not installed")

from jointcoder.codebook.book import CodeBook
from jointcoder.records import Encounter
from jointcoder.store.accounts import Accounts
from jointcoder.store.keys import Keys

from .pages_house import HTMX, SECRET, House, house

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture
def home(tmp_path: Path, small_us: CodeBook) -> Iterator[House]:
    with house(tmp_path, small_us) as made:
        yield made


# --------------------------------------------------------------------------------------------------------- signing in


def test_who_is_not_signed_in_signs_in_and_comes_back_to_where_they_wanted(home: House) -> None:
    Accounts(home.store).add("ana", roles=["coder"], password=SECRET, by="test")
    visitor = home.visitor()
    sent = visitor.get("/worklist?status=all&q=x", follow_redirects=False)
    assert sent.status_code == 303
    form = visitor.get(sent.headers["location"])
    (hidden,) = re.findall(r'name="next" value="([^"]*)"', form.text.partition('action="/login"')[2])
    assert hidden == "/worklist?status=all&amp;q=x"
    answer = visitor.post("/login", {"name": "Ana", "password": SECRET, "next": "/worklist?status=all&q=x"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/worklist?status=all&q=x")
    assert visitor.get("/worklist").status_code == 200


def test_a_wrong_password_is_said_and_only_the_name_is_kept(home: House) -> None:
    Accounts(home.store).add("ana", roles=["coder"], password=SECRET, by="test")
    visitor = home.visitor()
    answer = visitor.post("/login", {"name": HOSTILE, "password": "another harbour"})
    assert answer.status_code == 401
    assert "Name or password is wrong." in answer.text
    assert HOSTILE not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert "another harbour" not in answer.text


def test_a_sign_in_never_leads_to_another_site(home: House) -> None:
    Accounts(home.store).add("ana", roles=["coder"], password=SECRET, by="test")
    for aim in ("https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"):
        visitor = home.visitor()
        answer = visitor.post("/login", {"name": "ana", "password": SECRET, "next": aim})
        assert answer.headers["location"] == "/"
        assert visitor.post("/login/language", {"language": "zh", "next": aim}).headers["location"] == "/"


def test_signing_out_ends_it(home: House) -> None:
    ana = home.person("ana", "coder")
    assert ana.post("/logout").status_code == 303
    assert ana.get("/worklist", follow_redirects=False).status_code == 303
    asked = ana.get("/worklist", headers=HTMX, follow_redirects=False)
    assert (asked.status_code, asked.headers["hx-redirect"]) == (401, "/login")


# -------------------------------------------------------------------------------------------------------------- roles

PAGES = ("/worklist", "/upload", "/admin/accounts", "/admin/audit", "/account", "/about")
MAY = {
    "coder": {"/worklist", "/upload", "/account", "/about"},
    "lead": {"/worklist", "/upload", "/admin/audit", "/account", "/about"},
    "admin": {"/worklist", "/admin/accounts", "/admin/audit", "/account", "/about"},
    "service": {"/upload", "/account", "/about"},
}


def test_each_role_sees_its_pages_and_no_link_to_others(home: House) -> None:
    for role, pages in MAY.items():
        person = home.person(f"pat-{role}", role)
        assert {path for path in PAGES if person.get(path).status_code == 200} == pages, role
        assert {person.get(path).status_code for path in set(PAGES) - pages} == {403}, role
        bar = person.get("/about").text.partition("</nav>")[0]
        linked = set(re.findall(r'<li><a href="([^"]+)"', bar))
        assert linked == pages & {"/worklist", "/upload", "/admin/accounts", "/admin/audit"}, role


def test_an_admin_reads_the_worklist_but_takes_nothing(home: House) -> None:
    (version,) = home.coded(Encounter.from_text("a cough", id="one"))
    ada = home.person("ada", "admin")
    assert "take-next" not in ada.get("/worklist").text
    assert ada.post(f"/worklist/{version}/claim").status_code == 403
    assert ada.post("/worklist/next").status_code == 403
    assert home.desk.line("one").holder == ""


CHANGES = (
    "/logout",
    "/worklist/next",
    "/worklist/{version}/claim",
    "/worklist/{version}/release",
    "/account/password",
    "/account/language",
    "/account/theme",
    "/login/language",
    "/admin/accounts",
    "/admin/accounts/ada/disable",
    "/admin/accounts/ada/keys",
    "/admin/audit/chain",
    "/upload",
)


def test_nothing_is_done_without_the_token_of_the_page(home: House) -> None:
    (version,) = home.coded(Encounter.from_text("a cough", id="one"))
    ada = home.person("ada", "admin", "lead", "coder")
    for path in CHANGES:
        answer = ada.http.post(path.format(version=version), data={"csrf_token": "guessed"}, follow_redirects=False)
        assert answer.status_code == 403, path
        assert "JC473" in answer.text, path
    assert home.desk.line("one").holder == ""
    assert ada.get("/worklist").status_code == 200


# ------------------------------------------------------------------------------------------------------------ language


def test_the_browser_is_answered_in_its_language_until_somebody_chooses(home: House) -> None:
    ana = home.person("ana", "coder", **{"Accept-Language": "zh-CN,zh;q=0.9"})
    page = ana.get("/worklist").text
    assert '<html lang="zh-Hans">' in page
    assert "工作列表" in page
    chosen = ana.post("/login/language", {"language": "en", "next": "/worklist?status=all"})
    assert chosen.headers["location"] == "/worklist?status=all"
    assert '<html lang="en">' in ana.get("/worklist").text
    assert Accounts(home.store).get("ana").language == "en"
    ana.post("/account/language", {"language": ""})
    assert Accounts(home.store).get("ana").language == ""
    assert '<html lang="zh-Hans">' in ana.get("/worklist").text


def test_a_language_that_there_is_not_changes_nothing(home: House) -> None:
    ana = home.person("ana", "coder")
    ana.post("/login/language", {"language": "xx", "next": "/"})
    assert '<html lang="en">' in ana.get("/worklist").text


def test_every_page_is_made_in_both_languages(home: House) -> None:
    home.coded(Encounter.from_text("a cough", id="one"))
    ada = home.person("ada", "admin", "lead", "coder")
    paths = (*PAGES, "/admin/accounts/ada", "/worklist?status=all&q=zz", "/no/such/page")
    for language, path in itertools.product(("en", "zh"), paths):
        page = ada.get(path, headers={"Accept-Language": language})
        assert page.status_code == (404 if path.startswith("/no/") else 200), path
        text = re.sub(r"<script.*?</script>|<[^>]+>", " ", page.text, flags=re.DOTALL)
        shown = text.replace("中文", "")
        assert bool(re.search("[\u3400-\u9fff]", shown)) is (language == "zh"), path


# ------------------------------------------------------------------------------------------------------ hostile names


def test_what_others_named_stays_text(home: House) -> None:
    home.desk.receive(Encounter.from_text("a cough", id=HOSTILE))
    Accounts(home.store).add("mal", roles=["coder"], password=SECRET, display=HOSTILE, by="test")
    ada = home.person("ada", "admin", "lead", display=HOSTILE)
    Keys(home.store).add("mal", label=HOSTILE, by=HOSTILE)
    for path in ("/worklist?status=all", "/admin/accounts", "/admin/accounts/mal", "/admin/audit", "/account"):
        page = ada.get(path)
        assert page.status_code == 200
        assert HOSTILE not in page.text
        assert "&lt;script&gt;" in page.text, path
    for path in (
        f"/worklist?q={HOSTILE}",
        f"/admin/audit?subject={HOSTILE}",
        f"/admin/accounts/{HOSTILE}",
        f"/{HOSTILE}",
    ):
        assert HOSTILE not in ada.get(path).text, path


# ------------------------------------------------------------------------------------------------------------- account


def test_a_password_is_changed_by_who_knows_the_old_one(home: House) -> None:
    ana = home.person("ana", "coder")
    new = "another quiet harbour"
    differ = ana.post("/account/password", {"old": SECRET, "new": new, "again": "mistyped harbour"})
    assert (differ.status_code, "The two new passwords differ." in differ.text) == (422, True)
    wrong = ana.post("/account/password", {"old": "not the old one", "new": new, "again": new})
    assert (wrong.status_code, "The present password is wrong." in wrong.text) == (401, True)
    short = ana.post("/account/password", {"old": SECRET, "new": "short", "again": "short"})
    assert (short.status_code, 'role="alert"' in short.text) == (409, True)
    done = ana.post("/account/password", {"old": SECRET, "new": new, "again": new})
    assert done.headers["location"] == "/login?done=password"
    assert ana.get("/worklist", follow_redirects=False).status_code == 303
    assert ana.post("/login", {"name": "ana", "password": SECRET}).status_code == 401
    assert ana.post("/login", {"name": "ana", "password": new}).status_code == 303


def test_colours_are_kept_by_the_browser(home: House) -> None:
    ana = home.person("ana", "coder")
    ana.post("/account/theme", {"theme": "dark"})
    assert 'data-theme="dark"' in ana.get("/worklist").text
    ana.post("/account/theme", {"theme": "system"})
    assert "data-theme" not in ana.get("/worklist").text


# ----------------------------------------------------------------------------------------------------------- accounts


def test_the_first_account_ends_the_open_mode_and_must_be_an_administrators(home: House) -> None:
    local = home.visitor()
    assert "Open mode" in local.get("/worklist").text
    form = {"name": "ada", "password": SECRET, "held": ["coder"]}
    refused = local.post("/admin/accounts", form)
    assert (refused.status_code, "must be an administrator" in refused.text) == (409, True)
    assert not Accounts(home.store).any()
    made = local.post("/admin/accounts", {**form, "held": ["coder", "admin"]})
    assert made.headers["location"].startswith("/login")
    assert local.get("/worklist", follow_redirects=False).status_code == 303


def test_an_administrator_makes_changes_and_shuts_accounts(home: House) -> None:
    ada = home.person("ada", "admin")
    assert ada.post("/admin/accounts", {"name": "bo", "password": SECRET, "held": ["coder"]}).status_code == 303
    again = ada.post("/admin/accounts", {"name": "bo", "held": ["coder"], "display": "Bo L."})
    assert (again.status_code, "JC477" in again.text, 'value="Bo L."' in again.text) == (409, True, True)
    bo = home.visitor()
    assert bo.post("/login", {"name": "bo", "password": SECRET}).status_code == 303
    ada.post("/admin/accounts/bo/roles", {"held": ["lead"]})
    assert bo.get("/admin/audit").status_code == 200
    ada.post("/admin/accounts/bo/disable")
    assert bo.get("/worklist", follow_redirects=False).status_code == 303
    ada.post("/admin/accounts/bo/enable")
    ada.post("/admin/accounts/bo/password", {"password": "a third quiet harbour"})
    assert bo.post("/login", {"name": "bo", "password": "a third quiet harbour"}).status_code == 303
    assert ada.get("/admin/accounts/nobody").status_code == 409


def test_the_last_administrator_stays(home: House) -> None:
    ada = home.person("ada", "admin")
    refused = ada.post("/admin/accounts/ada/roles", {"held": ["coder"]})
    assert (refused.status_code, "JC477" in refused.text) == (409, True)
    assert ada.get("/admin/accounts").status_code == 200


def test_a_key_is_shown_once_works_and_is_revoked(home: House) -> None:
    ada = home.person("ada", "admin")
    ada.post("/admin/accounts", {"name": "ward", "held": ["service"]})
    made = ada.post("/admin/accounts/ward/keys", {"label": "ward system", "days": "30"})
    (secret,) = set(re.findall(r"jc_[0-9a-f]{12}_[\w-]+", made.text))
    prefix = secret.split("_")[1]
    after = ada.get("/admin/accounts/ward").text
    assert secret not in after
    assert prefix in after
    asking = {"Authorization": f"Bearer {secret}"}
    assert home.visitor(**asking).get("/v1/workflows").status_code == 200
    ada.post(f"/admin/accounts/ward/keys/{prefix}/revoke")
    assert home.visitor(**asking).get("/v1/workflows").status_code == 401
    assert ada.post("/admin/accounts/ward/keys", {"days": "0"}).status_code == 400


# -------------------------------------------------------------------------------------------------------------- audit


def test_the_audit_shows_what_was_done_and_by_whom(home: House) -> None:
    (version,) = home.coded(Encounter.from_text("a cough", id="one"))
    lea = home.person("lea", "lead")
    lea.post(f"/worklist/{version}/claim")
    page = lea.get("/admin/audit?actor=lea&action=encounter.claimed").text
    assert "Record taken" in page
    assert version in page
    assert "audit.view" in lea.get("/admin/audit").text
    assert "No entry fits" in lea.get("/admin/audit?actor=lea&action=key.add").text
    assert 'aria-invalid="true"' in lea.get("/admin/audit?from=yesterday").text
    assert "No entry fits" in lea.get("/admin/audit?to=2020-01-01").text


def test_the_audit_is_read_on_page_by_page(home: House) -> None:
    for number in range(130):
        home.desk.receive(Encounter.from_text("a cough", id=f"stay {number}"))
    lea = home.person("lea", "lead")
    seen: list[int] = []
    link = "/admin/audit?action=encounter"
    while link:
        page = lea.get(link).text
        seen += map(int, re.findall(r'<td class="number">(\d+)</td>', page))
        found = re.search(r'rel="next" href="([^"]+)"', page)
        link = found[1].replace("&amp;", "&") if found else ""
    assert len(seen) == len(set(seen)) == 130
    assert seen == sorted(seen, reverse=True)


def test_the_chain_is_checked_and_a_changed_entry_is_found(home: House) -> None:
    from sqlalchemy import text

    lea = home.person("lea", "lead")
    for number in range(3):
        home.desk.receive(Encounter.from_text("a cough", id=str(number)))
    assert "The chain is whole." in lea.post("/admin/audit/chain", htmx=True).text
    whole = lea.post("/admin/audit/chain").text
    assert "<html" in whole
    assert "The chain is whole." in whole
    with home.store.writing() as session:
        touched = "UPDATE audit SET actor = 'somebody' WHERE seq = (SELECT min(seq) + 1 FROM audit)"
        for (name,) in session.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'")
        ):
            session.execute(text(f"DROP TRIGGER {name}"))
        session.execute(text(touched))
    broken = lea.post("/admin/audit/chain", htmx=True).text
    assert "The chain is broken at entry 2." in broken
    assert "changed after it was written" in broken


# ------------------------------------------------------------------------------------------------------ about, errors


def test_about_tells_what_runs_and_whether_it_can(home: House) -> None:
    ana = home.person("ana", "coder")
    page = ana.get("/about").text
    assert "Coding is ready." in page
    assert "us-small" in page
    assert "desk.sqlite" not in page


def test_errors_are_pages_for_people_and_problems_for_programs(home: House) -> None:
    ana = home.person("ana", "coder", **{"Accept-Language": "zh"})
    page = ana.get("/no/such/page")
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (404, "text/html")
    assert "没有此页面或病历" in page.text
    assert "JC480" in page.text
    part = ana.get("/no/such/page", headers=HTMX)
    assert part.status_code == 404
    assert "<html" not in part.text
    api = ana.get("/v1/no/such/thing", headers={"Accept": "text/html"})
    assert api.headers["content-type"] == "application/problem+json"
    wrong = ana.get("/worklist?status=nonsense")
    assert (wrong.status_code, "JC469" in wrong.text) == (400, True)


def test_static_files_are_ours_and_kept_by_version(home: House) -> None:
    visitor = home.visitor()
    page = visitor.get("/login").text
    links = re.findall(r'(?:src|href)="(/static/[^"#]+)', page)
    assert {link.partition("?")[0] for link in links} >= {"/static/desk.css", "/static/htmx.min.js", "/static/shell.js"}
    for link in links:
        answer = visitor.get(link)
        assert answer.status_code == 200, link
        assert ("max-age" in answer.headers["cache-control"]) is ("?v=" in link)
    assert visitor.get("/static/../app.py").status_code in (303, 404)
    assert visitor.get("/static/%2e%2e/app.py").status_code == 404


def test_no_page_is_kept_and_all_carry_the_policy(home: House) -> None:
    ana = home.person("ana", "coder")
    for path in ("/worklist", "/account", "/no/such/page"):
        answer = ana.get(path)
        assert answer.headers["cache-control"] == "no-store"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]


def test_what_is_said_along_with_a_part_is_plain_json(home: House) -> None:
    (version,) = home.coded(Encounter.from_text("a cough", id="一号"))
    ana = home.person("ana", "coder")
    taken = ana.post(f"/worklist/{version}/claim", htmx=True)
    assert json.loads(taken.headers["hx-trigger"]) == {"say": "You have 一号."}
