"""Keeping a credential, forgetting it, and one caller at a time."""

import asyncio
import json
from pathlib import Path

import pytest

from packhorse.credentials import Single, Source, StoredTokens, TokenStore, climb, forget_stored, keep, stored_username
from packhorse.errors import CredentialStoreError
from packhorse.model import Secret
from packhorse.settings import variable_prefix

URL = "https://files.example.org"
RING = """
import json, os
import keyring.backend, keyring.errors

PATH = os.environ["TEST_KEYRING_FILE"]

class Ring(keyring.backend.KeyringBackend):
    priority = 1
    def _read(self):
        return json.load(open(PATH)) if os.path.exists(PATH) else {}
    def get_password(self, service, username):
        return self._read().get(service + "/" + username)
    def set_password(self, service, username, password):
        json.dump({**self._read(), service + "/" + username: password}, open(PATH, "w"))
    def delete_password(self, service, username):
        held = self._read()
        if held.pop(service + "/" + username, None) is None:
            raise keyring.errors.PasswordDeleteError("none")
        json.dump(held, open(PATH, "w"))
"""


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "ring_for_keeping.py").write_text(RING)
    environ = {
        "PYTHONPATH": str(tmp_path / "modules"),
        "PYTHON_KEYRING_BACKEND": "ring_for_keeping.Ring",
        "TEST_KEYRING_FILE": str(tmp_path / "ring.json"),
        "HOME": str(tmp_path),
    }
    return Source(
        remote="lab",
        url=URL,
        environ=environ,
        store=TokenStore(tmp_path, "lab"),
        username="ada",
        keyring_services=("packhorse-lab", "packhorse-lab-refresh"),
        keyring_limit=20.0,
    )


def in_ring(source: Source) -> dict[str, str]:
    return dict(json.loads(Path(source.environ["TEST_KEYRING_FILE"]).read_text()))


def token_of(source: Source) -> str:
    credential = climb(source).credential
    assert credential is not None
    assert credential.token is not None
    return credential.token.reveal()


def test_the_file_keeps_and_is_where_renewed_tokens_go(source: Source) -> None:
    kept = keep(source, StoredTokens(URL, Secret("t1"), Secret("r1"), "ada"), "auto")
    assert (kept.where, kept.store) == (str(source.store.path), source.store)
    assert source.store.read() == StoredTokens(URL, Secret("t1"), Secret("r1"), "ada")
    assert stored_username(source.store, URL) == "ada"
    assert stored_username(source.store, "https://other.example.org") is None


def test_nowhere_keeps_nothing(source: Source) -> None:
    assert keep(source, StoredTokens(URL, Secret("t1"), None, "ada"), "none").where == "nowhere"
    assert not source.store.path.exists()


def test_the_keyring_takes_token_and_refresh_token_and_the_file_goes(source: Source) -> None:
    keep(source, StoredTokens(URL, Secret("old"), None, "ada"), "file")
    kept = keep(source, StoredTokens(URL, Secret("t2"), Secret("r2"), "ada"), "keyring")
    assert (kept.where, kept.store) == ("the keyring, service packhorse-lab, account ada", None)
    assert in_ring(source) == {"packhorse-lab/ada": "t2", "packhorse-lab-refresh/ada": "r2"}
    assert source.store.read() is None
    assert stored_username(source.store, URL) == "ada"
    assert token_of(source) == "t2"


def test_a_new_sign_in_kept_in_the_file_is_not_shadowed_by_the_old_one_in_the_keyring(source: Source) -> None:
    keep(source, StoredTokens(URL, Secret("withdrawn"), Secret("r"), "ada"), "keyring")
    keep(source, StoredTokens(URL, Secret("new"), None, "ada"), "file")
    assert token_of(source) == "new"
    assert in_ring(source) == {}
    assert not source.store.account_path.exists()


def test_forgetting_empties_both_places(source: Source) -> None:
    keep(source, StoredTokens(URL, Secret("t"), None, "ada"), "keyring")
    assert forget_stored(source)
    assert in_ring(source) == {}
    assert not forget_stored(source)
    keep(source, StoredTokens(URL, Secret("t"), None, "ada"), "file")
    assert forget_stored(source)
    assert climb(source).credential is None


def test_what_the_keyring_cannot_do_is_said_in_the_portal_s_word(source: Source) -> None:
    with pytest.raises(CredentialStoreError, match="a user name to file the key under"):
        keep(source, StoredTokens(URL, Secret("t")), "keyring", what="key")
    source.environ["PYTHON_KEYRING_BACKEND"] = "keyring.backends.fail.Keyring"  # type: ignore[index]
    with pytest.raises(CredentialStoreError, match="the keyring cannot be used") as caught:
        keep(source, StoredTokens(URL, Secret("geheim"), None, "ada"), "keyring")
    assert "geheim" not in str(caught.value)


def test_one_caller_at_a_time_and_a_new_lock_on_a_new_loop() -> None:
    single = Single()
    inside, most = 0, 0

    async def caller() -> None:
        nonlocal inside, most
        async with single():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0)
            inside -= 1

    async def many() -> None:
        await asyncio.gather(*(caller() for _ in range(20)))

    asyncio.run(many())
    asyncio.run(many())  # a lock that waited on the first loop would raise here
    assert most == 1


def test_the_prefix_of_a_remote_s_variables() -> None:
    assert variable_prefix("demo-files") == "PACKHORSE_DEMO_FILES"
