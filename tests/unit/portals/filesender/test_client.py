"""The documented client: its signatures, and its work against the fake server."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from packhorse.errors import AuthenticationError, ChangedError, ExpiredError, NotFoundError, UsageError
from packhorse.portals import filesender
from packhorse.portals.filesender import Auth, FileSenderClient, GuestAuth, SyncFileSenderClient, UserAuth

from .fake import KEY, USER, FakeFileSender
from .test_receiving import PASSWORD, encrypted, pattern, token_of

SEED = Path(__file__).resolve().parents[5] / "shared" / "seeds" / "004_5ddeea2ae6c49bfc.txt"
METHODS = {
    "prepare": "() -> None",
    "create_guest": "(body: Guest) -> Guest",
    "upload_workflow": "(files: List[Path], transfer_args: PartialTransfer = {}) -> Transfer",
    "download_files": "(token: str, out_dir: Path) -> None",
    "get_server_info": "() -> ServerInfo",
    "create_transfer": "(body: Transfer) -> Transfer",
    "update_transfer": "(transfer_id: int, body: TransferUpdate) -> Transfer",
    "update_file": "(file_info: File, body: FileUpdate) -> None",
    "upload_file": "(file_info: File, path: Path) -> None",
    "download_file": (
        "(token: str, file_id: int, out_dir: Path, file_size: Union[int, float, None] = None, "
        "file_name: Optional[str] = None) -> None"
    ),
    "upload_complete": "(file_info: File, path: Path) -> None",
}
"""Written down from the seed; compared with its text below where that is here."""


def documented(text: str, **names: Any) -> inspect.Signature:
    """The signature of a function that is written like this."""
    space: dict[str, Any] = {"Path": Path, "Auth": Auth, **names}
    exec(f"from __future__ import annotations\ndef f{text}: pass", space)
    return inspect.signature(space["f"])


def bare(function: Callable[..., Any]) -> inspect.Signature:
    signature = inspect.signature(function)
    return signature.replace(parameters=[p for p in signature.parameters.values() if p.name != "self"])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PACKHORSE_HOME", str(tmp_path / "packhorse"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    for size in (0, 10, 1000, 2500):
        (made / f"f{size}").write_bytes(pattern(size))
    return made


def client(fake: FakeFileSender, **more: Any) -> FileSenderClient:
    return FileSenderClient(fake.base, **{"auth": UserAuth(USER, KEY), **more})


# Signatures.


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_as_documented(name: str) -> None:
    assert bare(getattr(FileSenderClient, name)) == documented(METHODS[name])
    assert inspect.iscoroutinefunction(getattr(FileSenderClient, name))
    assert bare(getattr(SyncFileSenderClient, name)) == documented(METHODS[name])
    assert not inspect.iscoroutinefunction(getattr(SyncFileSenderClient, name))


@pytest.mark.parametrize("face", [FileSenderClient, SyncFileSenderClient])
def test_the_constructor_is_as_documented(face: Any) -> None:
    parameters = inspect.signature(face).parameters
    assert [(p.name, p.annotation, p.kind) for p in parameters.values()] == [
        ("base_url", "str", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("chunk_size", "Optional[int]", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("auth", "Auth", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("concurrent_files", "Optional[int]", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("concurrent_chunks", "Optional[int]", inspect.Parameter.POSITIONAL_OR_KEYWORD),
    ]
    defaults = [p.default for p in list(parameters.values())[1:]]
    assert (defaults[0], type(defaults[1]), defaults[2:]) == (None, Auth, [1, 2])


def test_the_ways_to_sign_in_are_as_documented() -> None:
    assert [(p.name, p.annotation, p.default) for p in inspect.signature(UserAuth).parameters.values()] == [
        ("username", "str", inspect.Parameter.empty),
        ("api_key", "str", inspect.Parameter.empty),
        ("delay", "int", 0),
    ]
    assert [(p.name, p.default) for p in inspect.signature(GuestAuth).parameters.values()] == [
        ("guest_token", inspect.Parameter.empty),
        ("security_token", None),
        ("csrf_token", None),
    ]
    assert issubclass(UserAuth, Auth)
    assert issubclass(GuestAuth, Auth)
    assert KEY not in repr(UserAuth(USER, KEY))
    assert "secret" not in repr(GuestAuth("secret", "secret", "secret"))
    assert KEY not in repr(FileSenderClient("https://h.example.org", auth=UserAuth(USER, KEY)))


def test_what_was_written_down_is_what_the_seed_says() -> None:
    if not SEED.exists():
        pytest.skip("the document is not here: put it beside the checkout as ../shared/seeds/004_….txt")
    text = re.sub(r"\s+", " ", SEED.read_text(encoding="utf-8"))
    for name, signature in METHODS.items():
        pattern_ = re.escape(f"{name}{signature}").replace(r"\ ", " ?")
        pattern_ = pattern_.replace(r"\(", r"\( ?").replace(r"\)", r",? ?\)")
        assert re.search(pattern_, text), name
    for name in ("Guest", "PartialTransfer", "Transfer", "TransferUpdate", "File", "FileUpdate", "ServerInfo"):
        assert hasattr(filesender, name)


def test_everything_is_there_and_lazy() -> None:
    for name in filesender.__all__:
        assert getattr(filesender, name) is not None
    with pytest.raises(AttributeError):
        _ = filesender.Nothing  # type: ignore[attr-defined]


# Work.


@pytest.mark.parametrize("tail", ["", "/", "/rest.php"])
@pytest.mark.parametrize("as_text", [True, False])
def test_files_are_sent(fake: FakeFileSender, data: Path, tail: str, as_text: bool) -> None:
    made = FileSenderClient(fake.base + tail, auth=UserAuth(USER, KEY))

    async def main() -> Any:
        files = [str(data)] if as_text else [data]
        return await made.upload_workflow(files=files, transfer_args={"recipients": ["b@x.org"], "from": USER})  # type: ignore[arg-type]

    answer = asyncio.run(main())
    transfer = fake.transfers[answer["id"]]
    assert transfer["status"] == "available"
    assert transfer["from"] == USER
    assert fake.mailed == [("available", "b@x.org")]
    assert answer["recipients"][0]["download_url"]
    assert made.chunk_size == fake.chunk, "prepare() was called for the user"


def test_concurrency_without_bounds_and_small_chunks(fake: FakeFileSender, data: Path) -> None:
    made = client(fake, concurrent_files=None, concurrent_chunks=None, chunk_size=100)
    answer = asyncio.run(made.upload_workflow([data]))
    assert bytes(fake.transfers[answer["id"]]["files"][_id(answer, "data/f2500")]["data"]) == pattern(2500)
    assert len(fake.called("PUT", "/chunk/")) == 1 + 10 + 25


def _id(answer: Any, name: str) -> int:
    return next(int(file["id"]) for file in answer["files"] if file["name"] == name)


def test_a_chunk_that_is_too_large_is_refused_by_prepare(fake: FakeFileSender, data: Path) -> None:
    made = client(fake, chunk_size=1001)
    with pytest.raises(UsageError, match="1,000 at most"):
        asyncio.run(made.prepare())
    with pytest.raises(UsageError, match="1,000 at most"):
        asyncio.run(made.upload_workflow([data]))
    assert not fake.transfers


def test_the_steps_one_by_one(fake: FakeFileSender, data: Path) -> None:
    async def main() -> Any:
        made = client(fake)
        transfer = await made.create_transfer(
            {"files": [{"name": "a.bin", "size": 2500}, {"name": "b.bin", "size": 10}], "recipients": ["b@x.org"]}
        )
        first, second = transfer["files"]
        await made.upload_file(first, data / "f2500")
        await made.update_file(first, {"complete": True})
        await made.upload_complete(second, data / "f10")
        return await made.update_transfer(transfer["id"], {"complete": True})

    answer = asyncio.run(main())
    made = fake.transfers[answer["id"]]
    assert [bytes(file["data"]) for file in made["files"].values()] == [pattern(2500), pattern(10)]
    assert made["status"] == "available"
    assert fake.mailed == [("available", "b@x.org")]
    writes = [call for call in fake.calls if call.method == "PUT"]
    assert all(call.query["roundtriptoken"] == made["rt"] for call in writes)


def test_a_file_of_another_size_is_refused(fake: FakeFileSender, data: Path) -> None:
    async def main() -> None:
        made = client(fake)
        transfer = await made.create_transfer({"files": [{"name": "a.bin", "size": 9}]})
        await made.upload_file(transfer["files"][0], data / "f10")

    with pytest.raises(UsageError, match="9 were declared"):
        asyncio.run(main())


def test_a_guest_sends_and_a_closed_voucher_says_so(fake: FakeFileSender, data: Path) -> None:
    guest = fake.add_guest(options={"can_only_send_to_me": True})
    made = FileSenderClient(fake.base, auth=GuestAuth(guest["token"]))

    async def main() -> None:
        await made.prepare()
        await made.upload_workflow([data], {"from": "me@x.org", "options": {"email_download_complete": True}})

    asyncio.run(main())
    assert fake.mailed == [("available", USER)]
    guest["open"] = False
    with pytest.raises(ExpiredError):
        asyncio.run(FileSenderClient(fake.base, auth=GuestAuth(guest["token"])).upload_workflow([data]))


def test_everything_of_a_token_is_received(fake: FakeFileSender, tmp_path: Path) -> None:
    made = fake.add_transfer({"a/b.txt": b"abc", "../../evil": b"x", "c": pattern(3000)})
    out = tmp_path / "new" / "folder"
    asyncio.run(FileSenderClient(fake.base).download_files(token_of(made), out))
    assert (out / "a" / "b.txt").read_bytes() == b"abc"
    assert (out / "c").read_bytes() == pattern(3000)
    assert not (tmp_path / "evil").exists()
    assert sum(path.is_file() for path in out.rglob("*") if ".packhorse" not in path.parts) == 3


def test_the_home_folder_is_expanded(fake: FakeFileSender, tmp_path: Path) -> None:
    made = fake.add_transfer({"c": b"abc"})
    SyncFileSenderClient(fake.base).download_files(token_of(made), "~/Downloads")  # type: ignore[arg-type]
    assert (tmp_path / "home" / "Downloads" / "c").read_bytes() == b"abc"


def test_one_file_under_another_name(fake: FakeFileSender, tmp_path: Path) -> None:
    made = fake.add_transfer({"a": b"abc", "b": b"defg"})
    number = next(int(file["id"]) for file in made["files"].values() if file["name"] == "b")
    face = SyncFileSenderClient(fake.base)
    face.download_file(token_of(made), number, tmp_path / "out", file_size=4, file_name="../../mine.txt")
    assert (tmp_path / "out" / "mine.txt").read_bytes() == b"defg"
    face.download_file(token_of(made), number, tmp_path / "out")
    assert (tmp_path / "out" / "b").read_bytes() == b"defg"
    with pytest.raises(ChangedError, match="not 5"):
        face.download_file(token_of(made), number, tmp_path / "out", file_size=5)
    with pytest.raises(NotFoundError):
        face.download_file(token_of(made), 999_999, tmp_path / "out")


def test_encryption_with_a_password(fake: FakeFileSender, data: Path, tmp_path: Path) -> None:
    made = encrypted(fake, {"a": pattern(2500)}, 3)
    face = SyncFileSenderClient(fake.base)
    face.password = PASSWORD
    face.download_files(token_of(made), tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == pattern(2500)
    sender = SyncFileSenderClient(fake.base, auth=UserAuth(USER, KEY))
    sender.password = PASSWORD
    answer = sender.upload_workflow([data / "f2500"])
    face.download_files(answer["recipients"][0]["token"], tmp_path / "back")  # type: ignore[typeddict-item,index]
    assert (tmp_path / "back" / "f2500").read_bytes() == pattern(2500)


def test_no_plain_bytes_go_into_an_encrypted_transfer(fake: FakeFileSender, data: Path) -> None:
    sender = SyncFileSenderClient(fake.base, auth=UserAuth(USER, KEY))
    with pytest.raises(UsageError, match="needs a password"):
        sender.upload_workflow([data], {"encryption": True})
    with pytest.raises(UsageError, match="not sent one by one"):
        sender.create_transfer({"files": [{"name": "a", "size": 1}], "encryption": True})
    assert not fake.transfers


def test_links_are_taken_for_tokens(fake: FakeFileSender, tmp_path: Path) -> None:
    made = fake.add_transfer({"c": b"abc"})
    face = SyncFileSenderClient(fake.base)
    face.download_files(f"{fake.base}/?s=download&token={token_of(made)}", tmp_path)
    assert (tmp_path / "c").read_bytes() == b"abc"
    with pytest.raises(UsageError, match="elsewhere"):
        face.download_files(f"https://elsewhere.example.org/?s=download&token={token_of(made)}", tmp_path)
    with pytest.raises(UsageError, match="this is a voucher"):
        face.download_files(fake.add_guest()["token"], tmp_path)


def test_info_and_guests(fake: FakeFileSender) -> None:
    fake.disclosed = {"version": "3.8"}
    face = SyncFileSenderClient(fake.base, auth=UserAuth(USER, KEY))
    assert face.get_server_info()["version"] == "3.8"
    guest = face.create_guest({"recipient": "g@x.org", "options": {"valid_only_one_time": True}})
    made = fake.guests[guest["id"]]
    assert made["body"]["from"] == USER
    assert made["options"] == {"valid_only_one_time": True}
    assert made["transfer"] == {"get_a_link": False}


def test_delay_post_dates(fake: FakeFileSender) -> None:
    import time

    SyncFileSenderClient(fake.base, auth=UserAuth(USER, KEY, delay=500)).create_guest({"recipient": "g@x.org"})
    assert 495 < int(fake.calls[-1].query["timestamp"]) - time.time() < 505


@pytest.mark.parametrize("wrong", [0, -1, "5", 1.5, True])
def test_a_count_is_a_whole_number(wrong: Any) -> None:
    for name in ("chunk_size", "concurrent_files", "concurrent_chunks"):
        with pytest.raises(UsageError, match=f"{name} must be a whole number, at least 1"):
            FileSenderClient("https://h.example.org", **{name: wrong})
    with pytest.raises(UsageError, match="base_url must begin with"):
        FileSenderClient(None)  # type: ignore[arg-type]


def test_one_recipient_may_be_given_as_text(fake: FakeFileSender, data: Path) -> None:
    client = SyncFileSenderClient(fake.base, auth=UserAuth(USER, KEY))
    client.upload_workflow([data], {"recipients": "ada@example.org"})  # type: ignore[typeddict-item]
    assert [email for _, email in fake.mailed] == ["ada@example.org"]


def test_what_cannot_be() -> None:
    for bad in ("ftp://h", "h.example.org", ""):
        with pytest.raises(UsageError, match="base_url"):
            FileSenderClient(bad)
    with pytest.raises(UsageError, match="chunk_size"):
        FileSenderClient("https://h", chunk_size=0)


def test_nobody_cannot_send(fake: FakeFileSender, data: Path) -> None:
    with pytest.raises(AuthenticationError):
        SyncFileSenderClient(fake.base).upload_workflow([data])
