"""indexes in the orders that lists are read in: the worklist, what is coded next, the newest jobs"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

PRIORITY = sa.text("priority DESC")


def upgrade() -> None:
    op.drop_index("ix_encounters_worklist", "encounters")
    op.create_index("ix_encounters_worklist", "encounters", ["status", PRIORITY, "received", "number"])
    op.create_index("ix_encounters_order", "encounters", [PRIORITY, "received", "number"])
    op.drop_index("ix_job_items_next", "job_items")
    op.create_index("ix_job_items_next", "job_items", ["state", PRIORITY, "id"])
    op.create_index("ix_jobs_created", "jobs", ["created"])


def downgrade() -> None:
    op.drop_index("ix_jobs_created", "jobs")
    op.drop_index("ix_job_items_next", "job_items")
    op.create_index("ix_job_items_next", "job_items", ["state", "priority", "id"])
    op.drop_index("ix_encounters_order", "encounters")
    op.drop_index("ix_encounters_worklist", "encounters")
    op.create_index("ix_encounters_worklist", "encounters", ["status", "priority", "received"])
