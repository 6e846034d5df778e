"""The tables, one file a concern; importing this package knows them all.

A new concern is a file here, a line below, and a migration.
"""

from jointcoder.store.tables import accounts, approvals, audit, desk, search
from jointcoder.store.tables.base import Base

__all__ = ["Base", "accounts", "approvals", "audit", "desk", "search"]
