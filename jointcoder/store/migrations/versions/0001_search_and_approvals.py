"""search and approvals: runs, candidates, results, traces; who approved which workflow"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from jointcoder.store.tables.base import Utc

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "search_runs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("program", sa.String(32), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("spent", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=False),
        sa.Column("created", Utc(), nullable=False),
        sa.Column("updated", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_search_runs"),
    )
    op.create_table(
        "search_candidates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("run", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("parent", sa.Integer(), nullable=True),
        sa.Column("edit", sa.Text(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(8), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("scores", sa.JSON(), nullable=False),
        sa.Column("critique", sa.JSON(), nullable=False),
        sa.Column("ledger", sa.JSON(), nullable=False),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("created", Utc(), nullable=False),
        sa.Column("updated", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["run"], ["search_runs.id"], name="fk_search_candidates_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_search_candidates"),
        sa.UniqueConstraint("run", "number", name="uq_search_candidates_run"),
    )
    op.create_index("ix_search_candidates_hash", "search_candidates", ["hash"])
    op.create_index("ix_search_candidates_run", "search_candidates", ["run"])
    op.create_table(
        "search_results",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("encounter", sa.Text(), nullable=False),
        *(
            sa.Column(name, sa.Integer(), nullable=False)
            for name in ("tp", "fp", "fn", "passed", "applied", "calls", "read", "written")
        ),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("failed", sa.String(8), nullable=False),
        sa.Column("stages", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate"], ["search_candidates.id"], name="fk_search_results_candidate", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_search_results"),
        sa.UniqueConstraint("candidate", "part", "place", name="uq_search_results_candidate"),
    )
    op.create_index("ix_search_results_candidate", "search_results", ["candidate"])
    op.create_table(
        "search_traces",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("candidate", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column("encounter", sa.Text(), nullable=False),
        sa.Column("step", sa.String(200), nullable=False),
        sa.Column("component", sa.String(200), nullable=False),
        sa.Column("node", sa.String(64), nullable=False),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("read", sa.Integer(), nullable=False),
        sa.Column("written", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Double(), nullable=False),
        sa.Column("transcript", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["candidate"], ["search_candidates.id"], name="fk_search_traces_candidate", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_search_traces"),
    )
    op.create_index("ix_search_traces_candidate", "search_traces", ["candidate"])
    op.create_index("ix_search_traces_node", "search_traces", ["node"])
    op.create_table(
        "workflow_approvals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("line", sa.String(200), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("approved_by", sa.String(200), nullable=False),
        sa.Column("approved", Utc(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("program", sa.String(32), nullable=False),
        sa.Column("withdrawn_by", sa.String(200), nullable=True),
        sa.Column("withdrawn", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_approvals"),
    )
    op.create_index("ix_workflow_approvals_hash", "workflow_approvals", ["hash"])
    op.create_index("ix_workflow_approvals_line", "workflow_approvals", ["line"])


def downgrade() -> None:
    for table in ("workflow_approvals", "search_traces", "search_results", "search_candidates", "search_runs"):
        op.drop_table(table)
