"""Which FileSender site is meant: names, links, vouchers, the only one; and pasted links as addresses."""

from __future__ import annotations

from pathlib import Path

import pytest

from packhorse.errors import AddressError, UsageError
from packhorse.model import Address, Secret
from packhorse.portals.addresses import resolve, shown
from packhorse.session import Session, Via, choose
from packhorse.settings import Settings

TOKEN = "0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"
LAB = "https://fs.example.org/filesender"
OTHER = "https://other.example.org"


def settings_at(tmp_path: Path, *names: str) -> Settings:
    settings = Settings.load({"PACKHORSE_HOME": str(tmp_path), "HOME": str(tmp_path)})
    for name, url in zip(names, (LAB, OTHER + "/rest.php/"), strict=False):
        settings = settings.add_remote(name, "filesender", url)
    return settings


def test_the_only_site_is_meant(tmp_path: Path) -> None:
    settings = settings_at(tmp_path, "lab")
    assert choose(settings) == Via("lab")
    settings.record_demo("http://127.0.0.1:18080")
    settings = Settings.load(settings.environ)
    assert choose(settings) == Via("lab"), "what is meant for a real site never goes to the demo"
    assert choose(settings.remove_remote("lab")) == Via("demo-files")


def test_no_site_or_several_is_an_error_that_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no FileSender site is configured") as caught:
        choose(settings_at(tmp_path))
    assert "packhorse remote add NAME filesender" in (caught.value.hint or "")
    with pytest.raises(UsageError, match="lab, second are configured") as caught:
        choose(settings_at(tmp_path, "lab", "second"))
    assert caught.value.hint == "--via lab"


@pytest.mark.parametrize(
    ("via", "voucher", "found"),
    [
        ("lab", None, Via("lab")),
        ("lab:", None, Via("lab")),
        (LAB + "/", None, Via("lab")),
        (OTHER, None, Via("second")),
        ("https://third.example.org/", None, Via("https://third.example.org")),
        (f"{LAB}/?s=upload&vid={TOKEN}", None, Via("lab", Secret(TOKEN))),
        (None, f"{LAB}/?s=upload&vid={TOKEN}", Via("lab", Secret(TOKEN))),
        (
            None,
            f"<https://third.example.org/?s=upload&amp;vid={TOKEN}>",
            Via("https://third.example.org", Secret(TOKEN)),
        ),
        ("lab", f"{LAB}/?s=upload&vid={TOKEN}", Via("lab", Secret(TOKEN))),
        ("lab", TOKEN, Via("lab", Secret(TOKEN))),
        ("https://third.example.org", f" {TOKEN}\n", Via("https://third.example.org", Secret(TOKEN))),
    ],
)
def test_what_is_given_is_meant(tmp_path: Path, via: str | None, voucher: str | None, found: Via) -> None:
    assert choose(settings_at(tmp_path, "lab", "second"), via, voucher) == found
    assert choose(settings_at(tmp_path), via, Secret(voucher)) == found if voucher and not via else True


@pytest.mark.parametrize(
    ("via", "voucher", "said"),
    [
        ("flow", None, "flow is a flow remote"),
        ("demo", None, "demo is a flow remote"),
        ("lba", None, "did you mean 'lab'"),
        (None, TOKEN, "does not say where it is from"),
        (None, f"{LAB}/?s=download&token={TOKEN}", "for receiving files, not for sending"),
        (f"{LAB}/?s=download&token={TOKEN}", None, "for receiving files, not for sending"),
        (None, "https://x.example.org/", "is no voucher's link"),
        ("second", f"{LAB}/?s=upload&vid={TOKEN}", "of another site than second"),
        (f"{LAB}/?s=upload&vid={TOKEN}", TOKEN, "a voucher's link already"),
        ("lab", "geheim", "that is no voucher of lab"),
        ("ftp://x.example.org", None, "is no site's address"),
        ("https://me:pw@x.example.org", None, "is no site's address"),
    ],
)
def test_what_cannot_be_meant(tmp_path: Path, via: str | None, voucher: str | None, said: str) -> None:
    with pytest.raises((UsageError, AddressError)) as caught:
        choose(settings_at(tmp_path, "lab", "second"), via, voucher)
    assert said in caught.value.message
    assert caught.value.hint
    for secret in (TOKEN, "geheim", "me:pw"):
        assert secret not in caught.value.message + (caught.value.hint or "")


def test_pasted_links_are_addresses(tmp_path: Path) -> None:
    settings = settings_at(tmp_path, "lab")
    third = "https://third.example.org:8443/fs"
    for text, address in {
        f"{LAB}/?s=download&token={TOKEN}": Address("lab", TOKEN),
        f"{LAB}/index.php?s=download&token={TOKEN}": Address("lab", TOKEN),
        f"<{LAB}/?s=download&amp;token={TOKEN}>": Address("lab", TOKEN),
        f"{third}/?s=download&token={TOKEN}": Address(third, TOKEN),
        f"{third}:{TOKEN}/reads/a.bam": Address(third, f"{TOKEN}/reads/a.bam"),
        f"{third}:{TOKEN}?archive=zip": Address(third, f"{TOKEN}?archive=zip"),
        f"{LAB}:{TOKEN}": Address("lab", TOKEN),
        f"lab:{TOKEN}/a.bam": Address("lab", f"{TOKEN}/a.bam"),
        f"{LAB}/?s=upload&vid={TOKEN}": Address("lab", f"voucher/{TOKEN}"),
        f"{LAB}/download.php?token={TOKEN}&files_ids=3": Address("lab", f"{TOKEN}?files=3"),
        "https://x.example.org:8443/a-b-c-d/e": Address("https", "https://x.example.org:8443/a-b-c-d/e"),
        "https://x.example.org/?s=download": Address("https", "https://x.example.org/?s=download"),
    }.items():
        assert resolve(text, settings) == address, text
        if TOKEN in str(address):
            assert TOKEN not in shown(address)
    with pytest.raises(AddressError, match="is not whole") as caught:
        resolve(f"{LAB}/?s=download&token=geheim", settings)
    assert "geheim" not in caught.value.message


@pytest.mark.parametrize(
    "url",
    [f"{LAB}/?s=download", f"{LAB}/?s=upload", f"{LAB}/?s=download&token=", "https://x.example.org/?s=download&token="],
)
def test_a_link_without_its_token_is_said_and_not_fetched_as_a_page(tmp_path: Path, url: str) -> None:
    with pytest.raises(AddressError, match="is not whole"):
        resolve(url, settings_at(tmp_path, "lab"))


def test_what_ls_writes_can_be_got(tmp_path: Path) -> None:
    address = resolve(f"https://third.example.org/?s=download&token={TOKEN}", settings_at(tmp_path))
    assert resolve(f"{address.remote}:{address.path}/a.bam", settings_at(tmp_path)) == Address(
        "https://third.example.org", f"{TOKEN}/a.bam"
    )


def test_a_session_does_not_send_through_what_takes_no_files(tmp_path: Path) -> None:
    with Session(settings_at(tmp_path)) as session, pytest.raises(UsageError, match="flow is a flow remote"):
        session.send(tmp_path, "ada@example.org", via="flow")
    with Session(settings_at(tmp_path, "lab")) as session:
        with pytest.raises(UsageError, match=r"'subjct' is not an option of send; did you mean 'subject'"):
            session.prepare(tmp_path, subjct="x")
        with pytest.raises(UsageError, match="a guest has no transfers"):
            session.manage(f"{LAB}/?s=upload&vid={TOKEN}")
