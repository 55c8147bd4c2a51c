"""The emulated lines delay, pace and lose as told, and leave nothing behind."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packhorse.testing.faults import Cut, FaultServer, GeneratedFile, Reset, Schedule
from packhorse.testing.link import LinkProxy, NetnsLink

from .clients import get

REASON = NetnsLink.available()
needs_netns = pytest.mark.skipif(REASON is not None, reason=REASON or "")
FILE = GeneratedFile(2_000_000, 8)

FETCH = """
import hashlib, http.client, json, sys, time
began = time.monotonic()
connection = http.client.HTTPConnection(sys.argv[1], int(sys.argv[2]), timeout=20)
connection.connect()
connected = time.monotonic() - began
connection.request("GET", "/file0.bin")
body = connection.getresponse().read()
print(json.dumps([connected, time.monotonic() - began, hashlib.sha256(body).hexdigest()]))
"""


def fetch(link: NetnsLink, size: int) -> tuple[float, float, bool]:
    """Connect time, total time, and whether the bytes were right."""
    argv = [sys.executable, "-m", "packhorse.testing.faults", "--until-eof", "--no-send-buffer"]
    argv += ["--schedule", "none", "--files", "1", "--size", str(size), "--host", link.server_address, "--port", "8080"]
    server = link.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ready = json.loads(server.stdout.readline())
    done = link.run(
        [sys.executable, "-c", FETCH, link.server_address, "8080"], capture_output=True, text=True, check=True
    )
    connect, total, digest = json.loads(done.stdout)
    return connect, total, digest == ready["sha256"]["file0.bin"]


def left_behind(link: NetnsLink) -> list[str]:
    return [name for name in link.namespaces.values() if Path("/run/netns", name).exists()]


# -- two namespaces --------------------------------------------------------------------------------------------------


@needs_netns
def test_round_trip_and_rate() -> None:
    with NetnsLink(rtt_ms=60, rate_mbit=80) as link:
        connect, total, right = fetch(link, 2_000_000)
        stats = link.stats()
    assert right
    # Never faster than it should be; how much slower a busy machine makes it is no fault of the line.
    assert 0.060 <= connect < 0.300
    assert 0.060 * 2 + 2_000_000 / 10_000_000 <= total < 4.0
    assert stats.down.lost == stats.up.lost == 0
    assert stats.down.octets > 2_000_000
    assert left_behind(link) == []


@needs_netns
@pytest.mark.parametrize("offload", [True, False])
def test_loss_loses_packets_and_the_transfer_is_right(offload: bool) -> None:
    with NetnsLink(rtt_ms=4, loss=0.02, offload=offload, congestion="bbr") as link:
        _, _, right = fetch(link, 4_000_000)
        down = link.stats().down
    assert right
    assert 15 < down.lost < 150  # 2 % of some 2,800 packets
    assert down.segments > 2700


@needs_netns
def test_congestion_control_of_a_side() -> None:
    with NetnsLink(congestion="reno") as link:
        link.set_congestion("bbr", "server")
        names = [
            link.run(["cat", "/proc/sys/net/ipv4/tcp_congestion_control"], side, capture_output=True, text=True).stdout
            for side in ("client", "server")
        ]
        with pytest.raises(RuntimeError, match="refused"):
            link.set_congestion("no-such-thing")
    assert names == ["reno\n", "bbr\n"]


@needs_netns
def test_an_exception_leaves_nothing_behind() -> None:
    with pytest.raises(ZeroDivisionError), NetnsLink() as link:  # noqa: PT012
        sleeper = link.popen(["sleep", "60"])
        raise ZeroDivisionError
    assert sleeper.returncode == -signal.SIGTERM
    assert left_behind(link) == []
    with pytest.raises(RuntimeError, match="refused"):
        NetnsLink(congestion="no-such-thing").start()
    assert not [name for name in os.listdir("/run/netns") if name.startswith(f"phl-{os.getpid():x}-")]


@needs_netns
def test_a_killed_parent_leaves_nothing_behind() -> None:
    script = "import time; from packhorse.testing.link import NetnsLink; link = NetnsLink().start()\n"
    script += "print(*link.namespaces.values(), flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        names = parent.stdout.readline().split()
        assert all(Path("/run/netns", name).exists() for name in names)
        parent.kill()
    until = time.monotonic() + 5
    while any(Path("/run/netns", name).exists() for name in names) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(Path("/run/netns", name).exists() for name in names)


@needs_netns
def test_the_command_runs_a_command() -> None:
    argv = [sys.executable, "-m", "packhorse.testing.link", "--rtt-ms", "1", "--size", "1000", "--", "sh", "-c"]
    done = subprocess.run([*argv, 'echo "{url}"; exit 3'], check=False, capture_output=True, text=True, timeout=20)
    assert done.returncode == 3
    assert "http://10.77.0.2:" in done.stdout
    assert "exit 3 after" in done.stdout


def test_available_names_a_reason_for_the_unprivileged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "Linux" in (NetnsLink.available() or "") or "apt-get install iproute2" in (NetnsLink.available() or "")
    with pytest.raises(RuntimeError, match="needs"):
        NetnsLink().start()


# -- proxy -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[FaultServer]:
    with FaultServer({"a": FILE, "small": b"x"}) as running:
        yield running


def test_proxy_delays_by_a_round_trip_for_handshake_and_one_for_the_answer(server: FaultServer) -> None:
    with LinkProxy(server.address, rtt_ms=80) as link:
        connection = http.client.HTTPConnection(*link.address, timeout=10)
        times = []
        for _ in range(2):
            began = time.monotonic()
            connection.request("GET", "/small")
            assert connection.getresponse().read() == b"x"
            times.append(time.monotonic() - began)
        connection.close()
    assert 0.16 <= times[0] < 0.25
    assert 0.08 <= times[1] < 0.15


def test_proxy_shares_its_rate_and_keeps_the_bytes(server: FaultServer) -> None:
    with LinkProxy(server.address, rtt_ms=4, rate_mbit=40, loss=0.001, window_kib=64) as link:
        began = time.monotonic()
        assert hashlib.sha256(get(link.url).body).hexdigest() == FILE.sha256
        took = time.monotonic() - began
        assert link.octets[1] > FILE.size
    assert 0.4 <= took < 3


def test_proxy_passes_cuts_and_resets_on() -> None:
    with (
        FaultServer({"a": FILE}, Schedule.of(Cut(100_000))) as server,
        LinkProxy(server.address, rtt_ms=4) as link,
    ):
        got = get(link.url)
        assert (got.broken, got.body) == (True, FILE.read(0, 100_000))
    with (
        FaultServer({"a": FILE}, Schedule.of(Reset(100_000))) as server,
        LinkProxy(server.address, rtt_ms=4) as link,
        socket.create_connection(link.address, timeout=10) as sock,
    ):
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        with pytest.raises(ConnectionResetError):  # noqa: PT012
            while sock.recv(65536):
                pass


def test_proxy_to_nowhere_and_an_early_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    with LinkProxy(("127.0.0.1", port)) as link, pytest.raises(OSError):
        get(link.url)
    with (
        FaultServer({"a": GeneratedFile(64 << 20)}) as server,
        LinkProxy(server.address, rate_mbit=1) as link,
        socket.create_connection(link.address, timeout=10) as sock,
    ):
        sock.sendall(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        sock.recv(10)
        began = time.monotonic()
        link.close()
        assert time.monotonic() - began < 1
