"""The engine's pool: a thread that hangs does not keep the process from ending."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from packhorse.transfer.threads import DaemonPool


@pytest.mark.parametrize("how", ["Engine.shared().pool.submit(time.sleep, 60)", "Engine.shared().run(nap())"])
def test_a_hanging_thread_does_not_keep_the_process(how: str) -> None:
    code = f"""
import asyncio, threading, time
from packhorse.transfer.engine import Engine
async def nap():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 60)
{how}
time.sleep(0.2)
assert any(thread.name.startswith("packhorse-work") for thread in threading.enumerate())
"""
    started = time.monotonic()
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=50)
    assert time.monotonic() - started < 30


def test_as_many_threads_as_are_needed_and_no_more() -> None:
    pool = DaemonPool(3, "few")
    together = threading.Barrier(3)
    assert {future.result(10) for future in [pool.submit(together.wait) for _ in range(3)]} == {0, 1, 2}
    names = {future.result(10) for future in [pool.submit(lambda: threading.current_thread().name) for _ in range(50)]}
    assert names <= {"few-1", "few-2", "few-3"}
    pool.shutdown()
    with pytest.raises(RuntimeError):
        pool.submit(print)


def test_errors_and_cancelled_work() -> None:
    pool = DaemonPool(1, "one")
    go = threading.Event()
    first = pool.submit(go.wait, 10)
    failing, never = pool.submit(int, "x"), pool.submit(print)
    assert never.cancel()
    go.set()
    assert first.result(10)
    with pytest.raises(ValueError, match="invalid literal"):
        failing.result(10)
    go.clear()
    busy, waiting = pool.submit(go.wait, 10), pool.submit(print)
    time.sleep(0.05)
    pool.shutdown(wait=False, cancel_futures=True)
    assert waiting.cancelled()
    go.set()
    assert busy.result(10)
    pool.shutdown()
