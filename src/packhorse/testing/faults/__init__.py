"""A loopback HTTP server that goes wrong on purpose, exactly as told, and writes down what it did.

>>> import urllib.request
>>> file = GeneratedFile(100_000, seed=1)
>>> with FaultServer({"reads.fastq": file}, Schedule.of(Cut(at=1000))) as server:
...     request = urllib.request.Request(server.url_of("reads.fastq"))
...     try:
...         data = urllib.request.urlopen(request).read()
...     except OSError as error:
...         print("cut")
...     except Exception as error:
...         print(type(error).__name__)
...     with urllib.request.urlopen(request) as answer:
...         print(answer.read() == file.read())
...     server.settle()
...     [(record.status, record.body_sent, record.faults) for record in server.log]
IncompleteRead
True
True
[(200, 1000, ('Cut',)), (200, 100000, ())]

A `Schedule` is made of rules (which request meets which fault); `Schedule.random` composes one that a correct client
survives, `Schedule.hostile` one that it may not. The command ``python -m packhorse.testing.faults`` runs a server to
try by hand.
"""

from packhorse.testing.faults.base import Fault
from packhorse.testing.faults.breaks import (
    BadLength,
    Chunked,
    Cut,
    Dribble,
    Expire,
    Gzip,
    LengthLie,
    NoLength,
    OpenRangeOffByOne,
    Reset,
    Stall,
)
from packhorse.testing.faults.content import BytesFile, Content, GeneratedFile
from packhorse.testing.faults.lies import (
    Flip,
    FreshETag,
    Html,
    NoETag,
    NoLastModified,
    NoRanges,
    Replaced,
    WeakETag,
    WrongOffset,
    WrongTotal,
)
from packhorse.testing.faults.log import CutRecord, Record
from packhorse.testing.faults.message import Ask, Reply
from packhorse.testing.faults.parts import PartStore, Taken, Upload
from packhorse.testing.faults.refusals import (
    HOSTILE_NAMES,
    Busy,
    Hangup,
    Header,
    HostileName,
    HugeHeader,
    Interim,
    Redirect,
    RedirectLoop,
    Refuse,
    SlowHead,
    Status,
)
from packhorse.testing.faults.schedule import Rule, Schedule
from packhorse.testing.faults.server import FaultServer
from packhorse.testing.faults.uploads import (
    CutUpload,
    EarlyRefusal,
    EmptyError,
    LostAnswer,
    StallUpload,
    WrongCount,
)

__all__ = [
    "HOSTILE_NAMES",
    "Ask",
    "BadLength",
    "Busy",
    "BytesFile",
    "Chunked",
    "Content",
    "Cut",
    "CutRecord",
    "CutUpload",
    "Dribble",
    "EarlyRefusal",
    "EmptyError",
    "Expire",
    "Fault",
    "FaultServer",
    "Flip",
    "FreshETag",
    "GeneratedFile",
    "Gzip",
    "Hangup",
    "Header",
    "HostileName",
    "Html",
    "HugeHeader",
    "Interim",
    "LengthLie",
    "LostAnswer",
    "NoETag",
    "NoLastModified",
    "NoLength",
    "NoRanges",
    "OpenRangeOffByOne",
    "PartStore",
    "Record",
    "Redirect",
    "RedirectLoop",
    "Refuse",
    "Replaced",
    "Reply",
    "Reset",
    "Rule",
    "Schedule",
    "SlowHead",
    "Stall",
    "StallUpload",
    "Status",
    "Taken",
    "Upload",
    "WeakETag",
    "WrongCount",
    "WrongOffset",
    "WrongTotal",
]
