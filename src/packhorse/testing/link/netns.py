"""A real emulated link: two network namespaces joined by TUN devices, and a forwarder in user space between them.

Any program runs on it unchanged, with the kernel's own TCP at both ends. Linux only, as root, with ``/dev/net/tun`` and
iproute2's ``ip``; nothing outside the two namespaces is touched, and both go away with the link, even if the process
that made it is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

Side = Literal["client", "server"]

CLIENT_ADDRESS = "10.77.0.1"
SERVER_ADDRESS = "10.77.0.2"

_TUNSETIFF = 0x400454CA
_TUNSETOFFLOAD = 0x400454D0
_TUNSETVNETHDRSZ = 0x400454D8
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
_OFFLOADS = 0x01 | 0x02  # TUN_F_CSUM, TUN_F_TSO4


@dataclass(frozen=True)
class WayStats:
    """Counts of one way; ``octets`` include IP and TCP headers.

    ``segments`` were sent on as ``frames``; ``lost`` at random, ``overflowed`` at the queue's end, ``refused`` by the
    receiving device.
    """

    frames: int
    segments: int
    octets: int
    lost: int
    overflowed: int
    refused: int


@dataclass(frozen=True)
class LinkStats:
    """Counts of both ways: ``up`` from client to server, ``down`` back."""

    up: WayStats
    down: WayStats


class NetnsLink:
    """Two namespaces, ``client`` and ``server``, joined by a link. Use it as a context manager.

    ``rtt_ms``: round trip, half each way. ``rate_mbit``: megabits/s each way (0: no limit). ``loss``: probability for
    every packet of the MTU, each way, drawn from ``seed``. ``queue_kib``: the queue before the bottleneck, dropped from
    its tail (None: what the rate carries in one round trip, at least 64 KiB). ``congestion``: TCP congestion control in
    both namespaces (None: the machine's default). ``mtu``: of both devices. ``offload``: let the kernel hand over TCP
    super-packets of up to 1 ms of the rate (loss is drawn per MTU packet all the same); without it Python carries each
    packet by itself, about ten times slower. ``tcp_buffer_kib``: the most that TCP may buffer for a connection at
    either end (``tcp_rmem``, ``tcp_wmem``; None: the machine's, often 4 MiB to send, with which one connection carries
    about 430 Mbit/s at 50 ms).

    Measured on two shared cores with curl: 5 to 8 Gbit/s without a limit of rate, 1.6 Gbit/s without offload.

    Raises RuntimeError when the link cannot be made (see `available`).
    """

    client_address = CLIENT_ADDRESS
    server_address = SERVER_ADDRESS

    def __init__(
        self,
        *,
        rtt_ms: float = 50.0,
        rate_mbit: float = 1000.0,
        loss: float = 0.0,
        queue_kib: float | None = None,
        congestion: str | None = None,
        mtu: int = 1500,
        offload: bool = True,
        tcp_buffer_kib: int | None = None,
        seed: int = 0,
    ) -> None:
        mark = f"{os.getpid():x}-{secrets.token_hex(3)}"
        self.namespaces: dict[Side, str] = {"client": f"phl-{mark}-c", "server": f"phl-{mark}-s"}
        self._mark = secrets.token_hex(4)
        rate = rate_mbit * 125_000
        queue = max(rate * rtt_ms / 1000, 65536.0) if queue_kib is None else queue_kib * 1024
        self._gso = int(min(65536, rate / 1000)) if rate else 65536
        self._offload = offload and self._gso >= 2 * mtu
        self._shape = {"delay": rtt_ms / 2000, "rate": rate, "queue": queue, "loss": loss, "seed": seed}
        self._congestion, self._mtu, self._tcp_buffer = congestion, mtu, tcp_buffer_kib
        self._forwarder: subprocess.Popen[str] | None = None
        self._started: list[subprocess.Popen[Any]] = []

    @staticmethod
    def available() -> str | None:
        """Say why such a link cannot run here, or None if it can."""
        if sys.platform != "linux":
            return "an emulated link needs Linux"
        if shutil.which("ip") is None:
            return "an emulated link needs iproute2: apt-get install iproute2"
        if os.geteuid() != 0:
            return "an emulated link needs root, to make network namespaces"
        try:
            os.close(os.open("/dev/net/tun", os.O_RDWR))
        except OSError as error:
            return f"an emulated link needs /dev/net/tun: {error.strerror}"
        probe = f"phl-probe-{secrets.token_hex(4)}"
        made = subprocess.run(["ip", "netns", "add", probe], check=False, capture_output=True, text=True)  # noqa: S603, S607
        if made.returncode:
            return f"an emulated link needs network namespaces: {made.stderr.strip()}"
        subprocess.run(["ip", "netns", "delete", probe], check=False, capture_output=True)  # noqa: S603, S607
        return None

    # -- life ------------------------------------------------------------------------------------------------------

    def start(self) -> Self:
        """Make namespaces, devices and forwarder; leaves nothing behind if that fails."""
        if reason := self.available():
            raise RuntimeError(reason)
        descriptors: list[int] = []
        try:
            for side, address in (("client", CLIENT_ADDRESS), ("server", SERVER_ADDRESS)):
                descriptors.append(self._device("client" if side == "client" else "server", address))
            self._forward(descriptors)
        except BaseException:
            self.close()
            raise
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return self

    def close(self) -> None:
        """End the programs that were started on the link and have not ended, then the link itself."""
        for process in self._started:
            if process.poll() is None:
                process.terminate()
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            if process.poll() is None:
                process.kill()
                process.wait()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        self._started.clear()
        if self._forwarder is not None:
            with self._forwarder as forwarder:  # closes its standard input, at which it ends
                self._forwarder = None
                if forwarder.stdin:
                    forwarder.stdin.close()
                try:
                    forwarder.wait(10)
                except subprocess.TimeoutExpired:
                    forwarder.kill()
        for name in self.namespaces.values():
            if Path("/run/netns", name).exists():
                _ip("netns", "delete", name)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- use -------------------------------------------------------------------------------------------------------

    def command(self, argv: Sequence[str], side: Side = "client") -> list[str]:
        """The command line that runs ``argv`` in one of the namespaces (the program keeps its process id)."""
        return [_ip_program(), "netns", "exec", self.namespaces[side], *argv]

    def run(self, argv: Sequence[str], side: Side = "client", **options: Any) -> subprocess.CompletedProcess[Any]:
        """`subprocess.run` in a namespace."""
        return subprocess.run(self.command(argv, side), **options)  # noqa: S603, PLW1510 - the caller's options decide

    def popen(self, argv: Sequence[str], side: Side = "server", **options: Any) -> subprocess.Popen[Any]:
        """`subprocess.Popen` in a namespace; what is still running is ended with the link."""
        process = subprocess.Popen(self.command(argv, side), **options)  # noqa: S603
        self._started.append(process)
        return process

    def stats(self) -> LinkStats:
        """Counts so far."""
        if self._forwarder is None or not self._forwarder.stdin or not self._forwarder.stdout:
            raise RuntimeError("the link is not running")
        self._forwarder.stdin.write("stats\n")
        self._forwarder.stdin.flush()
        up, down = json.loads(self._forwarder.stdout.readline())
        return LinkStats(WayStats(**up), WayStats(**down))

    def set_congestion(self, name: str, side: Side | None = None) -> None:
        """Set TCP congestion control (``reno``, ``bbr`` …) for new connections in one namespace or both.

        Raises RuntimeError when the kernel refuses: a namespace may only use what
        ``net.ipv4.tcp_allowed_congestion_control`` of the machine lists.
        """
        for one in (side,) if side else self.namespaces:
            self._sysctl(one, "tcp_congestion_control", name)

    # -- making it -------------------------------------------------------------------------------------------------

    def _device(self, side: Side, address: str) -> int:
        import fcntl

        namespace, device = self.namespaces[side], f"ph{side[0]}{self._mark}"
        _ip("netns", "add", namespace)
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            flags = _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR
            fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", device.encode(), flags))
            fcntl.ioctl(descriptor, _TUNSETVNETHDRSZ, struct.pack("i", 10))
            fcntl.ioctl(descriptor, _TUNSETOFFLOAD, _OFFLOADS if self._offload else 0)
            _ip("link", "set", "dev", device, "netns", namespace)
            limits = ["gso_max_size", str(self._gso)] if self._offload and self._gso < 65536 else []
            # A long queue: packets dropped for want of the forwarder's attention would be a loss that nobody set.
            _ip("-n", namespace, "link", "set", "dev", device, "mtu", str(self._mtu), "txqueuelen", "10000", *limits)
            _ip("-n", namespace, "addr", "add", f"{address}/30", "dev", device)
            for name in ("lo", device):
                _ip("-n", namespace, "link", "set", "dev", name, "up")
            self._sysctl(side, "tcp_no_metrics_save", "1")  # one run must not teach the next
            if self._tcp_buffer:
                most = self._tcp_buffer * 1024
                self._sysctl(side, "tcp_rmem", f"4096 131072 {most}")
                self._sysctl(side, "tcp_wmem", f"4096 16384 {most}")
            if self._congestion:
                self._sysctl(side, "tcp_congestion_control", self._congestion)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _forward(self, descriptors: list[int]) -> None:
        names = list(self.namespaces.values())
        options = {
            **self._shape,
            "up": descriptors[0],
            "down": descriptors[1],
            "namespaces": names,
            "ip": _ip_program(),
        }
        self._forwarder = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "packhorse.testing.link.forwarder", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=descriptors,
            start_new_session=True,  # Ctrl-C is the parent's: the link goes when standard input ends
            text=True,
        )
        if not self._forwarder.stdout or self._forwarder.stdout.readline() != "ready\n":
            raise RuntimeError("the link's forwarder did not start")

    def _sysctl(self, side: Side, name: str, value: str) -> None:
        script = f"echo {value} > /proc/sys/net/ipv4/{name}"
        done = self.run(["sh", "-c", script], side, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"the kernel refused net.ipv4.{name}={value} in a namespace: {done.stderr.strip()}")


def _ip_program() -> str:
    return shutil.which("ip") or "/usr/sbin/ip"


def _ip(*arguments: str) -> None:
    done = subprocess.run([_ip_program(), *arguments], check=False, capture_output=True, text=True)  # noqa: S603
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
