"""A stand-in for ``ascp``: it takes the same arguments and behaves as its mode says. Written from the spec's facts."""

from __future__ import annotations

import sys
from pathlib import Path

_PROGRAM = """#!{python} -IS
import json, os, socket, sys, time
from pathlib import Path

mode = {mode!r}
source = Path({source!r})
record = Path({record!r})
words = sys.argv[1:]
if os.environ.get("ASCP_STANDIN_MODE"):
    mode = os.environ["ASCP_STANDIN_MODE"]
with record.open("a") as file:
    file.write(json.dumps({{"argv": words, "env": dict(os.environ), "pid": os.getpid(),
                           "stdin": sys.stdin.read() if not sys.stdin.closed else "closed"}}) + "\\n")
key = Path(words[words.index("-i") + 1]).name if "-i" in words else ""
if mode == "flood" or (mode == "rsa only" and "rsa" not in key):
    while True:
        os.write(1, b"Password: ")
if mode == "shout":
    while True:
        os.write(1, b"x" * 65536 + b"\\n")
if mode == "child":
    if os.fork() == 0:
        time.sleep(600)
    time.sleep(600)
if mode == "silent":
    time.sleep(600)
if mode == "closed":
    words = "Failed to open TCP connection for SSH"
    sys.exit("ascp: " + words + ", exiting.\\n\\nSession Stop  (Error: " + words + ")")
pairs = Path(next(word for word in words if word.startswith("--file-pair-list=")).partition("=")[2])
wanted, name = pairs.read_text().splitlines()
folder = Path(words[-1])
talk = socket.create_connection(("127.0.0.1", int(words[words.index("-M") + 1])))
def say(kind, **fields):
    lines = ["FASPMGR 2", "Type: " + kind, *(f"{{k}}: {{v}}" for k, v in fields.items()), "", ""]
    talk.sendall("\\n".join(lines).encode())
say("INIT", SessionId="1", Direction="Receive")
if mode == "refused":
    say("ERROR", Code=34, Description="Token authorization failed")
    sys.exit(1)
data = (source / wanted).read_bytes() if (source / wanted).is_file() else None
if data is None:
    say("ERROR", Code=4, Description="No such file or directory")
    print("\\nSession Stop  (Error: Server aborted session: No such file or directory)")
    sys.exit(1)
if mode == "nothing":
    sys.exit(0)
if mode == "wrong":
    data = bytes(len(data))
if mode == "short":
    data = data[:-1]
if mode == "symlink":
    os.symlink("/etc/passwd", folder / name)
    sys.exit(0)
have = (folder / name).stat().st_size if (folder / name).exists() else 0
with open(folder / name, "ab") as out:
    for start in range(have, len(data), 262144):
        out.write(data[start:start + 262144])
        out.flush()
        say("STATS", TransferBytes=min(len(data), start + 262144))
        if mode == "once cut" and not have and start >= 262144:
            say("ERROR", Code=14, Description="Data connection lost")
            sys.exit(1)
        if mode == "slow":
            time.sleep(0.2)
say("DONE")
print(f"{{name}}    100%  {{len(data) // 1024}}KB\\nCompleted: {{len(data) // 1024}}K bytes transferred in 0 seconds")
"""


def standin(folder: Path, source: Path, mode: str = "good") -> Path:
    """Write the program ``ascp`` into ``folder``; it serves files below ``source`` and notes its calls in ``calls``."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "ascp"
    program.write_text(
        _PROGRAM.format(python=sys.executable, mode=mode, source=str(source), record=str(folder / "calls"))
    )
    program.chmod(0o755)
    return program
