"""``/data/batch/updater``: changes of what was uploaded, by a text file (spec immport §4)."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from packhorse.server.api.core import Refusal
from packhorse.server.api.immport.core import NO_STORE, Context, endpoint
from packhorse.server.api.immport.multipart import Form
from packhorse.server.api.immport.registration import (
    form_text,
    receiving,
    reports_of,
    status_of,
    validating,
    workspace_of,
)
from packhorse.server.immport.access import Caller
from packhorse.server.immport.templates import batch_templates
from packhorse.server.immport.tickets import ONLINE, Sent
from packhorse.wire.immport.tickets import BATCH

__all__ = ["routes"]

_BASE: Final = "/data/batch/updater"


def templates(_ctx: Context) -> ASGIApp:
    """An empty batch file for every table, as a ZIP."""
    headers = {**NO_STORE, "Content-Disposition": 'attachment; filename="BatchUpdaterTemplates.zip"'}
    return Response(batch_templates(), headers=headers, media_type="application/zip")


def check(form: Form, _caller: Caller) -> Sent:
    """One text file, without ``packageName``."""
    purpose = form_text(form, "uploadPurpose", required=True)
    if purpose not in (BATCH.stores, BATCH.validates):
        raise Refusal(400, f"The field uploadPurpose must be {BATCH.stores} or {BATCH.validates}")
    if form_text(form, "packageName"):
        raise Refusal(400, "packageName must be empty for a batch update")
    if len(form.files) != 1:
        raise Refusal(400, f"A batch update is one file; the form holds {len(form.files)}")
    notes, server = form_text(form, "uploadNotes"), form_text(form, "serverName", most=255)
    return Sent(BATCH, purpose, workspace_of(form), ONLINE, "", form.files[0].name, notes, server)


_status, _reports = status_of(BATCH), reports_of(BATCH)
_templates = endpoint(templates, scope="upload")
routes = [
    Route(f"{_BASE}/documentation/templates", _templates, methods=["GET"]),
    Route(f"{_BASE}/documentation/templates/{{workspace}}", _templates, methods=["GET"]),
    Route(_BASE, receiving(check), methods=["POST"]),
    Route(f"{_BASE}/validation", validating(BATCH), methods=["POST"]),
    Route(f"{_BASE}/registration/{{ticket}}/status", _status, methods=["GET"]),
    Route(f"{_BASE}/registration/{{ticket}}/reports/{{kind}}", _reports, methods=["GET"]),
    Route(f"{_BASE}/registration/{{ticket}}/{{kind}}", _reports, methods=["GET"]),  # as the reference table has it
]
