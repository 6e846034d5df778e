"""The REST interface, one file a resource. Read :mod:`.coding` first, then jobs, encounters, records, codes.

Every route is a plain function (FastAPI runs it in a thread), checks the role by a type of
:mod:`jointcoder.server.deps` and answers with :func:`.answers.ok`. Its part of the OpenAPI document, worked example
included, comes from :mod:`.operations`.
"""

from __future__ import annotations

from fastapi import FastAPI


def mount(app: FastAPI) -> None:
    """Put all routes of the interface on the application."""
    from jointcoder.server.api import check, codes, coding, encounters, fhir, health, jobs, records, workflows

    for module in (coding, jobs, encounters, records, codes, check, workflows, fhir, health):
        app.include_router(module.router)
