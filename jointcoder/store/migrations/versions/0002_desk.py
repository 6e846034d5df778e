"""the coder's desk: encounters, jobs, results, reviews, decisions"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from jointcoder.store.tables.base import Utc

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "encounters",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("versions", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("language", sa.String(16), nullable=False),
        sa.Column("received", Utc(), nullable=False),
        sa.Column("updated", Utc(), nullable=False),
        sa.Column("discharged", sa.Date(), nullable=True),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("band", sa.String(8), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("codes", "findings", "undecided")),
        sa.Column("holder", sa.String(200), nullable=False),
        sa.Column("held_until", Utc(), nullable=True),
        sa.Column("review", sa.Integer(), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("error_code", sa.String(8), nullable=False),
        sa.Column("job", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_encounters"),
        sa.UniqueConstraint("id", name="uq_encounters_id"),
    )
    op.create_index("ix_encounters_worklist", "encounters", ["status", "priority", "received"])
    op.create_index("ix_encounters_holder", "encounters", ["holder"])
    op.create_index("ix_encounters_version", "encounters", ["version"])
    op.create_table(
        "encounter_versions",
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("encounter", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("added", Utc(), nullable=False),
        sa.ForeignKeyConstraint(
            ["encounter"], ["encounters.number"], name="fk_encounter_versions_encounter", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("version", name="pk_encounter_versions"),
        sa.UniqueConstraint("encounter", "ordinal", name="uq_encounter_versions_encounter"),
    )
    op.create_table(
        "encounter_pages",
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("document", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("media_type", sa.String(40), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        _of_version("encounter_pages"),
        sa.PrimaryKeyConstraint("version", "document", "page", name="pk_encounter_pages"),
    )
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("key", sa.String(200), nullable=True),
        sa.Column("body", sa.String(64), nullable=False),
        sa.Column("source", sa.String(200), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.Column("created", Utc(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
        sa.UniqueConstraint("by", "key", name="uq_jobs_by"),
    )
    op.create_table(
        "coded_results",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("conditions", sa.String(64), nullable=False),
        sa.Column("record", sa.LargeBinary(), nullable=False),
        sa.Column("created", Utc(), nullable=False),
        _of_version("coded_results"),
        sa.PrimaryKeyConstraint("id", name="pk_coded_results"),
        sa.UniqueConstraint("version", "conditions", name="uq_coded_results_version"),
    )
    op.create_table(
        "job_items",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job", sa.String(32), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("encounter", sa.Text(), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("state", sa.String(12), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("worker", sa.String(200), nullable=False),
        sa.Column("lease", Utc(), nullable=True),
        sa.Column("error_code", sa.String(8), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("result", sa.Integer(), nullable=True),
        sa.Column("updated", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["job"], ["jobs.id"], name="fk_job_items_job", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["result"], ["coded_results.id"], name="fk_job_items_result"),
        sa.PrimaryKeyConstraint("id", name="pk_job_items"),
        sa.UniqueConstraint("job", "place", name="uq_job_items_job"),
    )
    op.create_index("ix_job_items_next", "job_items", ["state", "priority", "id"])
    op.create_index("ix_job_items_version", "job_items", ["version"])
    op.create_table(
        "reviews",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("encounter", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("result", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("band", sa.String(8), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("codes", "findings", "undecided")),
        sa.Column("created", Utc(), nullable=False),
        sa.Column("opened", Utc(), nullable=True),
        sa.Column("updated", Utc(), nullable=False),
        sa.ForeignKeyConstraint(["encounter"], ["encounters.number"], name="fk_reviews_encounter", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["result"], ["coded_results.id"], name="fk_reviews_result"),
        sa.PrimaryKeyConstraint("id", name="pk_reviews"),
        sa.UniqueConstraint("version", "result", name="uq_reviews_version"),
    )
    for column in ("encounter", "version", "state"):
        op.create_index(f"ix_reviews_{column}", "reviews", [column])
    op.create_table(
        "review_decisions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("review", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["review"], ["reviews.id"], name="fk_review_decisions_review", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_review_decisions"),
        sa.UniqueConstraint("review", "seq", name="uq_review_decisions_review"),
    )


def _of_version(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["version"], ["encounter_versions.version"], name=f"fk_{table}_version", ondelete="CASCADE"
    )


def downgrade() -> None:
    for table in (
        "review_decisions",
        "reviews",
        "job_items",
        "coded_results",
        "jobs",
        "encounter_pages",
        "encounter_versions",
        "encounters",
    ):
        op.drop_table(table)
