"""The server's part of the settings file."""

from __future__ import annotations

from pathlib import Path

import pytest

from packhorse.errors import SettingsError
from packhorse.server.config import MailSettings
from packhorse.server.filesender.settings import FileSenderSettings
from packhorse.server.immport.settings import ImmPortSettings
from packhorse.server.reading import read_server
from packhorse.settings import Settings


def load(tmp_path: Path, text: str, **environ: str) -> dict[str, object]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return read_server(Settings.load({"PACKHORSE_HOME": str(tmp_path), **environ}, file))


def test_nothing_means_the_defaults(tmp_path: Path) -> None:
    assert load(tmp_path, "") == {
        "mail": MailSettings(),
        "filesender": FileSenderSettings(),
        "immport": ImmPortSettings(),
    }


def test_immport_tokens_may_live_as_short_as_they_did(tmp_path: Path) -> None:
    found = load(tmp_path, "[server.immport]\ntoken_seconds = 60")
    assert found["immport"] == ImmPortSettings(token_seconds=60)


def test_everything(tmp_path: Path) -> None:
    secret = tmp_path / "smtp"
    secret.write_text("hunter2\n")
    secret.chmod(0o600)
    text = f"""
        [server.mail]
        host = "smtp.example.org"
        port = 2525
        security = "starttls"
        user = "portal"
        password_file = "{secret}"
        sender = "portal@example.org"
        sender_name = "Our portal"
        [server.filesender]
        site_name = "Our portal"
        max_days = 5
        guests = false
        extensions = [3, 2]
        banned_extensions = []
        chunk_security = "auth"
    """
    found = load(tmp_path, text)
    assert found["mail"] == MailSettings(
        host="smtp.example.org",
        port=2525,
        security="starttls",
        user="portal",
        password="hunter2",
        sender="portal@example.org",
        sender_name="Our portal",
    )
    assert found["filesender"] == FileSenderSettings(
        site_name="Our portal",
        max_days=5,
        guests=False,
        extensions=(3, 2),
        banned_extensions=(),
        chunk_security="auth",
    )
    assert load(tmp_path, text, PACKHORSE_MAIL_PASSWORD="other")["mail"].password == "other"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server.mial]\n", "server.mial"),
        ('[server.mail]\nhots = "x"', "server.mail.hots"),
        ("[server.mail]\nport = 0", "server.mail.port"),
        ('[server.mail]\nsecurity = "ssl"', "server.mail.security"),
        ('[server.mail]\nca_file = "/nowhere"', "server.mail.ca_file"),
        ('[server.mail]\npassword_file = "/nowhere"', "server.mail.password_file"),
        ("[server.mail]\nhost = 1", "server.mail.host"),
        ('[server.filesender]\nmax_days = "5"', "server.filesender.max_days"),
        ("[server.filesender]\nmax_days = -1", "server.filesender.max_days"),
        ("[server.filesender]\nguests = 1", "server.filesender.guests"),
        ("[server.filesender]\nextensions = [true]", "server.filesender.extensions"),
        ("[server.filesender]\nchunk_size = 0", "server.filesender.chunk_size"),
        ('[server.filesender]\nchunk_security = "none"', "server.filesender.chunk_security"),
        ("[server]\nfilesender = 1", "filesender"),
        ("[server.immport]\ntoken_seconds = 0", "server.immport.token_seconds"),
        ("[server.immport]\ntoken = 60", "server.immport.token"),
    ],
)
def test_mistakes_name_the_file_and_the_key(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert named in caught.value.message
    assert "config.toml" in caught.value.message


def test_a_password_never_crosses_the_network_in_the_clear(tmp_path: Path) -> None:
    text = '[server.mail]\nhost = "smtp.example.org"\nuser = "portal"'
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text, PACKHORSE_MAIL_PASSWORD="hunter2")
    assert "in the clear" in caught.value.message
    assert "hunter2" not in str(caught.value)
