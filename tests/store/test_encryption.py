"""Note text at rest: sealed under a key, opened by it alone, for what it is bound to; keys change by sealing anew."""

from __future__ import annotations

import base64
import secrets
from pathlib import Path

import pytest

pytest.importorskip("cryptography", reason="the extra server is not installed")

from jointcoder.errors import InputError, UsageError
from jointcoder.records import Document, Encounter
from jointcoder.settings import Settings
from jointcoder.store.encounters import Encounters
from jointcoder.store.encryption import FILE_VARIABLE, KEY_VARIABLE, AesGcm, key_id, new_key, sealer_from
from jointcoder.store.engine import Store, open_store
from jointcoder.store.resealing import resealed, sealed_columns

TEXT = "胸痛三天，既往有高血压。 Chest pain for three days."
DATA = TEXT.encode()


def key() -> bytes:
    return secrets.token_bytes(32)


def test_what_is_sealed_opens_under_its_key_and_for_what_it_is_bound_to():
    sealer = AesGcm([key()])
    sealed = sealer.seal(DATA, bound="encounter a")
    assert DATA not in sealed
    assert sealer.open(sealed, bound="encounter a") == DATA
    assert sealer.seal(DATA, bound="encounter a") != sealed
    assert sealer.open(sealer.seal(b""), bound="") == b""
    damaged = [sealed[:-1] + bytes([sealed[-1] ^ 1]), sealed[:20] + b"\x00" + sealed[21:], sealed[:-4]]
    for data, bound in [(sealed, "encounter b"), *((one, "encounter a") for one in damaged)]:
        with pytest.raises(InputError) as caught:
            sealer.open(data, bound=bound)
        assert caught.value.code == "JC479"


def test_another_key_is_named_and_opens_nothing():
    mine, other = AesGcm([key()]), AesGcm([key()])
    sealed = mine.seal(DATA)
    with pytest.raises(InputError) as caught:
        other.open(sealed)
    assert caught.value.code == "JC479"
    assert mine.first is not None
    assert mine.first in caught.value.message
    assert key_id(sealed) == mine.first


def test_what_was_never_sealed_opens_as_it_is():
    sealer = AesGcm([key()])
    assert sealer.open(b'{"id": "e1"}') == b'{"id": "e1"}'
    assert not sealer.current(b'{"id": "e1"}')


def test_encryption_that_is_off_seals_nothing_and_opens_what_was_sealed():
    mine = key()
    sealed = AesGcm([mine]).seal(DATA)
    off = AesGcm([mine], sealing=False)
    assert (off.seal(DATA), off.open(sealed), off.first) == (DATA, DATA, None)
    assert off.current(DATA)
    assert not off.current(sealed)
    with pytest.raises(InputError, match="JC479"):
        AesGcm([], sealing=False).open(sealed)


def test_keys_come_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    old, new = new_key(), new_key()
    assert len(base64.b64decode(new)) == 32
    monkeypatch.setenv(KEY_VARIABLE, old)
    sealed = sealer_from(Settings(encrypt_notes=True)).seal(DATA)
    monkeypatch.delenv(KEY_VARIABLE)
    (tmp_path / "keys").write_text(f"{new}\n{old}\n", "ascii")
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "keys"))
    both = sealer_from(Settings(encrypt_notes=True))
    assert both.open(sealed) == DATA
    assert not both.current(sealed)
    assert sealer_from(Settings()).seal(DATA) == DATA


@pytest.mark.parametrize("text", ["", "not base64!", "c2hvcnQ=", "é"])
def test_keys_that_are_none(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(KEY_VARIABLE, text)
    monkeypatch.delenv(FILE_VARIABLE, raising=False)
    with pytest.raises(UsageError) as caught:
        sealer_from(Settings(encrypt_notes=True))
    assert caught.value.code == "JC479"
    assert not text or text not in str(caught.value)


def test_a_missing_key_file_is_named_by_its_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    monkeypatch.setenv(FILE_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(UsageError, match=f"JC479.*{FILE_VARIABLE}"):
        sealer_from(Settings(encrypt_notes=True))


def encounter(number: int) -> Encounter:
    return Encounter(id=f"e{number}", documents=(Document(id="1", text=f"{TEXT} ({number})"),))


def test_keys_are_changed_by_sealing_anew(store: Store):
    old, new = key(), key()
    for number in range(3):  # the first one before encryption was switched on
        sealer = AesGcm([old]) if number else AesGcm([], sealing=False)
        Encounters(store, sealer=sealer).put(encounter(number))
    assert resealed(store, AesGcm([new, old])) == 3
    assert resealed(store, AesGcm([new, old])) == 0
    after = Encounters(store, sealer=AesGcm([new]))
    assert [after.get(f"e{number}") for number in range(3)] == [encounter(number) for number in range(3)]
    with pytest.raises(InputError, match="JC479"):
        Encounters(store, sealer=AesGcm([old])).get("e1")
    assert resealed(store, AesGcm([new], sealing=False)) == 3
    assert Encounters(store).get("e2") == encounter(2)


def test_no_note_text_lies_in_an_encrypted_file(tmp_path: Path):
    with open_store(tmp_path / "store.sqlite") as store:
        Encounters(store, sealer=AesGcm([key()])).put(encounter(1))
        held = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"e1" in held
    assert "胸痛".encode() not in held
    assert b"Chest" not in held


def test_what_lay_open_is_gone_once_it_is_sealed(tmp_path: Path):
    def held() -> bytes:
        return b"".join(file.read_bytes() for file in tmp_path.iterdir())

    with open_store(tmp_path / "store.sqlite") as store:
        Encounters(store).put(encounter(1))
        assert b"Chest" in held()
        assert resealed(store, AesGcm([key()])) == 1
        store.compact()
        assert b"Chest" not in held()


def test_every_column_of_bytes_is_sealed():
    from sqlalchemy import LargeBinary

    from jointcoder.store.tables import Base

    binary = {
        (table.name, column.name)
        for table in Base.metadata.tables.values()
        for column in table.columns
        if isinstance(column.type, LargeBinary)
    }
    assert {(one.table.__tablename__, one.column) for one in sealed_columns()} == binary
