"""One timed run: started as ``python -I -S launch.py`` for each, with the run as JSON on standard input.

A process of its own, small and without imports, because a child's peak memory (``ru_maxrss``) is never less than that
of the process it was started from: the benchmark's own memory would be counted as the client's. Prints one JSON line:
``wall`` to the end of ``sync -f``, ``client`` to the end of the commands (s), ``user`` and ``system`` (CPU s of the
commands and all their children), ``rss`` (bytes, the largest process), ``codes`` (exit codes; -1000: timed out).
"""

import json
import mmap
import os
import resource
import signal
import sys
import time

PAGE = 4096
TIMED_OUT = -1000


def touch(size: int) -> None:
    """Have and free ``size`` bytes of memory, in a child of ours.

    A virtual machine gives free memory back to its host; the first use of such a page afterwards is slow, and would be
    slow for whichever client comes first.
    """
    child = os.fork()
    if child == 0:
        status = 1
        try:
            area = mmap.mmap(-1, size)
            for at in range(0, size, PAGE):
                area[at] = 1
            status = 0
        finally:
            os._exit(status)
    os.waitpid(child, 0)


def run(argv: list[str], environment: dict[str, str], log: str, seconds: float) -> tuple[int, resource.struct_rusage]:
    """Run one command in a session of its own, ended after ``seconds``."""
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    late = []
    child = os.posix_spawnp(argv[0], argv, environment, file_actions=actions, setsid=True)

    def end(*_: object) -> None:
        late.append(True)
        os.killpg(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, max(0.01, seconds))
    try:
        _, status, usage = os.wait4(child, 0)
    except BaseException:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return (TIMED_OUT if late else os.waitstatus_to_exitcode(status)), usage


def main() -> None:
    job = json.load(sys.stdin)
    if job["touch"]:
        touch(job["touch"])
    deadline = time.monotonic() + job["timeout"]
    user = system = 0.0
    rss = 0
    codes = []
    began = time.monotonic()
    for argv in job["commands"]:
        code, usage = run(argv, job["environment"], job["log"], deadline - time.monotonic())
        codes.append(code)
        user, system, rss = user + usage.ru_utime, system + usage.ru_stime, max(rss, usage.ru_maxrss)
        if code:
            break
    client = time.monotonic() - began
    if job["sync"]:
        code, _ = run(["sync", "-f", job["sync"]], job["environment"], job["log"], 300)
        if code:
            codes.append(code)
    wall = time.monotonic() - began
    print(
        json.dumps({"wall": wall, "client": client, "user": user, "system": system, "rss": rss * 1024, "codes": codes})
    )


main()
