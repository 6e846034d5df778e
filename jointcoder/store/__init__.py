"""The database: what must outlive a command. SQLite in a file by default, PostgreSQL by URL, one set of tables.

    engine.py      open_store(file or URL) → Store: transactions, migrations, errors of the database as coded ones
    tables/        one file a concern: search (runs, candidates, results, traces), approvals
    archive.py     what a search found: frozen records in and out       approvals.py   who let which workflow into use
    migrations/    alembic; run when a store is opened

SQLAlchemy is imported where a store is opened and nowhere else, so nothing here costs a program that has none (extra
``store``; ``postgres`` besides for PostgreSQL). This package knows nothing of workflows beyond their hash and their
text, and nothing of coders and models.
"""
