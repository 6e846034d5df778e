"""The packs that come with the program open, say where they come from, and code an invented note."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from jointcoder.coder import Coder
from jointcoder.packs.pack import Pack, packs_in, places
from jointcoder.records import Encounter
from jointcoder.settings import Settings

SHIPPED = [folder.name for folder in packs_in(places(Settings())[0])]
LIMIT_BYTES = 30_000_000

NOTE = (
    "Mujer de 70 años con hipertensión arterial y diabetes mellitus tipo 2. Acude por tos y fiebre; "
    "la radiografía de tórax muestra una neumonía. Se inició tratamiento y evolucionó bien."
)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_pack_may_be_passed_on_and_says_whose_it_is(name: str) -> None:
    pack = Pack.find(Settings(), name)
    assert pack.info.shareable
    assert pack.info.licence
    assert pack.info.attribution
    assert all(origin.sha256 and origin.records for origin in pack.info.origins)
    assert sum((pack.folder / file).stat().st_size for file in pack.info.files) < LIMIT_BYTES


def test_the_spanish_pack_codes_a_note(coder: Callable[..., Coder]) -> None:
    pytest.importorskip("lightgbm")
    note = Encounter.from_text(NOTE, language="es")
    record = coder(workflow="learned", pack="codiesp-es").code(note)
    codes = {code.code: code for code in record.codes}
    assert {"I10", "J18.9", "E11.9"} <= set(codes)
    assert codes["I10"].evidence[0].quote.startswith("hipertensión")
    assert all(span.reproduces(note) for code in record.codes for span in code.evidence)
    assert codes["J18.9"].reasons
