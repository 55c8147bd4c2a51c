import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import SettingsError
from packhorse.model import ProofLevel, Secret
from packhorse.settings import Settings, clean_url
from packhorse.settings.edit import parse, with_remote, without_remote


def load(tmp_path: Path, text: str | None = None, **environ: str) -> Settings:
    if text is not None:
        (tmp_path / "config.toml").write_text(text, encoding="utf-8")
    return Settings.load({"PACKHORSE_HOME": str(tmp_path), **environ})


def test_without_a_file_the_built_in_remotes_stand(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert settings.remote("flow").url == "https://app.flow.bio/api"
    assert set(settings.remotes) == {"flow", "immport", "demo", "demo-files", "demo-immport"}
    assert settings.remote("demo").url == settings.remote("demo-files").url == ""
    assert settings.state_dir == tmp_path / "state"
    assert settings.transfer.retries == 3


def test_every_documented_key_is_read(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("x")
    settings = load(
        tmp_path,
        f"""
        [network]
        ca_bundle = "{ca}"
        proxy = "http://u:p@proxy:3128"
        no_proxy = "localhost"
        connect_timeout = 5
        stall_timeout = 7.5
        netrc = true
        [transfer]
        jobs = 8
        retries = 0
        durability = "none"
        layout = "organized"
        require = "md5"
        [remotes.lab]
        kind = "flow"
        url = "https://flow.example.org/api/"
        username = "ada"
        token_command = "pass show flow"
        token_timeout = 3
        keyring = false
        web_url = "https://flow.example.org"
        [server]
        port = 1
        """,
        SSL_CERT_FILE="/nowhere",
    )
    assert settings.network.ca_bundle == ca
    assert settings.network.proxy == Secret("http://u:p@proxy:3128")
    assert "u:p" not in repr(settings)
    assert (settings.network.connect_timeout, settings.network.stall_timeout) == (5.0, 7.5)
    assert (settings.transfer.jobs, settings.transfer.retries, settings.transfer.durability) == (8, 0, "none")
    assert settings.transfer.require is ProofLevel.MD5
    lab = settings.remote("lab")
    assert (lab.kind, lab.url, lab.username) == ("flow", "https://flow.example.org/api", "ada")
    assert lab.options["keyring"] is False
    assert settings.server == {"port": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[netwrok]\n", "netwrok is not a setting; did you mean 'network'?"),
        ("[network]\nca_bundel = 'x'\n", "network.ca_bundel is not a setting; did you mean 'ca_bundle'?"),
        ("[transfer]\nlayout = 'organised'\n", "transfer.layout must be one of plain, organized, patterns"),
        ("[transfer]\njobs = 0\n", "transfer.jobs must be a whole number from 1 to 256"),
        ("[transfer]\njobs = true\n", "transfer.jobs must be a whole number"),
        ("[transfer]\nrequire = 'sha1'\n", "transfer.require must be one of"),
        ("[network]\nstall_timeout = -1\n", "network.stall_timeout must be a number of seconds"),
        ("[network]\nnetrc = 'yes'\n", "network.netrc must be true or false"),
        ("[network]\nca_bundle = '/nowhere/ca.pem'\n", "/nowhere/ca.pem, which is not a file"),
        ("network = 3\n", "network must be a table"),
        ("[remotes]\nlab = 3\n", "remotes.lab must be a table"),
        ("[remotes.lab]\nurl = 'https://x.org'\n", "remotes.lab.kind is missing"),
        ("[remotes.lab]\nkind = 'flow'\n", "remotes.lab.url is missing"),
        ("[remotes.lab]\nkind='flow'\nurl='ftp://x.org'\n", "remotes.lab.url must be an address that begins"),
        ("[remotes.lab]\nkind='flow'\nurl='https://me:pw@x.org'\n", "must not hold a user name or password"),
        ("[remotes.lab]\nkind='flow'\nurl='https://x.org/?a'\n", "must be a plain address"),
        ("[remotes.lab]\nkind='flow'\nurl='https://x.org'\ntoken='s'\n", "remotes.lab.token is not a setting"),
        ("[remotes.immport]\nroute='fasp'\n", "remotes.immport.route must be one of https, aspera, auto"),
        ("[remotes.immport]\nauth_url='ftp://x'\n", "remotes.immport.auth_url must be an address that begins"),
        ("[remotes.immport]\naspera_port=0\n", "remotes.immport.aspera_port must be a whole number"),
        ("[remotes.lab]\nkind='flow'\nurl='https://x.org'\nascp='x'\n", "remotes.lab.ascp is not a setting"),
        ("[remotes.'a b']\nkind='flow'\nurl='https://x.org'\n", "cannot be the name of a remote"),
        ("[remotes.https]\nkind='flow'\nurl='https://x.org'\n", "cannot be the name of a remote"),
        ("[network\n", "config.toml: "),
    ],
)
def test_a_mistake_is_named_with_its_file_and_key(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert said in caught.value.message
    assert "me:pw" not in caught.value.message
    if not said.startswith("cannot be the name"):
        assert "config.toml" in caught.value.message


def test_the_route_of_every_immport_remote_at_once(tmp_path: Path) -> None:
    settings = load(tmp_path, "[remotes.lab]\nkind='immport'\nurl='https://x.org'\nascp='/x'\n").with_route("aspera")
    assert settings.remote("lab").options == {"ascp": "/x", "route": "aspera"}
    assert settings.remote("immport").url == "https://www.immport.org"
    assert "route" not in settings.remote("flow").options
    with pytest.raises(SettingsError, match="did you mean 'aspera'"):
        settings.with_route("asper")


def test_a_file_that_is_not_text_or_not_readable_is_a_settings_error(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"config\.toml cannot be read"):
        load(tmp_path)
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(SettingsError, match=r"config\.toml cannot be read"):
        load(tmp_path)


def test_variables_override_addresses(tmp_path: Path) -> None:
    settings = load(tmp_path, FLOW_API_URL="http://127.0.0.1:8000/api/", PACKHORSE_DEMO_URL="http://localhost:1/api")
    assert settings.remote("flow").url == "http://127.0.0.1:8000/api"
    assert settings.remote("flow").origin == "FLOW_API_URL"
    assert settings.remote("demo").url == "http://localhost:1/api"
    with pytest.raises(SettingsError, match="FLOW_API_URL must be an address"):
        load(tmp_path, FLOW_API_URL="app.flow.bio")


def test_the_ca_file_comes_from_the_first_source_that_has_one(tmp_path: Path) -> None:
    one, two = tmp_path / "1.pem", tmp_path / "2.pem"
    one.touch()
    two.touch()
    both = {"SSL_CERT_FILE": str(one), "CURL_CA_BUNDLE": str(two)}
    assert load(tmp_path, **both).network.ca_bundle == one
    assert load(tmp_path, REQUESTS_CA_BUNDLE=str(tmp_path), CURL_CA_BUNDLE=str(two)).network.ca_bundle == two
    assert load(tmp_path, REQUESTS_CA_BUNDLE=str(tmp_path)).network.ca_bundle is None
    assert load(tmp_path, PACKHORSE_CA_BUNDLE=str(two), **both).network.ca_from == "PACKHORSE_CA_BUNDLE"
    with pytest.raises(SettingsError, match="SSL_CERT_FILE names"):
        load(tmp_path, SSL_CERT_FILE=str(tmp_path / "none.pem"))


def test_the_demo_is_where_it_was_started_last(tmp_path: Path) -> None:
    load(tmp_path).record_demo("http://127.0.0.1:4711")
    settings = load(tmp_path)
    assert settings.remote("demo").url == "http://127.0.0.1:4711/api"
    for broken in ("", "[]", '{"url": 3}', '{"url": "file:///etc"}'):
        settings.demo_file.write_text(broken)
        assert load(tmp_path).remote("demo").url == ""


def test_an_unknown_remote_gets_the_nearest_name_and_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="did you mean 'flow'") as caught:
        load(tmp_path).remote("flwo")
    assert caught.value.hint == "packhorse remote add flwo KIND URL"


def test_adding_and_removing_a_remote_keeps_comments_and_the_mode(tmp_path: Path) -> None:
    text = "# mine\n[transfer] # fast\njobs = 4\n"
    settings = load(tmp_path, text)
    settings = settings.add_remote(
        "lab", "flow", "https://lab.example.org/api", {"username": 'a"d\u00e4', "keyring": False}
    )
    assert settings.remote("lab").username == 'a"d\u00e4'
    assert stat.S_IMODE(settings.file.stat().st_mode) == 0o600
    assert settings.file.read_text(encoding="utf-8").startswith(text)
    settings = settings.add_remote("lab", "flow", "https://other.example.org/api")
    assert settings.remote("lab").url == "https://other.example.org/api"
    assert settings.remote("lab").username is None
    settings = settings.remove_remote("lab")
    assert "lab" not in settings.remotes
    assert settings.file.read_text(encoding="utf-8") == text
    assert [name for name in os.listdir(tmp_path) if name.startswith(".")] == []
    with pytest.raises(SettingsError, match="built in"):
        settings.remove_remote("flow")
    with pytest.raises(SettingsError, match="no remote called 'lab'"):
        settings.remove_remote("lab")


def test_a_remote_that_cannot_stand_is_not_written(tmp_path: Path) -> None:
    settings = load(tmp_path)
    for name, url in (("lab", "nonsense"), ("La b", "https://x.org"), ("http", "https://x.org")):
        with pytest.raises(SettingsError):
            settings.add_remote(name, "flow", url)
    assert not settings.file.exists()


def test_removing_keeps_the_comment_of_the_next_table() -> None:
    text = '[remotes.a]\nkind = "flow"\nurl = "https://a.org"\n\n# about b\n[remotes.b]\nkind = "flow"\nurl = "https://b.org"\n'
    assert without_remote(text, "a") == "\n# about b\n" + text[text.index("[remotes.b]") :]


def test_a_file_that_lines_cannot_edit_is_refused() -> None:
    with pytest.raises(SettingsError, match="only an editor"):
        without_remote('remotes = { a = { kind = "flow", url = "https://a.org" } }\n', "a")


@given(
    st.dictionaries(st.sampled_from(["username", "token_command"]), st.text(min_size=1)), st.text(alphabet="#\n ab=")
)
def test_what_is_written_reads_back(options: dict[str, str], comment: str) -> None:
    before = "".join(f"# {line}\n" for line in comment.splitlines())
    try:
        for value in options.values():
            value.encode()
    except UnicodeEncodeError:
        return
    values = {"kind": "flow", "url": "https://x.org", **options}
    text = with_remote(before, "x-1", values)
    assert parse(text) == {"remotes": {"x-1": values}}
    assert parse(without_remote(text, "x-1")) == {}


def test_clean_url_never_raises_anything_but_value_error() -> None:
    for text in ("http://[", "http://x:99999", "https://", "javascript:1", "https://x:0", ""):
        with pytest.raises(ValueError, match="must"):
            clean_url(text)


def test_nothing_is_read_at_import(tmp_path: Path) -> None:
    code = "import packhorse.settings, sys; print('platformdirs' in sys.modules)"
    environ = {**os.environ, "FLOW_API_URL": "nonsense", "PACKHORSE_CONFIG": str(tmp_path / "x")}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_demo_server_has_a_remote_for_each_of_its_sides(tmp_path: Path) -> None:
    load(tmp_path).record_demo("http://127.0.0.1:18080")
    settings = load(tmp_path)
    assert (settings.remote("demo").kind, settings.remote("demo").url) == ("flow", "http://127.0.0.1:18080/api")
    files = settings.remote("demo-files")
    assert (files.kind, files.url) == ("filesender", "http://127.0.0.1:18080")
