"""Attachments of FHIR → text, wherever their bytes stand: in the element, or in a Binary that came along.

Of the forms in which a resource offers one document, the first that can be read in the order of :data:`FORMS` is taken:
plain text before markup before pages (:mod:`jointcoder.exchange.attached` reads them). What cannot be read is
InputError JC163 or JC164 with the path of the element. This module knows attachments, not resources.
"""

from __future__ import annotations

from collections.abc import Sequence
from email.message import Message

from jointcoder.errors import InputError
from jointcoder.exchange.attached import REFUSED, Read, from_base64, read_bytes
from jointcoder.exchange.fhir_element import Element, Pool, Resource

FORMS = ("text/plain", "text/html", "application/xhtml+xml", "text/*", "", "application/pdf", "image/*")


def read_attachment(attachments: Sequence[Element], pool: Pool, within: Resource) -> Read:
    """The first of the attachments, each a form of the same document, that can be read. InputError JC163 where a URL
    leads out of what was given, JC164 where the data cannot be read, JC101 for one without text."""
    failure: InputError | None = None
    for attachment in sorted(attachments, key=_preference):
        try:
            return _read(attachment, pool, within)
        except InputError as error:
            failure = failure or error
    if failure is None:
        raise InputError("JC164", f"{within.path} has no attachment")
    raise failure


def _media_type(attachment: Element) -> tuple[str, str]:
    """(type, charset), in lower case."""
    header = Message()
    given = attachment.text("contentType").encode("ascii", "replace").decode("ascii")
    header["content-type"] = given.replace("\r", " ").replace("\n", " ") or "text/x-untold"
    told = header.get_content_type().lower()
    return "" if told == "text/x-untold" else told, (header.get_content_charset() or "")


def _preference(attachment: Element) -> int:
    kind = _media_type(attachment)[0]
    if kind in FORMS:
        return FORMS.index(kind)
    family = f"{kind.partition('/')[0]}/*"
    return FORMS.index(family) if family in FORMS and kind not in REFUSED else len(FORMS)


def _read(attachment: Element, pool: Pool, within: Resource) -> Read:
    kind, charset = _media_type(attachment)
    data, path = _bytes(attachment, pool, within)
    return read_bytes(data, kind, charset=charset, path=path)


def _bytes(attachment: Element, pool: Pool, within: Resource) -> tuple[bytes, str]:
    """The bytes of an attachment, and the path of the element that holds them."""
    if encoded := attachment.text("data"):
        return from_base64(encoded, f"{attachment.path}.data"), f"{attachment.path}.data"
    url = attachment.text("url")
    if not url:
        raise InputError("JC164", f"{attachment.path} has neither data nor url")
    binary = pool.find(url, within=within)
    if binary is None or binary.type != "Binary":
        hint = "send the Binary in the same Bundle; nothing is fetched from elsewhere"
        raise InputError("JC163", f"{attachment.path}.url leads to nothing in what was given", hint=hint)
    return from_base64(binary.text("data"), f"{binary.path}.data"), f"{binary.path}.data"
