"""Records: everything that real servers were seen to send, and exactly what ours sends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import ProtocolError
from packhorse.wire.filesender import bodies, lenient, records

UID = "0f5c2a7e-1111-4222-8333-94b6a1c2d3e4"

CREATED: dict[str, Any] = {
    "id": 7,
    "userid": "3",
    "user_email": "me@institute.edu.au",
    "subject": None,
    "message": None,
    "created": {"raw": 1795316661, "formatted": "22/11/2026"},
    "expires": {"raw": "1796180661", "formatted": "02/12/2026"},
    "expiry_date_extension": 0,
    "options": [],
    "salt": "s" * 32,
    "roundtriptoken": "ab" * 16,
    "files": [{"id": "12", "transfer_id": 7, "uid": UID, "name": "d/a.txt", "size": "5", "sha1": None, "cid": False}],
    "recipients": [
        {
            "id": 21,
            "transfer_id": 7,
            "token": UID,
            "email": "",
            "created": {"raw": 1795316661, "formatted": "22/11/2026"},
            "last_activity": None,
            "options": None,
            "download_url": f"https://h/?s=download&token={UID}",
            "errors": [{"type": "bounce", "date": {"raw": 5, "formatted": "x"}, "details": "no such user"}],
        }
    ],
}


def test_a_created_transfer_with_numbers_as_texts() -> None:
    transfer = records.parse_transfer(CREATED)
    assert (transfer.id, transfer.user_id, transfer.subject, transfer.options) == (7, 3, "", {})
    assert (transfer.created, transfer.expires) == (1795316661, 1796180661)
    assert transfer.files == (records.TransferFile(12, 7, UID, "d/a.txt", 5),)
    (recipient,) = transfer.recipients
    assert (recipient.email, recipient.last_activity) == ("", None)
    assert recipient.errors == (records.Trouble("bounce", 5, "no such user"),)


def test_both_names_of_the_files_key() -> None:
    file = CREATED["files"][0]
    del_uid = {name: value for name, value in file.items() if name != "uid"}
    assert records.parse_file(del_uid | {"puid": "p"}).puid == "p"
    assert records.parse_file(file | {"puid": "p"}).puid == "p"
    assert records.parse_file(del_uid).puid == ""


def test_secrets_are_not_shown() -> None:
    assert "ab" * 16 not in repr(records.parse_transfer(CREATED))
    assert UID not in repr(records.parse_guest({"id": 1, "token": UID, "upload_url": f"https://h/?s=upload&vid={UID}"}))


def test_a_transfer_with_next_to_nothing() -> None:
    assert records.parse_transfer({"id": 1}) == records.Transfer(1)
    assert records.parse_transfer({"id": "1", "options": ["get_a_link"]}).options == {"get_a_link": True}
    assert records.parse_transfer({"id": 1, "user_id": 4, "created": 17, "expires": "18"}).user_id == 4


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "7",
        {},
        {"id": None},
        {"id": -1},
        {"id": "x"},
        {"id": 1, "files": "x"},
        {"id": 1, "files": [None]},
        {"id": 1, "files": [{"id": 1, "name": "a"}]},
        {"id": 1, "files": [{"id": 1, "size": 4}]},
        {"id": 1, "files": [{"id": 1, "name": "a", "size": -4}]},
        {"id": 1, "recipients": {"a": 1}},
        {"id": 1, "recipients": [[]]},
        {"message": "transfer_not_found", "uid": "f", "details": None},
    ],
)
def test_half_a_transfer_is_refused(value: object) -> None:
    with pytest.raises(ProtocolError):
        records.parse_transfer(value)


def test_lists() -> None:
    assert records.parse_transfers([]) == ()
    assert [transfer.id for transfer in records.parse_transfers({"0": {"id": 5}, "3": {"id": 6}})] == [5, 6]
    assert [guest.id for guest in records.parse_guests([{"id": 5}])] == [5]
    for wrong in ("", {"message": "x"}, 5):
        with pytest.raises(ProtocolError):
            records.parse_transfers(wrong)


def test_a_guest_with_flat_and_halved_options() -> None:
    flat = {"id": 1, "options": {"valid_only_one_time": True}, "transfer_options": {"get_a_link": False}, "errors": []}
    halves = {"id": 1, "options": {"guest": {"valid_only_one_time": True}, "transfer": {"get_a_link": False}}}
    both = flat | {"options": flat["options"] | halves["options"]}  # type: ignore[operator]
    for value in (flat, halves, both):
        guest = records.parse_guest(value)
        assert (guest.options, guest.transfer_options) == ({"valid_only_one_time": True}, {"get_a_link": False})
    empty = records.parse_guest({"id": "1", "options": [], "transfer_options": [], "expires": {"raw": "9"}})
    assert (empty.options, empty.transfer_options, empty.expires) == ({}, {}, 9)


def test_a_log() -> None:
    (event,) = records.parse_audit_log(
        [
            {
                "date": {"raw": "100", "formatted": "x"},
                "event": "download_ended",
                "author": {"type": "Recipient", "id": "21", "identity": None, "ip": "", "email": "a@b.org"},
                "target": {"type": "File", "id": "12", "path": "d/a.txt", "name": "a.txt", "size": "5"},
                "time_taken": {"raw": 2.5, "formatted": "2.5 s"},
            }
        ]
    )
    assert (event.date, event.event, event.time_taken) == (100, "download_ended", 2.5)
    assert event.author == records.AuditActor("Recipient", "21", None, "", "a@b.org")
    assert event.target == records.AuditTarget("File", "12", "a.txt", "d/a.txt", 5)
    assert records.parse_audit_log([{"time_taken": {"raw": None}}])[0].time_taken is None
    assert records.parse_audit_log([{"author": {"identity": ["x"]}}])[0].author.identity is None
    assert records.parse_audit_log([]) == ()


def test_user_quota_info() -> None:
    user = records.parse_user(
        {"id": "3", "saml_id": "me@x", "transfer_preferences": [], "frequent_recipients": ["a", 1]}
    )
    assert (user.id, user.saml_id, user.frequent_recipients) == (3, "me@x", ("a",))
    assert records.parse_user({"id": 3, "frequent_recipients": None, "aup_ticked": "0"}).aup_ticked is False
    assert records.parse_quota(None) is None
    assert records.parse_quota([]) is None
    assert records.parse_quota({"total": "10", "used": 4, "available": "6"}) == records.Quota(10, 4, 6)
    assert records.parse_quota({"total": 10, "used": 14}) == records.Quota(10, 14, 0)
    info = records.parse_info(
        {"url": "u", "name": "n", "upload_chunk_size": "5242880", "max_transfer_files": "30", "x": 0}
    )
    assert (info.chunk_size, info.limit("max_transfer_files"), info.limit("x"), info.limit("y")) == (
        5242880,
        30,
        None,
        None,
    )
    assert records.parse_info({"upload_chunk_size": "lots"}).chunk_size is None
    with pytest.raises(ProtocolError):
        records.parse_info([])


def test_what_was_written() -> None:
    assert records.parse_written({"offset": 0, "written": "5"}) == 5
    for wrong in (None, [], True, {"offset": 0}, {"written": -1}, {"written": None}):
        with pytest.raises(ProtocolError):
            records.parse_written(wrong)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"<html>", "HTML"),
        (b"nope", "something else"),
        (b"[" * 100_000, "something"),
    ],
)
def test_what_is_no_json(body: bytes, said: str) -> None:
    with pytest.raises(ProtocolError, match=said):
        records.parse_json(body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "files", "recipients", "options", "errors", "guest", "raw", "name", "size", "created", "date"]
            )
            | st.sampled_from(
                ["author", "target", "time_taken", "written", "total", "used", "cid", "upload_chunk_size", "0"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_or_refused(value: object) -> None:
    for parse in (
        records.parse_transfer,
        records.parse_transfers,
        records.parse_guest,
        records.parse_audit_log,
        records.parse_user,
        records.parse_quota,
        records.parse_info,
        records.parse_written,
    ):
        try:
            parse(value)  # type: ignore[operator]
        except ProtocolError:
            continue


@pytest.mark.parametrize("value", ["", "0", "false", "False", " ", 0, None, [], {}, False])
def test_false(value: object) -> None:
    assert lenient.flag(value) is False


@pytest.mark.parametrize("value", ["1", "true", "yes", 1, True, [0]])
def test_true(value: object) -> None:
    assert lenient.flag(value) is True


@pytest.mark.parametrize(
    "value", ["", "-", "--1", "1.5", 1.5, float("inf"), float("nan"), 2**70, "٣", "9" * 5000, [], {}]
)
def test_no_numbers(value: object) -> None:
    assert lenient.number(value) is None


TRANSFER = records.Transfer(
    id=7,
    user_id=3,
    user_email="me@x.org",
    subject="Réads",
    created=0,
    expires=86400,
    expiry_date_extension=5,
    options={"get_a_link": True, "encryption": False},
    salt="s" * 32,
    roundtriptoken="ab" * 16,
    files=(records.TransferFile(12, 7, UID, "d/a.txt", 5, cid="file_1_2_3_"),),
    recipients=(records.Recipient(21, 7, UID, "", 0, None, None, "https://h/?s=download&token=" + UID),),
)


def test_our_transfer_to_the_letter() -> None:
    expected = (
        r'{"id":7,"userid":3,"user_id":3,"user_email":"me@x.org","subject":"R\u00e9ads","message":null,'
        r'"created":{"raw":0,"formatted":"01\/01\/1970"},"expires":{"raw":86400,"formatted":"02\/01\/1970"},'
        r'"expiry_date_extension":5,"options":{"get_a_link":true,"encryption":false},'
        rf'"salt":"{"s" * 32}","roundtriptoken":"{"ab" * 16}",'
        rf'"files":[{{"id":12,"transfer_id":7,"puid":"{UID}","uid":"{UID}","name":"d\/a.txt","size":5,"sha1":null,'
        r'"cid":"file_1_2_3_"}],'
        rf'"recipients":[{{"id":21,"transfer_id":7,"token":"{UID}","email":"","created":{{"raw":0,'
        r'"formatted":"01\/01\/1970"},"last_activity":null,"options":null,'
        rf'"download_url":"https:\/\/h\/?s=download&token={UID}","errors":[]}}]}}'
    )
    assert bodies.php_json(bodies.transfer_body(TRANSFER)).decode() == expected


def test_what_we_build_is_what_we_read() -> None:
    assert records.parse_transfer(json.loads(bodies.php_json(bodies.transfer_body(TRANSFER)))) == TRANSFER
    guest = records.Guest(
        id=4,
        user_id=3,
        user_email="me@x.org",
        email="g@y.org",
        token=UID,
        transfer_count=2,
        subject="s",
        message="m",
        options={"valid_only_one_time": True},
        transfer_options={"get_a_link": False},
        created=1,
        expires=2,
        upload_url="https://h/?s=upload&vid=" + UID,
        errors=(records.Trouble("bounce", 5, {"a": 1}),),
    )
    body = bodies.guest_body(guest)
    assert body["options"] == {
        "valid_only_one_time": True,
        "guest": {"valid_only_one_time": True},
        "transfer": {"get_a_link": False},
    }
    assert records.parse_guest(body) == guest


def test_our_log_and_the_rest() -> None:
    author = records.AuditActor("User", "3", "me", "")
    events = [
        records.AuditEvent(60, "transfer_available", author, records.AuditTarget("Transfer", "7")),
        records.AuditEvent(61, "file_uploaded", author, records.AuditTarget("File", "12", "a", "d/a", 5), 1.5),
        records.AuditEvent(
            62,
            "download_ended",
            records.AuditActor("Recipient", "21", None, "", "r@x"),
            records.AuditTarget("Recipient", "21", email="r@x"),
        ),
    ]
    first, second, third = bodies.audit_log_body(events)
    assert first == {
        "date": {"raw": 60, "formatted": "01/01/1970 00:01:00"},
        "event": "transfer_available",
        "author": {"type": "User", "id": "3", "identity": "me", "ip": ""},
        "target": {"type": "Transfer", "id": "7"},
        "time_taken": {"raw": None, "formatted": ""},
    }
    assert second["target"] == {"type": "File", "id": "12", "path": "d/a", "name": "a", "size": 5}
    assert second["time_taken"] == {"raw": 1.5, "formatted": "1.5 s"}
    assert third["author"]["email"] == third["target"]["email"] == "r@x"
    assert records.parse_audit_log([first, second, third]) == tuple(events)
    assert bodies.quota_body(None) is None
    assert bodies.quota_body(records.Quota(3, 1, 2)) == {"total": 3, "used": 1, "available": 2}
    assert bodies.written_body(0, 5) == {"offset": 0, "written": 5}
    info = records.Info("https://h/", "n", 5242880, "https://h/?t=__target__", {"version": "3.8"})
    assert list(bodies.info_body(info)) == ["url", "name", "logon_url", "upload_chunk_size", "version"]
    assert records.parse_info(bodies.info_body(info)) == info
    user = records.UserInfo(3, "me@x", 1, 2, "en", aup_ticked=True, frequent_recipients=("a",))
    body = bodies.user_body(user)
    assert set(body) == {
        *("id", "saml_id", "additional_attributes", "aup_ticked", "transfer_preferences", "guest_preferences"),
        *("created", "last_activity", "lang", "frequent_recipients", "eventcount", "eventip"),
    }
    assert records.parse_user(body) == user


@given(st.text(st.characters(codec="utf-8")))
def test_requests_survive_a_server_that_changes_texts(text: str) -> None:
    """The raw body has nothing in it that such a server changes (trap 8), and means the same."""
    body = bodies.request_json({"name": text})
    assert not set(b"&<>") & set(body)
    assert body.isascii()
    assert json.loads(body) == {"name": text}
    assert json.loads(bodies.php_json({"name": text})) == {"name": text}
    assert b"/" not in bodies.php_json(text).replace(b"\\/", b"")


def test_a_new_transfer() -> None:
    plain = bodies.new_transfer_body([bodies.NewFile("a", 5)])
    assert plain == {
        "files": [{"name": "a", "size": 5}],
        "recipients": [],
        "options": {"get_a_link": True},
        "aup_checked": True,
    }
    assert bodies.new_transfer_body([], recipients=["a@b"])["options"] == {"get_a_link": False}
    assert (
        bodies.new_transfer_body([], recipients=["a@b"], options={"get_a_link": True})["options"]["get_a_link"] is True
    )
    params = bodies.CryptoParams(crypto_version(3), "", 150000, 2, "base64", "ZW50")
    full = bodies.new_transfer_body(
        [bodies.NewFile("a", 5, "file_1_2_3_", "text/plain", "aXY=", "YWVhZA==")],
        recipients=["a@b"],
        sender="me@x",
        subject="s",
        message="m",
        expires=99,
        lang="en",
        crypto=params,
    )
    assert full == {
        "files": [
            {"name": "a", "size": 5, "cid": "file_1_2_3_", "mime_type": "text/plain", "iv": "aXY=", "aead": "YWVhZA=="}
        ],
        "recipients": ["a@b"],
        "options": {"get_a_link": False, "encryption": True},
        "aup_checked": True,
        "from": "me@x",
        "subject": "s",
        "message": "m",
        "expires": 99,
        "lang": "en",
        "encryption": True,
        "encryption_key_version": 3,
        "encryption_password_version": 2,
        "encryption_password_encoding": "base64",
        "encryption_password_hash_iterations": 150000,
        "encryption_client_entropy": "ZW50",
    }


def crypto_version(number: int) -> Any:
    from packhorse.wire.filesender.crypto import KeyVersion

    return KeyVersion(number)


def test_a_new_guest() -> None:
    assert bodies.new_guest_body("g@x", "me@x", options={"valid_only_one_time": True}, expires=5) == {
        "recipient": "g@x",
        "from": "me@x",
        "options": {"guest": {"valid_only_one_time": True}, "transfer": {"get_a_link": False}},
        "expires": 5,
    }
