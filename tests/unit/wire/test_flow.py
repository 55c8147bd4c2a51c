"""Flow's bodies as the guide prints them and as the clients read them."""

from __future__ import annotations

import pytest

from packhorse.wire import flow


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        (401, "Invalid or expired token", "UNAUTHENTICATED"),
        (403, "You do not have permission to download this file", "FORBIDDEN"),
        (404, "Data file not found", "NOT_FOUND"),
        (410, "Download link has expired", "EXPIRED"),
    ],
)
def test_the_guides_four(status: int, text: str, code: str) -> None:
    assert flow.error_body(status) == {"error": text, "code": code, "status": status}
    assert flow.parse_error(flow.error_body(status), status) == flow.ErrorBody(text, code)


def test_every_shape_is_read() -> None:
    problem = flow.FieldProblem("name", "Too long", "max")
    fields = {"name": ["Too long", "Spaces"]}
    assert flow.parse_error(flow.plain_error("No"), 400).message == "No"
    assert flow.parse_error(flow.plain_error(fields), 400).details[1] == flow.FieldProblem("name", "Spaces")
    assert flow.parse_error(flow.error_body(400, fields), 400).code == "VALIDATION_ERROR"
    assert flow.parse_error(flow.envelope_error("x", "Bad", [problem]), 400) == flow.ErrorBody("Bad", "x", (problem,))
    body = flow.problem_body(
        422, "Invalid", "It does not fit", errors=[flow.FieldProblem("/imports/0", "No", "c")], instance="/v2/x"
    )
    assert body["errors"] == [{"pointer": "/imports/0", "code": "c", "detail": "No"}]
    assert flow.parse_error(body, 422).message == "It does not fit"
    assert flow.parse_error(body, 422).details == (flow.FieldProblem("/imports/0", "No", "c"),)
    assert flow.parse_error({"validation": [{"row": 2, "message": "No barcode"}]}, 400).message == "No barcode"
    for nothing in (None, {}, [], 5, {"error": ""}, {"error": None}, "", {"error": {}}):
        assert flow.parse_error(nothing, 502).message == "HTTP 502"


def test_a_form_field_called_message_is_not_an_envelope() -> None:
    assert flow.parse_error({"error": {"message": ["Too long"]}}, 400).details == (
        flow.FieldProblem("message", "Too long"),
    )


@pytest.mark.parametrize(
    ("value", "truth"),
    [
        ("1", True),
        ("true", True),
        ("True", True),
        ("YES", True),
        ("0", False),
        ("", False),
        (None, False),
        ("on", False),
    ],
)
def test_truth(value: str | None, truth: bool) -> None:
    assert flow.is_truthy(value) is truth


def test_paths() -> None:
    assert flow.download_path(7, "ä/..?.gz") == "/downloads/7/%C3%A4%2F..%3F.gz"
    assert flow.parse_download_path("/api/downloads/7/a%20b.gz") == ("7", "a b.gz")
    for bad in ("/downloads/7", "/downloads/x/y", "/downloads/7/a/b", "/downloads/7/", "/other/7/a"):
        assert flow.parse_download_path(bad) is None
    assert flow.execution_path("456", "results/a b.tsv") == "/executions/456/results/a%20b.tsv"
    assert flow.parse_execution_path("/executions/456/results/a%20b.tsv") == ("456", "results/a b.tsv")
    for bad in (
        "/executions/456/../x",
        "/executions/456/%2e%2e/x",
        "/executions/search",
        "/executions/456//x",
        "/executions/456/a%00",
        "/executions/456/a%5Cb",
    ):
        assert flow.parse_execution_path(bad) is None
