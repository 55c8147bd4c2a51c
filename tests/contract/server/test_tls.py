"""The server over TLS: it says https, and its cookie says Secure."""

from __future__ import annotations

import datetime as dt
import ipaddress
import random
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from packhorse.errors import SettingsError
from packhorse.server.config import ServerConfig
from packhorse.server.run import serve

from .conftest import end, start
from .filesender.conftest import CHUNK, Fs


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "packhorse test")])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key_path.write_bytes(key.private_bytes(encoding, form, serialization.NoEncryption()))
    return cert_path, key_path


def test_https(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    process, ready = start(tmp_path / "home", "--demo", "--tls-cert", str(cert), "--tls-key", str(key))
    try:
        assert ready["url"].startswith("https://127.0.0.1:")
        body = {"username": "demo", "password": ready["users"][0]["password"]}
        with requests.Session() as http:
            http.trust_env = False
            answer = http.post(ready["url"] + "/api/login", json=body, verify=str(cert), timeout=30)
            assert answer.status_code == 200
            assert "secure" in answer.headers["Set-Cookie"].lower().replace("flow_refresh_token", "")
            renewed = http.get(ready["url"] + "/api/token", verify=str(cert), timeout=30)
            assert renewed.status_code == 200
    finally:
        code, _, _ = end(process)
    assert code == 0


def test_chunks_over_https(tmp_path: Path) -> None:
    """Bodies are read into memory from a TLS connection too, one request after another."""
    cert, key = certificate(tmp_path)
    process, ready = start(tmp_path / "home", "--demo", "--tls-cert", str(cert), "--tls-key", str(key))
    try:
        fs = Fs(ready["url"], "demo", ready["users"][0]["filesender_api_key"])
        fs.http.verify = str(cert)
        data = random.Random(1).randbytes(3 * CHUNK + 7)
        made = fs.new({"x": len(data)})
        fs.upload(made["files"][0], data)
        assert fs.complete(made["files"][0]).json() is True
        fs.ok("PUT", f"/transfer/{made['id']}", {"complete": True})
        assert fs.fetch(made).content == data
        fs.http.close()
    finally:
        code, _, _ = end(process)
    assert code == 0


def test_a_certificate_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nonsense")
    with pytest.raises(SettingsError):
        serve(ServerConfig(home=tmp_path / "h", port=0, tls_cert=tmp_path / "cert.pem"), demo=False, ready_json=False)
    config = ServerConfig(home=tmp_path / "h", port=0, tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "cert.pem")
    with pytest.raises(SettingsError):
        serve(config, demo=False, ready_json=False)
