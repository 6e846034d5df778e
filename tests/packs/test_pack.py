"""A pack is whole or refused; a new one replaces the old one as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jointcoder.errors import JointCoderError
from jointcoder.learn.write import describe, draft
from jointcoder.packs import Pack, PackInfo
from jointcoder.records import System
from jointcoder.settings import Settings

INFO = PackInfo(id="ours", languages=("en",), systems=(System.ICD10CM,), parts=("mentions",))


def write(folder: Path, content: str = "words", *, replace: bool = False) -> Path:
    with draft(folder, replace=replace) as made:
        (made / "mentions").mkdir()
        (made / "mentions" / "lexicon.jsonl").write_text(content)
        describe(made, INFO)
    return folder


def killed_half_way(folder: Path) -> None:
    with draft(folder, replace=True) as made:
        (made / "half").write_text("written")
        raise RuntimeError("killed here")


def code_of(action: object, *arguments: object) -> str:
    with pytest.raises(JointCoderError) as caught:
        action(*arguments)  # type: ignore[operator]
    return caught.value.code


def test_a_pack_opens_by_folder_and_by_name(tmp_path: Path) -> None:
    settings = Settings(cache=tmp_path)
    write(settings.packs_dir / "ours")
    pack = Pack.find(settings, "ours")
    assert pack.info.parts == ("mentions",)
    assert pack.version.startswith("ours@")
    assert Pack.find(settings, str(settings.packs_dir / "ours")).sha256 == pack.sha256
    assert code_of(Pack.find, settings, "theirs") == "JC213"
    assert code_of(pack.part, "terms") == "JC213"


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda f: (f / "mentions" / "lexicon.jsonl").write_text("others"), "JC202"),
        (lambda f: (f / "mentions" / "lexicon.jsonl").unlink(), "JC212"),
        (lambda f: (f / "pack.json").write_text("{"), "JC212"),
        (lambda f: (f / "pack.json").unlink(), "JC211"),
        (
            lambda f: (f / "pack.json").write_text((f / "pack.json").read_text().replace('"format": 1', '"format": 9')),
            "JC212",
        ),
    ],
)
def test_a_harmed_pack_is_refused(tmp_path: Path, harm: object, code: str) -> None:
    folder = write(tmp_path / "ours")
    harm(folder)  # type: ignore[operator]
    assert code_of(Pack.open, folder) == code


def test_a_pack_is_replaced_only_when_asked_and_only_as_a_whole(tmp_path: Path) -> None:
    folder = write(tmp_path / "ours", "first")
    assert code_of(write, folder, "second") == "JC001"
    with pytest.raises(RuntimeError):
        killed_half_way(folder)
    assert (folder / "mentions" / "lexicon.jsonl").read_text() == "first"
    write(folder, "second", replace=True)
    assert (Pack.open(folder).folder / "mentions" / "lexicon.jsonl").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("sir")
    assert code_of(write, tmp_path / "letters") == "JC001"
    assert (tmp_path / "letters" / "dear.txt").read_text() == "sir"


def test_the_description_holds_no_more_than_it_says(tmp_path: Path) -> None:
    data = json.loads((write(tmp_path / "ours") / "pack.json").read_text())
    assert set(data["files"]) == {"mentions/lexicon.jsonl"}
    assert data["shareable"] is False
