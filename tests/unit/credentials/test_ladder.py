import json
import os
import stat
import sys
import time
from pathlib import Path

import pytest

from packhorse.credentials import Credential, Source, StoredTokens, TokenStore, climb
from packhorse.credentials.keyrings import forget, look_up, remember
from packhorse.errors import CredentialStoreError
from packhorse.model import Secret

URL = "https://flow.example.org/api"


def source(tmp_path: Path, **changes: object) -> Source:
    values: dict[str, object] = {
        "remote": "lab",
        "url": URL,
        "environ": {},
        "store": TokenStore(tmp_path, "lab"),
        "token_variables": ("PACKHORSE_LAB_TOKEN", "FLOW_ACCESS_TOKEN"),
        "token_file_variables": ("FLOW_TOKEN_FILE",),
        "password_variables": (("FLOW_USERNAME", "FLOW_PASSWORD"),),
        **changes,
    }
    return Source(**values)  # type: ignore[arg-type]


def token_of(answer: object) -> str:
    return answer.credential.token.reveal()  # type: ignore[attr-defined]


def private(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_an_empty_ladder_says_why_at_every_rung(tmp_path: Path) -> None:
    answer = climb(source(tmp_path), ask=True)
    assert answer.credential is None
    assert [attempt.rung for attempt in answer.attempts] == [
        "explicit",
        "environment",
        "command",
        "keyring",
        "file",
        "prompt",
    ]
    said = {attempt.rung: attempt.detail for attempt in answer.attempts}
    assert "FLOW_ACCESS_TOKEN" in said["environment"]
    assert "token_command" in said["command"]
    assert said["keyring"] == "switched off in the settings"
    assert str(tmp_path) in said["file"]


def test_the_first_rung_that_has_something_answers(tmp_path: Path) -> None:
    TokenStore(tmp_path, "lab").write(StoredTokens(URL, Secret("from-file")))
    prompted: list[str] = []

    def prompt(remote: str, username: str | None) -> tuple[str, Secret]:
        prompted.append(remote)
        return "ada", Secret("pw")

    command = f"{sys.executable} -c 'print(\"from-command\")'"
    full = source(
        tmp_path,
        explicit=Credential("explicit", "--token", token=Secret("from-call")),
        environ={"FLOW_ACCESS_TOKEN": "second", "PACKHORSE_LAB_TOKEN": "first", "PATH": os.environ["PATH"]},
        command=command,
        prompt=prompt,
    )
    assert token_of(climb(full)) == "from-call"
    assert token_of(climb(source(tmp_path, environ=full.environ, command=command))) == "first"
    answer = climb(source(tmp_path, command=command))
    assert token_of(answer) == "from-command"
    assert answer.attempts[-1].detail == "remotes.lab.token_command"
    assert token_of(climb(source(tmp_path, prompt=prompt), ask=True)) == "from-file"
    assert prompted == []
    TokenStore(tmp_path, "lab").delete()
    last = climb(source(tmp_path, prompt=prompt), ask=True).credential
    assert last is not None
    assert (last.rung, last.username, last.password) == ("prompt", "ada", Secret("pw"))


def test_user_name_and_password_in_the_environment(tmp_path: Path) -> None:
    found = climb(source(tmp_path, environ={"FLOW_USERNAME": "ada", "FLOW_PASSWORD": "pw"})).credential
    assert found == Credential("environment", "FLOW_USERNAME and FLOW_PASSWORD", username="ada", password=Secret("pw"))
    assert climb(source(tmp_path, environ={"FLOW_USERNAME": "ada"})).credential is None


def test_a_token_may_come_with_bearer_but_must_be_one_word(tmp_path: Path) -> None:
    assert token_of(climb(source(tmp_path, environ={"FLOW_ACCESS_TOKEN": " Bearer abc\n"}))) == "abc"
    with pytest.raises(CredentialStoreError) as caught:
        climb(source(tmp_path, environ={"FLOW_ACCESS_TOKEN": "geheim\r\nX-Evil: 1"}))
    assert "FLOW_ACCESS_TOKEN" in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_token_files_are_read_where_they_are_private(tmp_path: Path) -> None:
    path = private(tmp_path / "flow" / "api-token", "key-1\n")
    assert token_of(climb(source(tmp_path, token_files=(path,)))) == "key-1"
    assert token_of(climb(source(tmp_path, environ={"FLOW_TOKEN_FILE": str(path)}))) == "key-1"
    path.chmod(0o640)
    with pytest.raises(CredentialStoreError, match="mode 0640") as caught:
        climb(source(tmp_path, token_files=(path,)))
    assert caught.value.hint == f"chmod 600 {path}"
    with pytest.raises(CredentialStoreError, match="does not exist"):
        climb(source(tmp_path, environ={"FLOW_TOKEN_FILE": str(tmp_path / "none")}))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to give a file away: run as root"
)
def test_a_file_of_another_user_is_refused(tmp_path: Path) -> None:
    store = TokenStore(tmp_path, "lab")
    store.write(StoredTokens(URL, Secret("t")))
    os.chown(store.path, 65534, 65534)
    with pytest.raises(CredentialStoreError, match="another user"):
        store.read()


def test_what_is_stored_is_private_whole_and_for_one_server(tmp_path: Path) -> None:
    store = TokenStore(tmp_path / "state", "lab")
    assert store.read() is None
    stored = StoredTokens(URL, Secret("access"), Secret("refresh"), "ada")
    store.write(stored)
    assert store.read() == stored
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert os.listdir(store.path.parent) == ["lab.json"]
    assert "access" not in repr(stored)
    answer = climb(source(tmp_path / "state", url="https://elsewhere.example.org/api"))
    assert answer.credential is None
    assert f"is for {URL}" in answer.attempts[-1].detail
    assert store.delete()
    assert not store.delete()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "3",
        '{"url": 3, "token": "x"}',
        '{"url": "u", "token": ""}',
        '{"url":"u","token":"x","refresh":3}',
        "[" * 100_000,
    ],
)
def test_a_damaged_file_is_refused_with_a_remedy(tmp_path: Path, text: str) -> None:
    store = TokenStore(tmp_path, "lab")
    private(store.path, text)
    if len(text) > 65536:
        with pytest.raises(CredentialStoreError, match="too large"):
            store.read()
        return
    with pytest.raises(CredentialStoreError, match="is damaged") as caught:
        store.read()
    assert caught.value.hint is not None
    assert "packhorse logout lab" in caught.value.hint


def test_odd_files_neither_hang_nor_pass(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    for path in (fifo, tmp_path):
        with pytest.raises(CredentialStoreError, match="not a regular file"):
            climb(source(tmp_path, token_files=(path,)))
    binary = private(tmp_path / "binary", "")
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(CredentialStoreError, match="not a text file"):
        climb(source(tmp_path, token_files=(binary,)))


def test_a_state_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")
    with pytest.raises(CredentialStoreError, match="cannot be written") as caught:
        TokenStore(tmp_path / "state", "lab").write(StoredTokens(URL, Secret("t")))
    assert caught.value.hint is not None


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("false", "ended with status 1"),
        ("true", "printed nothing"),
        ("/nowhere/pass show", "cannot be run"),
        ("sh -c 'echo geheim; exit 3'", "ended with status 3"),
        ("echo 'unfinished", "cannot be read as a command"),
        ("sleep 60", "did not end in 0.3 s"),
    ],
)
def test_a_failing_command_is_named_and_never_quoted(tmp_path: Path, command: str, said: str) -> None:
    failing = source(tmp_path, command=command, command_limit=0.3, environ={"PATH": os.environ["PATH"]})
    with pytest.raises(CredentialStoreError, match=said) as caught:
        climb(failing)
    assert "geheim" not in str(caught.value)
    assert "remotes.lab.token_command" in str(caught.value)
    answer = climb(failing, every_rung=True)
    assert {attempt.rung: attempt.outcome for attempt in answer.attempts}["command"] == "failed"


def test_a_command_runs_without_a_shell(tmp_path: Path) -> None:
    command = "echo $HOME;touch x"
    assert token_of(climb(source(tmp_path, command="echo $HOME", environ={"PATH": os.environ["PATH"]}))) == "$HOME"
    with pytest.raises(CredentialStoreError):
        climb(source(tmp_path, command=command, environ={"PATH": os.environ["PATH"]}))


# The keyring: a real one, of a backend in a file, found through the environment as users' backends are.

BACKEND = """
import json, os, sys, time
import keyring.backend, keyring.errors
PATH = os.environ["TEST_KEYRING_FILE"]

class FileRing(keyring.backend.KeyringBackend):
    priority = 1
    def _read(self):
        return json.load(open(PATH)) if os.path.exists(PATH) else {}
    def get_password(self, service, username):
        return self._read().get(service + "/" + username)
    def set_password(self, service, username, password):
        held = {**self._read(), service + "/" + username: password}
        json.dump(held, open(PATH, "w"))
    def delete_password(self, service, username):
        held = self._read()
        if held.pop(service + "/" + username, None) is None:
            raise keyring.errors.PasswordDeleteError("none")
        json.dump(held, open(PATH, "w"))

class Hanging(FileRing):
    def get_password(self, service, username):
        if os.fork() == 0:
            time.sleep(60)
        time.sleep(60)

class Dying(FileRing):
    def get_password(self, service, username):
        print("geheim", flush=True)
        os._exit(3)

class Failing(FileRing):
    def get_password(self, service, username):
        raise RuntimeError("geheim")

class Chatty(FileRing):
    def get_password(self, service, username):
        print("welcome to the vault")
        if os.fork() == 0:
            time.sleep(60)
        return super().get_password(service, username)
"""


@pytest.fixture
def ring(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "ring_for_tests.py").write_text(BACKEND)
    return {
        "PYTHONPATH": str(tmp_path / "modules"),
        "PYTHON_KEYRING_BACKEND": "ring_for_tests.FileRing",
        "TEST_KEYRING_FILE": str(tmp_path / "ring.json"),
        "HOME": str(tmp_path),
    }


def test_the_keyring_keeps_and_gives_the_guide_s_service(tmp_path: Path, ring: dict[str, str]) -> None:
    assert remember({"flow-api": Secret("key"), "flow-api-refresh": Secret("r")}, "ada", ring, 20) is None
    assert json.loads((tmp_path / "ring.json").read_text())["flow-api/ada"] == "key"
    asked = source(
        tmp_path, environ=ring, keyring_services=("flow-api", "flow-api-refresh"), username="ada", keyring_limit=20.0
    )
    found = climb(asked).credential
    assert found == Credential("keyring", "service flow-api, account ada", Secret("key"), Secret("r"), "ada")
    assert forget(("flow-api", "flow-api-refresh"), "ada", ring, 20)
    assert not forget(("flow-api",), "ada", ring, 20)
    answer = climb(asked)
    assert "nothing under service flow-api (account ada; ring_for_tests.FileRing)" in answer.attempts[3].detail


def test_without_a_user_name_the_keyring_is_asked_for_any_account(ring: dict[str, str]) -> None:
    reply = look_up(("flow-api",), None, ring, 20)
    assert reply.problem is None
    assert not reply.secrets


def test_a_hanging_keyring_costs_its_limit_and_no_more(tmp_path: Path, ring: dict[str, str]) -> None:
    ring["PYTHON_KEYRING_BACKEND"] = "ring_for_tests.Hanging"
    TokenStore(tmp_path, "lab").write(StoredTokens(URL, Secret("from-file")))
    started = time.monotonic()
    answer = climb(source(tmp_path, environ=ring, keyring_services=("flow-api",), username="ada"))
    assert time.monotonic() - started < 4.0
    assert token_of(answer) == "from-file"
    assert answer.attempts[3].detail == "it gave no answer in 2 s"


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("ring_for_tests.Dying", "it died (exit status 3)"),
        ("ring_for_tests.Failing", "it failed (RuntimeError)"),
        ("nowhere.Ring", "it failed (ModuleNotFoundError)"),
    ],
)
def test_a_keyring_that_dies_is_a_reason_not_an_error(ring: dict[str, str], backend: str, said: str) -> None:
    reply = look_up(("flow-api",), "ada", {**ring, "PYTHON_KEYRING_BACKEND": backend}, 20)
    assert reply.problem == said
    assert not reply.secrets


def test_an_answer_counts_although_a_helper_keeps_the_pipe_open(ring: dict[str, str]) -> None:
    assert remember({"flow-api": Secret("key")}, "ada", ring, 20) is None
    reply = look_up(("flow-api",), "ada", {**ring, "PYTHON_KEYRING_BACKEND": "ring_for_tests.Chatty"}, 4.0)
    assert reply.secrets == {"flow-api": Secret("key")}


def test_keyring_is_never_imported_here(tmp_path: Path, ring: dict[str, str]) -> None:
    import subprocess

    code = (
        "import sys; from packhorse.credentials.keyrings import look_up\n"
        "import os; reply = look_up(('flow-api',), 'ada', dict(os.environ), 20); assert reply.problem is None, reply\n"
        "print('keyring' in sys.modules)"
    )
    environ = {**ring, "PYTHONPATH": os.pathsep.join([*sys.path, ring["PYTHONPATH"]])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


def test_a_keyring_module_in_the_working_directory_is_not_run(
    tmp_path: Path, ring: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keyring.py").write_text("open('ran', 'w')")
    monkeypatch.chdir(tmp_path)
    assert look_up(("flow-api",), "ada", ring, 20).problem is None
    assert not (tmp_path / "ran").exists()
