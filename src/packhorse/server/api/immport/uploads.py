"""``/data/upload``: templates, packages online and offline, validation, tickets (spec immport §4)."""

from __future__ import annotations

from typing import Final, Literal

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
from packhorse.server.db.models import User
from packhorse.server.immport.access import Caller
from packhorse.server.immport.parcels import bad_name, is_zip
from packhorse.server.immport.templates import upload_templates
from packhorse.server.immport.tickets import OFFLINE, ONLINE, Sent, workspaces_of
from packhorse.wire.immport.tickets import UPLOAD

__all__ = ["routes"]

_BASE: Final = "/data/upload"


def templates(ctx: Context) -> ASGIApp:
    """All templates as a ZIP, for one of the caller's workspaces."""
    text = ctx.path("workspace")
    user = ctx.session.get_one(User, ctx.user.user_id)
    known = [str(one.id) for one in workspaces_of(ctx.session, user)]
    if text not in known:
        raise Refusal(404, f"There is no workspace {text[:30]} of yours: GET /workspaces lists yours")
    headers = {**NO_STORE, "Content-Disposition": 'attachment; filename="ImmPortTemplates.zip"'}
    return Response(upload_templates(ctx.session), headers=headers, media_type="application/zip")


def _purpose(form: Form) -> str:
    purpose = form_text(form, "uploadPurpose", required=True)
    if purpose not in (UPLOAD.stores, UPLOAD.validates):
        raise Refusal(400, f"The field uploadPurpose must be {UPLOAD.stores} or {UPLOAD.validates}")
    return purpose


def _sent(form: Form, method: Literal["Secure Web", "Offline"], package: str, file_name: str, purpose: str) -> Sent:
    return Sent(
        UPLOAD,
        purpose,
        workspace_of(form),
        method,
        package,
        file_name,
        form_text(form, "uploadNotes"),
        form_text(form, "serverName", most=255),
    )


def check_online(form: Form, _caller: Caller) -> Sent:
    """One ZIP without ``packageName``, or files with one."""
    purpose, package = _purpose(form), form_text(form, "packageName", most=240)
    names = [file.name for file in form.files]
    if not names:
        raise Refusal(400, "The form holds no file: -F file=@package.zip")
    lone_zip = len(names) == 1 and is_zip(names[0])
    if package and lone_zip:
        raise Refusal(400, "packageName must be empty for one ZIP file")
    if not package and not lone_zip:
        raise Refusal(400, "packageName must have a value, unless the package is one ZIP file")
    if package and (reason := bad_name(package)):
        raise Refusal(400, f"packageName cannot be used: {reason}")
    return _sent(form, ONLINE, package, names[0] if lone_zip else package, purpose)


def check_offline(form: Form, _caller: Caller) -> Sent:
    """A name under which a package will be dropped on the server."""
    if form.files:
        raise Refusal(400, "An offline registration takes no file: POST it to /data/upload/type/online")
    purpose, package = _purpose(form), form_text(form, "packageName", required=True, most=240)
    if reason := bad_name(package):
        raise Refusal(400, f"packageName cannot be used: {reason}")
    return _sent(form, OFFLINE, package, package, purpose)


routes = [
    Route(
        f"{_BASE}/documentation/templates/{{workspace}}",
        endpoint(templates, scope="upload", write=True),
        methods=["GET"],
    ),
    Route(f"{_BASE}/type/online", receiving(check_online), methods=["POST"]),
    Route(f"{_BASE}/type/offline", receiving(check_offline), methods=["POST"]),
    Route(f"{_BASE}/validation", validating(UPLOAD), methods=["POST"]),
    Route(f"{_BASE}/registration/{{ticket}}/status", status_of(UPLOAD), methods=["GET"]),
    Route(f"{_BASE}/registration/{{ticket}}/reports/{{kind}}", reports_of(UPLOAD), methods=["GET"]),
]
