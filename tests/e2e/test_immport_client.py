"""The unmodified client that ImmPort's users have from PyPI: every operation understands our answers."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from packhorse.server.config import ServerConfig
from packhorse.server.immport.packages import import_package
from packhorse.testing.immport_package import make_package

from .peers import environment
from .typed import demo_server

CLIENT = ("immport-client==1.0.0",)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    python = environment("immport-client", CLIENT) / "python"
    folder = tmp_path_factory.mktemp("immport-client")
    config = ServerConfig(home=folder / "data")
    config.prepare()
    package = folder / "SDY9001-DR54_Tab.zip"
    make_package(package)
    import_package(config, package)
    with demo_server(folder) as server:
        script = Path(__file__).with_name("immport_client_all.py")
        command = [str(python), str(script), f"{server.url}/data/query", server.keys["demo"], "SDY9001"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_operation_understands_our_answer(answers: dict[str, Any]) -> None:
    assert len(answers) == 86
    failed = {name: found["error"] for name, found in answers.items() if "error" in found}
    assert not failed


def test_the_answers_are_records_not_only_empty_lists(answers: dict[str, Any]) -> None:
    results = [found for name, found in answers.items() if name.startswith("StudyResultApi.")]
    assert len(results) == 11
    with_rows = [found for found in results if found["list"]]
    assert len(with_rows) >= 10
    elisa = answers["StudyResultApi.get_elisa_result"]["first"]
    assert elisa["model"] == "VElisaResult"
    assert elisa["record"]["studyAccession"] == "SDY9001"
    assert isinstance(elisa["record"]["resultId"], int)
    address = answers["DownloadStudyFilesApi.get_url_from_drs"]
    assert address["record"]["url"].startswith("http://127.0.0.1:")
    rows = [found for name, found in answers.items() if name.startswith("LookupOrControlledVocabularyApi.")]
    assert len(rows) == 45
    assert sum(1 for found in rows if found["list"]) >= 40
