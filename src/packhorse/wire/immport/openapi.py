"""The OpenAPI 3.0 description of the Data Query API, made of the queries, filters and models (spec immport §2)."""

from __future__ import annotations

import re
from typing import Any, Final

from packhorse.wire.immport.filters import FILTERS
from packhorse.wire.immport.models import MODELS, Member, Model
from packhorse.wire.immport.queries import QUERIES, TYPOS, Query

__all__ = ["describe"]

_TYPES: Final[dict[str, dict[str, Any]]] = {
    "text": {"type": "string", "nullable": True},
    "integer": {"type": "integer", "format": "int64", "nullable": True},
    "number": {"type": "number", "nullable": True},
    "timestamp": {"type": "string", "format": "date-time", "nullable": True},
}
_GROUPS: Final = {
    "result": "Assay results",
    "study": "Study data",
    "search": "Search",
    "lookup": "Controlled vocabularies",
    "ui": "Study metadata for the web interface",
    "drs": "Files",
}
_ACCESSIONS: Final = {
    "studyAccession": ("^[Ss][Dd][Yy][0-9]{1,12}$", "A study accession, such as SDY139"),
    "experimentAccession": ("^[Ee][Xx][Pp][0-9]{1,12}$", "An experiment accession, such as EXP8311"),
}
_SEARCH: Final = {
    "term": "Bare words match inside words; double quotes make a phrase",
    "fromRecord": "How many hits to pass over",
    "pageSize": "Hits in the answer",
    "preTag": "What stands before a found word in a highlight; default <em>",
    "postTag": "What stands behind it; default </em>",
    "sourceFields": "Fields of _source to answer, in snake_case",
    "searchFields": "Fields to look in",
    "sortField": "Field to sort by",
    "sortFieldDirection": "asc or desc",
}
_FACETS: Final = """
studyAccession subjectAccession programName conditionOrDisease researchFocus clinicalTrial sex race ethnicity species
minAge ageRange assayMethod biosampleType hasAssessment hasLabTest
"""
_MANIFEST: Final = ("all", "archive_file", "release_file", "study_file", "protocol_file", "result_file", "zip_file")
_MORE: Final = {
    "ui/resrcpgcnt/cntByPgmID": ("programIds", "Program numbers"),
    "ui/study/downloadCount": ("studyAccession", "Study accessions"),
}


def describe(version: str, server: str) -> dict[str, Any]:
    """The whole document. ``server`` is the origin that the paths stand on."""
    paths = {path: {"get": _operation(query, path)} for query in QUERIES.values() for path in _paths(query)}
    paths["/data/query/drs/download/{accessMethod}/{fileUUID}"] = {"get": _drs()}
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "Data Query API",
            "version": version,
            "description": "Studies, assay results and controlled vocabularies in the form of ImmPort's API. "
            "Different filters are joined by AND, several values of one by OR; text is compared without regard to "
            "case. Lists come as JSON or as tab-separated values.",
        },
        "servers": [{"url": server}],
        "tags": [{"name": name} for name in _GROUPS.values()],
        "paths": dict(sorted(paths.items())),
        "components": {
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of POST /auth/token, or an API key of /auth/api/keys",
                }
            },
            "schemas": {**{model.name: _schema(model) for model in MODELS.values()}, **_OWN_SCHEMAS},
            "responses": {str(status): _error(words) for status, words in _STATUSES.items()},
        },
    }


def _paths(query: Query) -> list[str]:
    if query.group == "ui":
        bare = query.path.removeprefix("ui/")
        return [f"{base}/{bare}" for base in ("/data/query", "/data/query/ui", "/shared/data/query/ui")]
    if query.group == "lookup" and query.shape == "page":
        return [f"/data/query/{name}" for name in (query.path, *(a for a, b in TYPOS.items() if b == query.path))]
    if query.group == "search":
        return [f"/data/query/{query.path}", f"/shared/data/query/{query.path}"]
    return [f"/data/query/{query.path}"]


def _operation(query: Query, path: str) -> dict[str, Any]:
    parameters = [_in_path(name) for name in re.findall(r"\{(\w+)\}", path)]
    if query.group == "result":
        parameters += [_filter(name) for name in FILTERS]
    elif query.group == "search":
        parameters += [_text(name, words) for name, words in _SEARCH.items()]
        parameters += [_list(name, "Narrows the search") for name in _FACETS.split()]
    elif query.name == "study/manifest":
        kinds = {"type": "string", "enum": list(_MANIFEST), "default": "all"}
        parameters.append({"name": "fileType", "in": "query", "schema": kinds})
    elif query.shape == "page":
        whole = {"type": "integer", "minimum": 0}
        parameters += [{"name": name, "in": "query", "schema": whole} for name in ("page", "size")]
    if query.name in _MORE:
        parameters.append(_list(*_MORE[query.name]))
    listed = query.shape == "rows" or query.group == "search"
    if listed:
        formats = {"type": "string", "enum": ["json", "tsv"], "default": "json"}
        parameters.append({"name": "format", "in": "query", "schema": formats})
    content: dict[str, Any] = {"application/json": {"schema": _shape(query)}}
    if listed:
        content["text/tab-separated-values"] = {"schema": {"type": "string"}}
    statuses = ("400", "401", "403", "404", "500")
    needs_token = query.needs_token or (query.group == "lookup" and query.shape == "page")
    prefix = "shared/" if path.startswith("/shared") else "ui/" if "/query/ui/" in path else ""
    name = f"{prefix}{path.removeprefix('/shared').removeprefix('/data/query/').removeprefix('ui/')}"
    return {
        "tags": [_GROUPS[query.group]],
        "operationId": re.sub(r"\W+", "_", re.sub(r"/\{\w+\}", "", name)),
        "summary": f"{_GROUPS[query.group]}: {query.name.partition('/')[2] or query.name}",
        "parameters": parameters,
        "responses": {
            "200": {"description": "What was asked for", "content": content},
            **{status: {"$ref": f"#/components/responses/{status}"} for status in statuses},
        },
        "security": [{"token": []}] if needs_token else [{}, {"token": []}],
    }


def _shape(query: Query) -> dict[str, Any]:
    record: dict[str, Any] = {"type": "object"}
    if query.model is not None:
        record = {"$ref": f"#/components/schemas/{query.model.name}"}
    if query.shape == "texts":
        return {"type": "array", "items": {"type": "string"}}
    if query.shape == "hits":
        return {"$ref": "#/components/schemas/SearchAnswer"}
    if query.shape == "page":
        return {"$ref": "#/components/schemas/Page"}
    return record if query.shape == "record" else {"type": "array", "items": record}


def _in_path(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string", "minLength": 1}
    found: dict[str, Any] = {"name": name, "in": "path", "required": True, "schema": schema}
    if name in _ACCESSIONS:
        schema["pattern"], found["description"] = _ACCESSIONS[name]
    return found


def _text(name: str, words: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": words, "schema": {"type": "string"}}


def _list(name: str, words: str) -> dict[str, Any]:
    schema = {"type": "array", "items": {"type": "string"}}
    return {"name": name, "in": "query", "description": words, "schema": schema, "style": "form", "explode": True}


def _filter(name: str) -> dict[str, Any]:
    each = FILTERS[name]
    words = {"exact": "equals one of these", "substring": "holds one of these"}.get(each.match, f"is {each.match} this")
    vocabulary = f"; values of {each.vocabulary}" if each.vocabulary else ""
    described = f"{each.member} {words}{vocabulary}"
    if not each.single:
        return _list(name, described)
    schema = {"type": "string", "enum": ["Y", "N"]} if name == "clinical" else {"type": "number"}
    return {"name": name, "in": "query", "description": described, "schema": schema}


def _schema(model: Model) -> dict[str, Any]:
    return {"type": "object", "properties": {member.name: _property(member) for member in model.members}}


def _property(member: Member) -> dict[str, Any]:
    if member.kind == "records":
        return {"type": "array", "items": {"$ref": f"#/components/schemas/{member.model}"}}
    if member.kind == "record":
        return {"$ref": f"#/components/schemas/{member.model}"}
    return _TYPES[member.kind]


def _error(words: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {"description": words, "content": {"application/json": {"schema": schema}}}


def _drs() -> dict[str, Any]:
    method = {"type": "string", "enum": ["s3", "stream"]}
    return {
        "tags": [_GROUPS["drs"]],
        "operationId": "drs_download",
        "summary": "A signed address of a file's bytes, to be fetched without a token",
        "parameters": [
            {"name": "accessMethod", "in": "path", "required": True, "schema": method},
            {"name": "fileUUID", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}},
        ],
        "responses": {
            "200": {
                "description": "The address",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/FileDownloadURL"}}},
            },
            **{status: {"$ref": f"#/components/responses/{status}"} for status in ("400", "401", "403", "404", "500")},
        },
        "security": [{"token": []}],
    }


_STATUSES: Final = {
    400: "Something in the request is wrong; the message says what",
    401: "A token is needed, or the one that was sent is not valid",
    403: "The study is restricted, or the token is not for this",
    404: "There is nothing of that name",
    500: "The server failed",
}
_OWN_SCHEMAS: Final[dict[str, Any]] = {
    "Error": {
        "type": "object",
        "properties": {
            "timestamp": {"type": "string"},
            "status": {"type": "integer"},
            "error": {"type": "string"},
            "message": {"type": "string"},
            "path": {"type": "string"},
        },
    },
    "Page": {
        "type": "object",
        "properties": {
            "content": {"type": "array", "items": {"type": "object"}},
            "totalElements": {"type": "integer"},
            "totalPages": {"type": "integer"},
            "size": {"type": "integer"},
            "number": {"type": "integer"},
        },
    },
    "SearchAnswer": {
        "type": "object",
        "properties": {
            "hits": {
                "type": "object",
                "properties": {
                    "total": {"type": "object", "properties": {"value": {"type": "integer"}}},
                    "hits": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {
                                "_id": {"type": "string"},
                                "_score": {"type": "number"},
                                "_source": {"type": "object"},
                                "highlight": {"type": "object"},
                            },
                        },
                    },
                },
            },
            "aggregations": {"type": "object"},
        },
    },
}
