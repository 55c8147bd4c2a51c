"""Which fault happens when: rules, and seeded compositions of them."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

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
    Reset,
    Stall,
)
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
from packhorse.testing.faults.message import Ask
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
    WaitForm,
)
from packhorse.testing.faults.uploads import (
    CutUpload,
    EarlyRefusal,
    EmptyError,
    LostAnswer,
    StallUpload,
    WrongCount,
)


@dataclass(frozen=True)
class Rule:
    """Let ``fault`` happen to some requests.

    The requests that count are those of ``method`` (None: any) whose path (decoded, from its slash on) matches the
    glob ``path``, on the listener ``origin`` (``main``, ``other`` or ``any``), and, if ``ranged`` is given, with or
    without a Range header. Of these the fault happens to ``times`` in a row (None: to all) from the ``nth`` on (1 is
    the first), each with ``probability``. ``each_path`` counts every path for itself.
    """

    fault: Fault
    path: str = "*"
    nth: int = 1
    times: int | None = 1
    probability: float = 1.0
    method: str | None = "GET"
    origin: str = "main"
    ranged: bool | None = None
    each_path: bool = False

    def matches(self, ask: Ask) -> bool:
        """Say whether this request counts."""
        return (
            fnmatchcase(ask.name, self.path)
            and self.method in {None, ask.method}
            and self.origin in {"any", ask.origin}
            and self.ranged in {None, ask.header("range") is not None}
        )

    def fires(self, count: int) -> bool:
        """Say whether the ``count``-th request that counts is in the window (probability aside)."""
        return count >= self.nth and (self.times is None or count < self.nth + self.times)


@dataclass(frozen=True)
class Schedule:
    """Rules, applied in order to every request; ``seed`` decides the draws of those with a probability.

    A schedule has no state: one can be given to many servers. Two servers with the same schedule and the same order of
    requests do the same.

    >>> Schedule.random(3) == Schedule.random(3), Schedule.random(3) == Schedule.random(4)
    (True, False)
    """

    rules: tuple[Rule, ...] = ()
    seed: int = 0

    @classmethod
    def of(cls, *faults: Fault | Rule, seed: int = 0) -> Schedule:
        """Rules as given; a bare fault happens once, to the first GET."""
        return cls(tuple(item if isinstance(item, Rule) else Rule(item) for item in faults), seed)

    def describe(self) -> str:
        """One line for each rule, to print beside the seed."""
        return "\n".join(f"{rule.fault!r} path={rule.path} nth={rule.nth} times={rule.times}" for rule in self.rules)

    @classmethod
    def random(cls, seed: int, intensity: float = 0.5, *, digests: bool = True, longest: float = 0.5) -> Schedule:
        """Compose faults that a correct client survives: each ends, and the right bytes can be had afterwards.

        ``intensity`` from 0 to 1 sets how many: 2 to 14 rules. Stalls and slow heads last at most ``longest``
        seconds, waits that are asked for at most 1 s. At most three answers bring no byte forward (429, 503, refused
        connections, wrong offsets), so three retries are enough even if one file gets them all; at most one rule
        changes a file's ETag. ``digests=False`` leaves out what only a digest or size told beforehand can reveal.
        """
        draw = random.Random(f"survivable:{seed}")
        rules: list[Rule] = [Rule(fault, times=None) for fault in _moods(draw, digests=digests)]
        # Where every request is sent elsewhere, the faults wait for it there.
        origin = "other" if any(isinstance(rule.fault, Redirect) for rule in rules) else "main"
        nth, barren, singles = 0, 3, set[type[Fault]]()
        for _ in range(2 + round(12 * max(0.0, min(1.0, intensity)))):
            nth += draw.randint(1, 4)
            fault, cost = _survivable(draw, longest, digests=digests)
            if cost > barren or type(fault) in singles:
                fault, cost = Cut(draw.uniform(0.2, 0.95)), 0
            barren -= cost
            if isinstance(fault, Replaced | Flip | LengthLie):
                singles.add(type(fault))
            rules.append(Rule(fault, nth=nth, origin=origin))
        # A changed file must come before the moods that hide or weaken its tag.
        rules.sort(key=lambda rule: not isinstance(rule.fault, Replaced))
        return cls(tuple(rules), seed)

    @classmethod
    def uploads(cls, seed: int, intensity: float = 0.5) -> Schedule:
        """Compose faults of uploads in parts that a correct client survives: each happens once, to a PUT of a part or
        of what ends a file or the upload. ``intensity`` from 0 to 1 sets how many: 1 to 9. Stalls last 0.3 s at most,
        waits that are asked for 1 s."""
        draw = random.Random(f"uploads:{seed}")
        rules = []
        for _ in range(1 + round(8 * max(0.0, min(1.0, intensity)))):
            path = draw.choice(("/uploads/*/*/*", "/uploads/*/*/*", "/uploads/*/*/*", "/uploads/*"))
            rules.append(Rule(draw.choice(_UPLOADS)(draw), path=path, nth=draw.randint(1, 12), method="PUT"))
        return cls(tuple(rules), seed)

    @classmethod
    def hostile(cls, seed: int, rules: int = 6) -> Schedule:
        """Compose faults of every kind, also such that never end: a client may fail, but must fail cleanly."""
        draw = random.Random(f"hostile:{seed}")
        made = [
            Rule(
                draw.choice(_HOSTILE)(draw) if draw.random() < 0.6 else _survivable(draw, 0.5, digests=True)[0],
                nth=draw.randint(1, 6),
                times=draw.choice((1, 1, 2, 5, None)),
                probability=draw.choice((1.0, 1.0, 0.5)),
            )
            for _ in range(rules)
        ]
        return cls(tuple(made), seed)


class Running:
    """A schedule at work in one server: counts requests and says which faults each one gets. Thread-safe."""

    def __init__(self, schedule: Schedule, seed: int = 0) -> None:
        self._schedule = schedule
        self._seed = seed
        self._lock = threading.Lock()
        self._counts: Counter[tuple[int, str]] = Counter()

    def faults(self, ask: Ask) -> list[Fault]:
        """The faults for this request, in the rules' order."""
        return list(self._fire(ask))

    def _fire(self, ask: Ask) -> Iterable[Fault]:
        for number, rule in enumerate(self._schedule.rules):
            if not rule.matches(ask):
                continue
            key = (number, ask.name if rule.each_path else "")
            with self._lock:
                self._counts[key] += 1
                count = self._counts[key]
            # Drawn from the count alone, so that the order of requests to other paths changes nothing.
            chance = random.Random(f"{self._schedule.seed}:{self._seed}:{key}:{count}").random()
            if rule.fires(count) and chance < rule.probability:
                yield rule.fault


def _moods(draw: random.Random, *, digests: bool) -> list[Fault]:
    """What the server is like throughout."""
    choices: list[list[Fault]] = [
        [],
        [],
        [WeakETag()],
        [NoLastModified()],
        [HostileName(draw.choice([name for name in HOSTILE_NAMES if "\x00" not in name]))],
        [Interim((103,))],
        [Redirect("other", 302)],
        [Chunked()],
    ]
    if digests:
        choices += [[NoETag()], [NoETag(), NoLastModified()], [FreshETag()], [NoLength()]]
    return draw.choice(choices)


def _survivable(draw: random.Random, longest: float, *, digests: bool) -> tuple[Fault, int]:
    """Draw a fault and say how many attempts it may waste."""
    somewhere = draw.uniform(0.1, 0.95)
    forms: tuple[WaitForm, ...] = (
        "seconds",
        "date",
        "ratelimit",
        "ratelimit-reset",
        "x-ratelimit-reset",
        "none",
    )
    choices: list[tuple[Fault, int]] = [
        (Cut(somewhere), 0),
        (Cut(draw.randint(1, 1 << 20)), 0),
        (Cut(somewhere, everything=True), 0),
        (Reset(somewhere), 0),
        (Reset(draw.randint(1, 1 << 20)), 0),
        (Stall(draw.uniform(0.05, longest), somewhere), 0),
        (Dribble(400_000, somewhere, length=int(400_000 * longest)), 0),
        (Chunked(cut_at=somewhere), 0),
        (LengthLie(draw.randint(1, 1000)), 0),
        (SlowHead(draw.uniform(0.05, longest)), 0),
        (Interim(), 0),
        (WrongOffset(draw.choice((-1, 1, 4096, 1 << 20))), 1),
        (WrongTotal(draw.choice((1, -1, 1000))), 1),
        (NoRanges(advertised=draw.random() < 0.5), 1),
        (Replaced("same"), 1),
        (Busy(draw.choice((0, 1)), draw.choice(forms), 429), 1),
        (Busy(draw.choice((0, 1)), draw.choice(forms), 503), 1),
        (Hangup(), 1),
        (Refuse(draw.uniform(0.05, 0.3)), 1),
    ]
    if digests:
        choices += [
            (Flip(somewhere, draw.choice((1, 5000))), 1),
            (Replaced("other"), 1),
        ]
    return draw.choice(choices)


_UPLOADS: tuple[Callable[[random.Random], Fault], ...] = (
    lambda draw: CutUpload(draw.random()),
    lambda draw: CutUpload(draw.random(), reset=True),
    lambda draw: StallUpload(draw.uniform(0.01, 0.3), draw.random()),
    lambda draw: EarlyRefusal(draw.choice((429, 500, 503)), draw.random(), draw.choice((None, 0, 1))),
    lambda draw: LostAnswer(),  # noqa: ARG005
    lambda draw: LostAnswer(),  # noqa: ARG005
    lambda draw: WrongCount(draw.choice((-1, 1, -1000))),
    lambda draw: EmptyError(draw.choice((500, 502)), done=draw.random() < 0.5),
    lambda draw: Busy(draw.choice((0, 1)), "seconds", draw.choice((429, 503))),
    lambda draw: Hangup(),  # noqa: ARG005
    lambda draw: Redirect("main", 307),  # noqa: ARG005
    lambda draw: SlowHead(draw.uniform(0.01, 0.2)),
)

_HOSTILE: tuple[Callable[[random.Random], Fault], ...] = (
    lambda draw: Status(draw.choice((401, 403, 404, 410, 500, 502, 418))),
    lambda draw: Html(),  # noqa: ARG005
    lambda draw: RedirectLoop(),  # noqa: ARG005
    lambda draw: Redirect(draw.choice(("file:///etc/passwd", "http://127.0.0.1:1/", "//", "gopher://x/"))),
    lambda draw: BadLength(draw.choice((("-1",), ("ten",), ("5", "6"), ("",), ("9" * 30,), ("+5",), ("0x10",)))),
    lambda draw: HugeHeader(draw.choice((1 << 17, 1 << 20))),
    lambda draw: HostileName(draw.choice(HOSTILE_NAMES)),
    lambda draw: WrongOffset(draw.choice((1, -1, 65536)), lying=True),
    lambda draw: Gzip(),  # noqa: ARG005
    lambda draw: LengthLie(draw.choice((-1, -1000, 1, 1 << 30))),
    lambda draw: Flip(draw.random(), 1),
    lambda draw: Replaced("other"),  # noqa: ARG005
    lambda draw: FreshETag("obey"),  # noqa: ARG005
    lambda draw: Expire(draw.choice((None, 0.5))),
    lambda draw: Busy(draw.choice((1, 3600)), "seconds", draw.choice((429, 503))),
    lambda draw: Header("Content-Range", draw.choice(("bytes */*", "bytes 0-0/0", "bytes 5-1/9", "rubbish"))),
    lambda draw: Header("Content-Encoding", draw.choice(("br", "gzip", "rot13"))),
    lambda draw: Interim((103,) * draw.choice((5, 500))),
    lambda draw: NoLength(),  # noqa: ARG005
    lambda draw: Cut(0),  # noqa: ARG005
)
