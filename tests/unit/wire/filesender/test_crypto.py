"""Encryption against AES blocks, GHASH, PKCS#7 and PBKDF2 done step by step here, and against any tampering."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from packhorse.errors import DecryptionError, ExitCode, IntegrityError, ProtocolError
from packhorse.model import ByteRange
from packhorse.wire.filesender import crypto
from packhorse.wire.filesender.crypto import ChunkLayout, CryptoParams, FileCrypto, KeyVersion
from packhorse.wire.filesender.shared import SharedFile

KEY = bytes(range(32))
IV12 = bytes.fromhex("00112233445566778899aabb")
GCM, CBC, OLD = KeyVersion.GCM, KeyVersion.CBC, KeyVersion.CBC_PLAIN_KEY


def block(key: bytes, data: bytes) -> bytes:
    """One AES block."""
    return Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(data)


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=False))


def ghash(h: bytes, data: bytes) -> bytes:
    """NIST SP 800-38D, 6.4, bit by bit."""
    y, hash_key = 0, int.from_bytes(h)
    for start in range(0, len(data), 16):
        x, v, z = y ^ int.from_bytes(data[start : start + 16]), hash_key, 0
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                z ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
        y = z
    return y.to_bytes(16)


def padded16(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


def gcm(key: bytes, nonce: bytes, plain: bytes, extra: bytes) -> bytes:
    """Ciphertext and tag for a nonce that is not 12 bytes long (so it is hashed)."""
    assert len(nonce) == 16
    h = block(key, bytes(16))
    first = ghash(h, padded16(nonce) + bytes(8) + struct.pack(">Q", len(nonce) * 8))
    counter, out = int.from_bytes(first[12:]), b""
    for number, start in enumerate(range(0, len(plain), 16), 1):
        stream = block(key, first[:12] + struct.pack(">I", (counter + number) & 0xFFFFFFFF))
        out += xor(plain[start : start + 16], stream)
    sizes = struct.pack(">QQ", len(extra) * 8, len(out) * 8)
    return out + xor(ghash(h, padded16(extra) + padded16(out) + sizes), block(key, first))


def cbc(key: bytes, iv: bytes, plain: bytes) -> bytes:
    padding = 16 - len(plain) % 16
    data, out, last = plain + bytes([padding]) * padding, b"", iv
    for start in range(0, len(data), 16):
        last = block(key, xor(data[start : start + 16], last))
        out += last
    return out


def aead_of(count: int, chunk: int, iv: bytes) -> str:
    text = '{"aeadversion":1,"chunkcount":%d,"chunksize":%d,"iv":"%s","aeadterminator":1}'
    return text % (count, chunk, base64.b64encode(iv).decode())


def gcm_file(size: int, chunk: int) -> FileCrypto:
    return FileCrypto(KEY, GCM, chunk, size, IV12, aead_of(-(-size // chunk), chunk, IV12).encode())


def pieces(data: bytes, chunk: int) -> list[bytes]:
    return [data[start : start + chunk] for start in range(0, len(data), chunk)]


def test_the_aead_text_to_the_letter() -> None:
    expected = '{"aeadversion":1,"chunkcount":3,"chunksize":5242880,"iv":"ABEiM0RVZneImaq7","aeadterminator":1}'
    assert crypto.aead_text(3, 5242880, IV12) == expected == aead_of(3, 5242880, IV12)


def test_version_3_step_by_step() -> None:
    data = bytes(range(77))
    file = gcm_file(77, 32)
    extra = aead_of(3, 32, IV12).encode()
    for index, plain in enumerate(pieces(data, 32)):
        nonce = IV12 + bytes([index, 0, 0, 0])
        stored = nonce + gcm(KEY, nonce, plain, extra)
        assert file.encrypt(index, plain) == stored
        assert file.decrypt(index, memoryview(bytearray(stored))) == plain


def test_the_counter_is_little_endian() -> None:
    file = gcm_file(0x010203 + 1, 1)
    assert file.encrypt(0x010203, b"x")[:16] == IV12 + b"\x03\x02\x01\x00"


@pytest.mark.parametrize("version", [OLD, CBC])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 32, 33, 48, 70])
def test_versions_0_and_1_step_by_step(version: KeyVersion, size: int) -> None:
    data = bytes(range(size))
    file = FileCrypto(KEY, version, 32, size, bytes(16), b"")
    for index, plain in enumerate(pieces(data, 32)):
        iv = bytes([index]) * 16
        assert file.decrypt(index, iv + cbc(KEY, iv, plain)) == plain
        stored = file.encrypt(index, plain)
        assert stored[16:] == cbc(KEY, stored[:16], plain)
        assert stored[:16] != file.encrypt(index, plain)[:16], "each chunk has an IV of its own"


def test_keys() -> None:
    salt = base64.b64encode(bytes(range(24))).decode()
    assert len(salt) == 32
    password = "correct horse ü".encode()
    last = hmac.new(password, salt.encode("ascii") + b"\x00\x00\x00\x01", "sha256").digest()
    total = int.from_bytes(last)
    for _ in range(999):
        last = hmac.new(password, last, "sha256").digest()
        total ^= int.from_bytes(last)
    for version in (CBC, GCM):
        assert crypto.derive_key(password, CryptoParams(version, salt, 1000)) == total.to_bytes(32)
    assert crypto.derive_key(password, CryptoParams(OLD, "", 0)) == hashlib.sha256(password).digest()


@pytest.mark.parametrize("rounds", [-1, 0, 10_000_001, 2**63])
def test_absurd_iterations_are_refused(rounds: int) -> None:
    with pytest.raises(ProtocolError, match="10,000,000"):
        crypto.derive_key(b"x", CryptoParams(GCM, "s" * 32, rounds))


@pytest.mark.parametrize("salt", ["", "s" * 5000])
def test_absurd_salts_are_refused(salt: str) -> None:
    with pytest.raises(ProtocolError, match="salt"):
        crypto.derive_key(b"x", CryptoParams(GCM, salt, 1))


def test_passwords() -> None:
    assert crypto.password_bytes(" pä ", 1, "none") == b" p\xc3\xa4 "
    made = crypto.generate_password()
    assert len(made) == 44
    assert crypto.password_bytes(f" {made}\n", 2, "base64") == base64.b64decode(made)
    assert len(base64.b64decode(made)) == 32
    assert made != crypto.generate_password()
    assert len(base64.b64decode(crypto.new_client_entropy())) == 32
    assert len(crypto.new_salt()) == 32 == len(crypto.new_salt().encode("ascii"))


@pytest.mark.parametrize("typed", ["", "hunter2", "AAAA", "é" * 44, base64.b64encode(bytes(33)).decode()])
def test_a_typed_text_is_no_generated_password(typed: str) -> None:
    with pytest.raises(DecryptionError) as caught:
        crypto.password_bytes(typed, 2, "base64")
    assert not typed or typed not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(("version", "encoding"), [(2, "ascii85"), (3, "base64"), (0, "none")])
def test_unknown_password_forms(version: int, encoding: str) -> None:
    with pytest.raises(ProtocolError):
        crypto.password_bytes("x", version, encoding)


def test_layout_by_the_spec() -> None:
    """Three chunks of 5 MiB, the last of 1000 bytes; expectations by the formulas of §10.3 and §10.6."""
    chunk, last = 5 * 2**20, 1000
    size = 2 * chunk + last
    v3, v1 = ChunkLayout(GCM, chunk, size), ChunkLayout(CBC, chunk, size)
    assert v3.chunk_count == v1.chunk_count == 3
    assert v3.stored_size == size + 32 * 3
    assert v1.stored_size == size + 32 * 2 + 16 + (16 - last % 16)
    assert [v3.wire_range(index).header for index in range(3)] == [
        f"bytes=0-{chunk + 31}",
        f"bytes={chunk}-{2 * chunk + 31}",
        f"bytes={2 * chunk}-{size + 31}",
    ]
    assert v1.wire_range(2).header == f"bytes={2 * chunk}-{2 * chunk + last + 32 - last % 16 - 1}"
    assert v1.wire_range(0) == v3.wire_range(0)
    full = ChunkLayout(CBC, chunk, 2 * chunk)
    assert full.wire_range(1).header == f"bytes={chunk}-{chunk + chunk + 32 - 1}"
    single = ChunkLayout(OLD, chunk, 5)
    assert single.stored_size == 32
    assert single.wire_range(0).header == "bytes=0-31"


@pytest.mark.parametrize("version", list(KeyVersion))
def test_an_empty_file_has_no_chunks(version: KeyVersion) -> None:
    file = crypto.new_file_crypto(KEY, 0, 5 * 2**20, version)
    assert (file.chunk_count, file.stored_size, file.authenticates) == (0, 0, False)
    assert file.layout.stored_range(ByteRange(0, 10)) == ByteRange(0, 0)
    with pytest.raises(IndexError):
        file.wire_range(0)


def sizes() -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.sampled_from([16, 32, 48, 160]), st.integers(0, 500))


@given(st.sampled_from(list(KeyVersion)), sizes())
def test_the_stored_file_is_its_chunks(version: KeyVersion, sizes: tuple[int, int]) -> None:
    chunk, size = sizes
    layout = ChunkLayout(version, chunk, size)
    end = 0
    for index in range(layout.chunk_count):
        wire = layout.wire_range(index)
        assert layout.stored_offset(index) == end
        assert layout.stored_range(wire) == ByteRange(end, end + layout.stored_length(index))
        assert wire.start == index * chunk
        assert len(wire) == layout.stored_length(index) == layout.stored_for(layout.plain_length(index))
        end += layout.stored_length(index)
    assert end == layout.stored_size
    assert sum(layout.plain_length(index) for index in range(layout.chunk_count)) == size


@given(st.sampled_from(list(KeyVersion)), st.sampled_from([16, 32, 48]), st.binary(max_size=200))
def test_round_trip(version: KeyVersion, chunk: int, data: bytes) -> None:
    sent = crypto.new_file_crypto(KEY, len(data), chunk, version)
    stored = b"".join(sent.encrypt(index, plain) for index, plain in enumerate(pieces(data, chunk)))
    assert len(stored) == sent.stored_size
    listed = SharedFile(
        id=1,
        name="x",
        size=len(data),
        transfer_id=1,
        encrypted=True,
        encrypted_size=len(stored),
        key_version=int(version) or None,
        iv=sent.iv_field,
        aead=sent.aead_field,
    )
    got = crypto.open_file_crypto(KEY, listed, chunk)
    parts = [stored[start : start + chunk + 32] for start in range(0, len(stored), chunk + 32)]
    assert b"".join(got.decrypt(index, part) for index, part in enumerate(parts)) == data
    assert got.chunk_count == len(parts)


@given(st.integers(1, 100), st.data())
def test_any_flipped_bit_is_noticed(size: int, data: st.DataObject) -> None:
    file = gcm_file(size, 32)
    index = data.draw(st.integers(0, file.chunk_count - 1))
    stored = bytearray(file.encrypt(index, bytes(file.layout.plain_length(index))))
    bit = data.draw(st.integers(0, len(stored) * 8 - 1))
    stored[bit // 8] ^= 1 << bit % 8
    with pytest.raises(IntegrityError if bit // 8 < 16 else DecryptionError):
        file.decrypt(index, stored)


@given(st.integers(1, 100), st.data())
def test_any_cut_or_addition_is_noticed(size: int, data: st.DataObject) -> None:
    for file in (gcm_file(size, 32), FileCrypto(KEY, CBC, 32, size, bytes(16), b"")):
        index = data.draw(st.integers(0, file.chunk_count - 1))
        stored = file.encrypt(index, bytes(file.layout.plain_length(index)))
        wrong = stored[: data.draw(st.integers(0, len(stored) - 1))]
        for other in (wrong, stored + b"\0", stored + bytes(16)):
            with pytest.raises(IntegrityError) as caught:
                file.decrypt(index, other)
            assert (caught.value.expected, caught.value.got) == (f"{len(stored)} bytes", f"{len(other)} bytes")


def test_swapped_chunks_are_noticed() -> None:
    file = gcm_file(96, 32)
    stored = [file.encrypt(index, bytes([index]) * 32) for index in range(3)]
    with pytest.raises(IntegrityError, match="another chunk"):
        file.decrypt(0, stored[1])
    forged = stored[0][:16] + stored[1][16:]
    with pytest.raises(DecryptionError):
        file.decrypt(0, forged)
    other = crypto.new_file_crypto(KEY, 96, 32)
    with pytest.raises(IntegrityError, match="of another file"):
        other.decrypt(0, stored[0])


def test_a_cut_file_cannot_be_opened() -> None:
    """A server that drops the last chunk would have to change the AEAD text, and then nothing decrypts."""
    whole = gcm_file(96, 32)
    with pytest.raises(ProtocolError, match="3 chunks by its AEAD text, 2 by its size"):
        FileCrypto(KEY, GCM, 32, 64, IV12, whole.aead)
    forged = FileCrypto(KEY, GCM, 32, 64, IV12, aead_of(2, 32, IV12).encode())
    with pytest.raises(DecryptionError):
        forged.decrypt(0, whole.encrypt(0, bytes(32)))


@pytest.mark.parametrize("version", list(KeyVersion))
def test_a_wrong_password(version: KeyVersion) -> None:
    """AES-CBC has only its padding: a wrong key passes once in 256 times, so the key here is one that does not."""
    file = crypto.new_file_crypto(KEY, 40, 32, version)
    stored = file.encrypt(1, bytes(8)) if version is GCM else bytes(16) + cbc(KEY, bytes(16), bytes(8))
    with pytest.raises(DecryptionError) as caught:
        replace_key(file, bytes(32)).decrypt(1, stored)
    assert caught.value.exit_code is ExitCode.AUTHENTICATION
    assert not caught.value.retryable
    assert "password" in str(caught.value)


def replace_key(file: FileCrypto, key: bytes) -> FileCrypto:
    return FileCrypto(key, file.key_version, file.chunk_size, file.size, file.iv, file.aead)


@pytest.mark.parametrize("tail", [0, 17, 255])
def test_impossible_padding(tail: int) -> None:
    blocks = bytes(15) + bytes([tail])
    first = block(KEY, blocks)  # the IV is zero
    with pytest.raises(DecryptionError):
        FileCrypto(KEY, CBC, 32, 5, bytes(16), b"").decrypt(0, bytes(16) + first)


def test_good_padding_of_another_length() -> None:
    """Decrypts well, but not to this chunk's length."""
    with pytest.raises(DecryptionError):
        FileCrypto(KEY, CBC, 32, 5, bytes(16), b"").decrypt(0, bytes(16) + cbc(KEY, bytes(16), b"seven77"))


GOOD = SharedFile(
    id=1,
    name="x",
    size=70,
    transfer_id=1,
    encrypted=True,
    encrypted_size=70 + 96,
    key_version=3,
    salt="s" * 32,
    password_version=1,
    password_encoding="none",
    iterations=1000,
    iv=base64.b64encode(IV12).decode(),
    aead=base64.b64encode(aead_of(3, 32, IV12).encode()).decode(),
)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_what_a_server_lists_is_opened() -> None:
    file = crypto.open_file_crypto(KEY, GOOD)
    assert file.decrypt(2, gcm_file(70, 32).encrypt(2, b"abcdef")) == b"abcdef"
    assert crypto.params_of(GOOD) == CryptoParams(GCM, "s" * 32, 1000)
    other_site = replace(GOOD, chunk_size=64)
    assert crypto.open_file_crypto(KEY, other_site).chunk_size == 32, "the authenticated text counts"


@pytest.mark.parametrize(
    "listed",
    [
        replace(GOOD, key_version=2),
        replace(GOOD, key_version=4),
        replace(GOOD, size=64, encrypted_size=0),
        replace(GOOD, size=97, encrypted_size=0),
        replace(GOOD, size=0, encrypted_size=0),
        replace(GOOD, encrypted_size=70 + 64),
        replace(GOOD, iv=b64("x" * 12)),
        replace(GOOD, iv=base64.b64encode(IV12 + b"1234").decode()),
        replace(GOOD, iv="***"),
        replace(GOOD, iv=""),
        replace(GOOD, aead=""),
        replace(GOOD, aead="é"),
        replace(GOOD, aead="A" * 5000),
        replace(GOOD, aead=b64("[" * 3000)),
        replace(GOOD, aead=b64("[]")),
        replace(GOOD, aead=b64("{}")),
        replace(GOOD, aead=b64(aead_of(3, 32, IV12).replace('"aeadversion":1', '"aeadversion":2'))),
        replace(GOOD, aead=b64(aead_of(3, 32, IV12).replace(',"aeadterminator":1', ""))),
        replace(GOOD, aead=b64(aead_of(3, 32, IV12).replace(":32", ':"32"'))),
        replace(GOOD, aead=b64(aead_of(3, 32, IV12).replace(":32", ":true"))),
        replace(GOOD, aead=b64(aead_of(3, 32, IV12).replace(":32", ":32.0"))),
        replace(GOOD, aead=b64(aead_of(3, -32, IV12))),
        replace(GOOD, aead=b64(aead_of(3, 0, IV12))),
        replace(GOOD, aead=b64(aead_of(1, 2**40, IV12))),
        replace(GOOD, aead=b64(aead_of(10**3000, 32, IV12))),
        replace(GOOD, size=2**33, encrypted_size=0, aead=b64(aead_of(2**33, 1, IV12))),
        replace(GOOD, key_version=1, aead="", chunk_size=None),
        replace(GOOD, key_version=1, aead="", chunk_size=33),
        replace(GOOD, key_version=1, aead="", chunk_size=64),
    ],
)
def test_what_does_not_go_together_is_refused(listed: SharedFile) -> None:
    with pytest.raises(ProtocolError) as caught:
        crypto.open_file_crypto(KEY, listed)
    assert len(str(caught.value)) < 300


def test_only_whole_chunks_are_encrypted() -> None:
    file = gcm_file(70, 32)
    for index, length in ((0, 31), (0, 33), (2, 32), (2, 0)):
        with pytest.raises(ValueError, match="were given"):
            file.encrypt(index, bytes(length))
    for index in (-1, 3):
        with pytest.raises(IndexError):
            file.encrypt(index, b"")
        with pytest.raises(IndexError):
            file.decrypt(index, b"")


def test_new_files_have_ivs_of_their_own() -> None:
    made = [crypto.new_file_crypto(KEY, 70, 32) for _ in range(50)]
    assert len({file.iv for file in made}) == 50
    for file in made:
        assert json.loads(base64.b64decode(file.aead_field)) == {
            "aeadversion": 1,
            "chunkcount": 3,
            "chunksize": 32,
            "iv": file.iv_field,
            "aeadterminator": 1,
        }
        assert base64.b64decode(file.iv_field) == file.iv


def test_a_key_is_never_shown() -> None:
    assert KEY.hex() not in repr(gcm_file(5, 32))
    assert repr(KEY) not in repr(gcm_file(5, 32))


def test_threads_share_one_cipher() -> None:
    data = bytes(1000) * 64
    file = gcm_file(len(data), 1000)
    with ThreadPoolExecutor(8) as pool:
        stored = list(pool.map(lambda index: file.encrypt(index, bytes(1000)), range(64)))
        plain = list(pool.map(lambda index: file.decrypt(index, stored[index]), range(64)))
    assert b"".join(plain) == data
    assert len(set(stored)) == 64


@pytest.mark.parametrize("version", list(KeyVersion))
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_buffer(version: KeyVersion, kind: type) -> None:
    file = crypto.new_file_crypto(KEY, 40, 32, version)
    stored = file.encrypt(1, kind(b"8 bytes!"))
    assert type(stored) is bytes
    plain = file.decrypt(1, kind(stored))
    assert type(plain) is bytes
    assert plain == b"8 bytes!"
