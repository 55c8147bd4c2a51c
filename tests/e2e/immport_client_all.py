"""Run in an environment with ``immport-client``: every operation of it against a server; prints a JSON object.

Usage: immport_client_all.py QUERY_BASE TOKEN STUDY
"""

import inspect
import json
import sys
import warnings

import immport_client
from immport_client import api as apis


def operations(client):
    for name in sorted(dir(apis)):
        made = getattr(apis, name)
        if not inspect.isclass(made) or not name.endswith("Api"):
            continue
        api = made(client)
        for method in sorted(dir(api)):
            if method.startswith("_") or method.endswith(("_with_http_info", "_without_preload_content")):
                continue
            if inspect.ismethod(getattr(api, method)) and hasattr(api, f"{method}_with_http_info"):
                yield name, method, getattr(api, method)


def plain(value):
    if isinstance(value, list):
        return {"list": len(value), "first": plain(value[0]) if value else None}
    if hasattr(value, "to_dict"):
        return {"model": type(value).__name__, "record": value.to_dict()}
    return {"value": type(value).__name__, "keys": sorted(value) if isinstance(value, dict) else None}


def main():
    base, token, study = sys.argv[1:]
    settings = immport_client.Configuration(host=base, access_token=token)
    found = {}
    with immport_client.ApiClient(settings) as client, warnings.catch_warnings(record=True):
        manifest = immport_client.StudyFileManifestApi(client).get_file_details(study, file_type="protocol_file")
        given = {
            "study_accession": study,
            "file_uuid": manifest[0].file_uuid,
            "access_method": "stream",
        }
        for api, name, call in operations(client):
            wanted = inspect.signature(call).parameters
            arguments = {key: value for key, value in given.items() if key in wanted}
            for key, value in list(arguments.items()):
                if key == "study_accession" and api in ("StudyResultApi", "StudySearchApi"):
                    arguments[key] = [value] if api == "StudyResultApi" else value
            try:
                found[f"{api}.{name}"] = plain(call(**arguments))
            except Exception as error:
                found[f"{api}.{name}"] = {"error": f"{type(error).__name__}: {error}"[:2000]}
    print(json.dumps(found, default=str))


main()
