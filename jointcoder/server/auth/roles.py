"""Which roles may what. No role implies another: a person who codes and manages accounts has both.

    require(*roles.REVIEW)

coder: codes and reviews. lead: the same, gives work to others, reads the audit. admin: accounts and keys, reads the
audit; decides nothing about codes. service: a program that hands in encounters and fetches results.
"""

from __future__ import annotations

CODER, LEAD, ADMIN, SERVICE = "coder", "lead", "admin", "service"

READ = (CODER, LEAD, ADMIN)
"""See worklist and records."""
REVIEW = (CODER, LEAD)
"""Take a record, decide, finish."""
SUBMIT = (CODER, LEAD, SERVICE)
"""Hand in encounters."""
RESULTS = (CODER, LEAD, SERVICE)
"""Fetch coded records."""
ASK = (CODER, LEAD, ADMIN, SERVICE)
"""Look up codes, check records, list workflows."""
ASSIGN = (LEAD,)
"""Take a record from somebody, change priorities."""
AUDIT = (LEAD, ADMIN)
"""Read the audit log."""
ACCOUNTS = (ADMIN,)
"""Manage accounts and keys."""
METRICS = (ADMIN, SERVICE)
"""Read the figures of the service."""
