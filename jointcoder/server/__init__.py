"""The service: REST, pages and accounts on top of the desk. Extra ``server``; fastapi is imported nowhere else.

app.py         settings → application          api/        /v1, /fhir, /health, /metrics
auth/          accounts, sessions, roles, limits       pages/      worklist, encounter, audit; templates/, static/
"""
