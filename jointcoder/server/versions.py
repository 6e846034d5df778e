"""What codes here, by name and hash: of the coder that the workers have open; until there is one, from the settings and
the books that are open."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from jointcoder import __version__
from jointcoder.errors import JointCoderError
from jointcoder.records import Versions
from jointcoder.settings import Settings

if TYPE_CHECKING:
    from jointcoder.desk.service import Desk


class Running:
    """The versions of one application. Never raises: what cannot be told is empty."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._desk: Desk | None = None

    def open(self, desk: Desk) -> None:
        """The desk is there: from now on its books are told."""
        self._desk = desk
        self.__dict__.pop("_guessed", None)

    def versions(self) -> Versions:
        """What codes here."""
        opened = self._desk.workers.versions if self._desk is not None else None
        return opened or self._guessed

    @cached_property
    def _guessed(self) -> Versions:
        told: dict[str, str] = {"program": __version__}
        with suppress(JointCoderError):  # the coder will say what is wrong with it
            told |= self._workflow()
        if self._desk is not None:
            info = self._desk.editions.main.info
            told |= {"code_book": info.id, "code_book_hash": info.sha256, "edition": info.edition}
        return Versions.model_validate(told)

    def _workflow(self) -> dict[str, str]:
        from jointcoder.assets import resolve_model
        from jointcoder.llm.load import needs_file
        from jointcoder.workflow.check import plan
        from jointcoder.workflow.spec import load_workflow

        flow = load_workflow(self.settings.workflow)
        told = {"workflow": flow.name, "workflow_hash": flow.hash, "pack": self.settings.pack or ""}
        if not plan(flow).asks:
            return told
        if needs_file(self.settings.backend):
            model = resolve_model(self.settings, self.settings.model)
            return told | {"model": model.name, "model_hash": model.sha256}
        # A server knows its own model, unless one was named.
        named = self.settings.model if "model" in self.settings.model_fields_set else ""
        return told | {"model": named, "model_hash": self.settings.server_model_sha256}
