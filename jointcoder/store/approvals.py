"""Which workflows may be used on patients: a person lets one in, by its hash, and can take it back.

    Approvals(store).approve(workflow, by="A. Meyer", text=toml)
    require_approved(workflow, store)          # WorkflowError JC441 unless it is let in

Approvals under one name form a line; the newest that was not withdrawn is the one in force, and ``rollback`` withdraws
it so that the one before is. Nothing is deleted: who approved what, and when it ended, stays on record. The hash covers
everything in a workflow that changes results, so a workflow edited after its approval is another one.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from jointcoder.errors import UsageError, WorkflowError, name_list

if TYPE_CHECKING:
    from jointcoder.store.engine import Store


class WorkflowLike(Protocol):
    """What is approved: ``workflow.spec.Workflow`` fits."""

    @property
    def name(self) -> str: ...
    @property
    def hash(self) -> str: ...


@dataclass(frozen=True)
class Approval:
    """One approval; ``workflow`` is the TOML as it was approved."""

    id: int
    line: str
    hash: str
    workflow: str
    approved_by: str
    approved: dt.datetime
    note: str = ""
    program: str = ""
    withdrawn_by: str | None = None
    withdrawn: dt.datetime | None = None

    @property
    def stands(self) -> bool:
        return self.withdrawn is None


class Approvals:
    """The approvals of a store. Raises AssetError JC430 as the store does."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def approve(
        self, workflow: WorkflowLike, *, by: str, text: str, line: str = "", note: str = "", program: str = ""
    ) -> Approval:
        """Let a workflow in, as the newest of its line (default: the workflow's name). ``text``: its TOML; ``program``:
        the version that made it. Raises
        UsageError JC001 without a name of the one who approves."""
        from jointcoder.store.tables.approvals import ApprovalRow

        with self.store.writing() as session:
            row = ApprovalRow(
                line=line or workflow.name,
                hash=workflow.hash,
                workflow=text,
                approved_by=_name(by),
                note=note,
                program=program,
            )
            session.add(row)
            session.flush()
            return _record(row)

    def all(self, line: str | None = None) -> list[Approval]:
        """Every approval, oldest first, of one line if named."""
        from sqlalchemy import select

        from jointcoder.store.tables.approvals import ApprovalRow

        wanted = select(ApprovalRow).order_by(ApprovalRow.id)
        with self.store.reading() as session:
            rows = session.scalars(wanted if line is None else wanted.where(ApprovalRow.line == line))
            return [_record(row) for row in rows]

    def current(self, line: str) -> Approval:
        """The approval in force. Raises UsageError JC442, naming the lines that there are."""
        standing = [one for one in self.all() if one.stands]
        found = [one for one in standing if one.line == line]
        if not found:
            known = name_list({one.line for one in standing})
            raise UsageError("JC442", f"no workflow is approved as {line!r}", hint=f"approved ones: {known}")
        return found[-1]

    def rollback(self, line: str, *, by: str) -> tuple[Approval, Approval | None]:
        """Withdraw the approval in force: what was withdrawn, and what is in force now, if anything. Raises UsageError
        JC442."""
        from jointcoder.store.tables.approvals import ApprovalRow

        last = self.current(line)
        with self.store.writing() as session:
            row = session.get_one(ApprovalRow, last.id)
            row.withdrawn, row.withdrawn_by = dt.datetime.now(dt.UTC), _name(by)
            session.flush()
            gone = _record(row)
        standing = [one for one in self.all(line) if one.stands]
        return gone, standing[-1] if standing else None

    def is_approved(self, workflow: WorkflowLike) -> bool:
        """Whether an approval of exactly this workflow stands."""
        return any(one.hash == workflow.hash and one.stands for one in self.all())


def require_approved(workflow: WorkflowLike, store: Store) -> None:
    """Raises WorkflowError JC441 unless a standing approval has this workflow's hash."""
    if not Approvals(store).is_approved(workflow):
        raise WorkflowError(
            "JC441",
            f"workflow {workflow.name!r} ({workflow.hash[:12]}) is not approved for use",
            hint=f"a person approves it with `jointcoder workflow approve {workflow.hash[:12]} --by NAME`",
        )


def _name(by: str) -> str:
    if not by.strip():
        raise UsageError("JC001", "an approval needs the name of the person who gives it", hint="--by NAME")
    return by.strip()


def _record(row: Any) -> Approval:
    return Approval(**{name: getattr(row, name) for name in Approval.__dataclass_fields__})
