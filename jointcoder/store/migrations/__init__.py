"""Revisions of the tables. ``HEAD`` is the newest one, known here so that opening a current store needs no alembic."""

HEAD = "0004"
