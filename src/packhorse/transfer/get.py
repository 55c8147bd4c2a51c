"""*get*: many files from portals to one destination, planned, fetched, proven and recorded (DESIGN §4)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from packhorse.errors import (
    AuthenticationError,
    DestinationError,
    IntegrityError,
    PackhorseError,
    SpaceError,
    TransferError,
    UsageError,
)
from packhorse.model import Item, Proof, ProofLevel, SafePath
from packhorse.net.transport import Network
from packhorse.transfer.batch import Batches, SmallFile
from packhorse.transfer.events import Event, EventHandler, Failed, Placed, Progress, Started, Summary
from packhorse.transfer.existing import adopt, judge_existing
from packhorse.transfer.fetch import LargeFile
from packhorse.transfer.files import destination_error
from packhorse.transfer.job import Job, Task
from packhorse.transfer.journal import held_bytes
from packhorse.transfer.lease import Lease
from packhorse.transfer.ledger import Ledger, LedgerEntry, read_ledger
from packhorse.transfer.limits import Throttle
from packhorse.transfer.options import FailedFile, GetOptions, Outcome, PlacedFile, Planned, Want
from packhorse.transfer.paths import part_name, plan_paths
from packhorse.transfer.place import exists_error
from packhorse.transfer.preflight import check_room, look
from packhorse.transfer.select import select
from packhorse.transfer.small import SMALL, Large, Unmodified, fetch_small
from packhorse.transfer.sweep import sweep
from packhorse.transfer.together import together

__all__ = ["get", "plan"]

T = TypeVar("T")

_TICK: Final = 0.25
_LARGE_AT_ONCE: Final = 8


@dataclass(slots=True)
class _Row:
    """One file of the plan, with what is already here."""

    task: Task
    action: str
    held: int = 0
    entry: LedgerEntry | None = None
    proof: Proof | None = None
    error: PackhorseError | None = None
    safe: SafePath | None = None


@dataclass(slots=True)
class _Run:
    """The state of one *get*."""

    job: Job
    outcome: Outcome
    small: deque[_Row] = field(default_factory=deque)
    large: deque[tuple[_Row, LargeFile]] = field(default_factory=deque)
    active: dict[str, LargeFile] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    waiting: int = 0
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    more: asyncio.Event = field(default_factory=asyncio.Event)
    fetching: int = 0
    broken: dict[str, PackhorseError] = field(default_factory=dict)
    crash: Exception | None = None
    files: int = 0
    size: int | None = 0
    done: int = 0


async def _rows(
    wants: Sequence[Want], destination: Path, options: GetOptions, ledger: dict[str, LedgerEntry]
) -> list[_Row]:
    """The plan: what lands where, and what is already there. Touches no network."""
    chosen = select(wants, options.include, options.exclude)
    exact = [want for want in chosen if want.target is not None]
    by_item = {id(want.item): want for want in chosen}
    rows: list[_Row] = []
    for want in exact:
        assert want.target is not None
        try:
            path = want.target.relative_to(destination).as_posix()
        except ValueError:
            path = want.target.as_posix()
        rows.append(_row(Task(want.item, want.portal, want.target, path), options, ledger))
    for planned in plan_paths((want.item for want in chosen if want.target is None), options.layout):
        target = destination.joinpath(*planned.path.parts)
        portal = by_item[id(planned.item)].portal
        row = _row(Task(planned.item, portal, target, str(planned.path), planned.original), options, ledger)
        row.safe = planned.path
        rows.append(row)
    return rows


def _row(task: Task, options: GetOptions, ledger: dict[str, LedgerEntry]) -> _Row:
    entry = ledger.get(task.path)
    existing = judge_existing(task.target, entry, task.item)
    if existing.kind == "proven" and existing.entry is not None:
        proof = existing.entry.proof_value()
        hashed = any(proof.digest(digest.algorithm) is not None for digest in task.item.digests)
        if task.item.digests and not hashed and options.require is not ProofLevel.NONE:
            return _Row(task, "compare", task.item.size or 0, existing.entry)
        return _Row(task, "reuse", existing.entry.size, existing.entry, existing.entry.proof_value())
    if existing.kind in ("ask", "compare"):
        return _Row(task, existing.kind, task.item.size or 0, existing.entry)
    if existing.kind == "other" and not options.overwrite:
        return _Row(task, "conflict", error=exists_error(task.target))
    held = 0
    if task.item.identity is not None and (task.item.size is None or task.item.size > SMALL):
        part = task.target.with_name(part_name(task.target.name, task.item.identity.short))
        with contextlib.suppress(OSError):  # it will be said when the file's turn comes
            held = held_bytes(Lease.states(part), task.item.size)
    return _Row(task, "resume" if held else "fetch", held)


async def plan(
    wants: Sequence[Want], destination: Path, options: GetOptions, pool: Executor | None = None
) -> list[Planned]:
    """What :func:`get` would do (``--dry-run``): nothing is fetched, written or hashed."""
    ledger = await asyncio.get_running_loop().run_in_executor(pool, read_ledger, destination)
    names = {"ask": "reuse", "compare": "reuse"}
    return [
        Planned(
            item=row.task.item,
            path=row.safe,
            target=row.task.target,
            action=names.get(row.action, row.action),  # type: ignore[arg-type]
            held=row.held,
            renamed=row.task.original is not None,
            reason={"ask": "if the server says it is unchanged", "compare": "if its digest agrees"}.get(row.action, "")
            or (row.error.message if row.error else ""),
        )
        for row in await _rows(wants, destination, options, ledger)
    ]


async def get(
    wants: Sequence[Want],
    destination: Path,
    options: GetOptions,
    network: Network,
    emit: EventHandler,
    *,
    pool: Executor,
) -> Outcome:
    """Fetch every wanted file that is not already proven at ``destination``.

    Failures of single files are in the outcome (and in ``failed`` events), not raised. Raises :class:`UsageError`
    when nothing matches, :class:`SpaceError` before the first byte when there is no room.
    """
    started = time.monotonic()
    loop = asyncio.get_running_loop()
    try:
        ledger: Ledger = await loop.run_in_executor(pool, Ledger, destination)
    except OSError as error:
        raise destination_error(error, destination) from None
    job = Job(network, options, emit, ledger, pool)
    if options.limit_rate:
        job.throttle = Throttle(options.limit_rate)
    network.set_cap(options.jobs or network.settings.max_connections)
    run = _Run(job, Outcome(destination, require=options.require))
    job.emit = partial(_tell, run, emit)
    try:
        rows = await _rows(wants, destination, options, ledger.entries)
        if not rows:
            raise UsageError(
                "nothing there matches", hint="look with packhorse ls ADDRESS, or drop --include/--exclude"
            )
        rows = await _look_again(job, rows, options)
        await _settle_existing(run, rows)
        remaining = sum(max(0, (row.task.item.size or 0) - row.held) for row in rows if _to_fetch(row))
        if options.check_space:
            room = await loop.run_in_executor(pool, look, destination)
            check_room(remaining, sum(map(_to_fetch, rows)), room, destination)
        wanted = [row for row in rows if row.action in ("fetch", "resume")]
        for row, task in zip(wanted, await together([row.task for row in wanted], options.bulk), strict=True):
            row.task = task
        run.files = len(rows)
        sizes = [row.entry.size if row.entry else row.task.item.size for row in rows]
        run.size = None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)
        emit(Started(files=run.files, size=run.size, held=sum(row.held for row in rows), path=""))
        await _fetch_all(run, rows)
        if run.crash is not None:
            raise run.crash
        await job.blocking(partial(sweep, [file.target for file in run.outcome.placed]))
    finally:
        run.outcome.seconds = time.monotonic() - started
        ledger.close()
    emit(_summary(run))
    return run.outcome


def _to_fetch(row: _Row) -> bool:
    return row.action in ("fetch", "resume", "ask")


async def _look_again(job: Job, rows: list[_Row], options: GetOptions) -> list[_Row]:
    """A file that was placed between our reading of the ledger and our look at the file has its entry by now."""
    unknown = {row.task.path: row.task.target for row in rows if _to_look_at(row)}
    if not unknown:
        return rows
    standing = await asyncio.get_running_loop().run_in_executor(job.pool, job.ledger.standing, unknown)
    return [_row(row.task, options, standing) if _to_look_at(row) else row for row in rows]


def _to_look_at(row: _Row) -> bool:
    return row.entry is None and row.action in ("conflict", "compare")


async def _settle_existing(run: _Run, rows: list[_Row]) -> None:
    """Hash files that are there without a record: proven, or something else."""
    for row in rows:
        if row.action != "compare":
            continue
        task = row.task
        try:
            found = await run.job.blocking(partial(adopt, task.target, task.path, task.item, task.original))
        except OSError as error:
            found = None
            row.error = DestinationError(f"cannot read {task.target}: {error.strerror}")
        if isinstance(found, tuple):
            row.entry, row.proof = found
            row.action, row.held = "reuse", row.entry.size
            await run.job.blocking(partial(run.job.ledger.add, [row.entry], sync=False))
        elif run.job.options.overwrite and row.error is None:
            row.action, row.held = "fetch", 0
        else:
            row.action, row.held = "conflict", 0
            row.error = row.error or exists_error(task.target)


async def _fetch_all(run: _Run, rows: list[_Row]) -> None:
    job = run.job
    for row in rows:
        item = row.task.item
        if row.action == "reuse" and row.entry is not None and row.proof is not None:
            _placed(run, row.task, PlacedFile(item, row.task.target, row.entry.size, row.proof, True, row.entry.size))
        elif row.action == "conflict":
            _failed(run, row.task, row.error or exists_error(row.task.target))
        elif row.action != "ask" and (item.size or 0) > SMALL:
            run.large.append((row, LargeFile(job, row.task)))
        else:
            run.small.append(row)
    run.waiting = len(run.small) + len(run.large)
    if not run.waiting:
        return
    batches = Batches(job, partial(_reported, run))
    ticker = asyncio.create_task(_tick(run))
    hands = min(run.waiting, max(4, job.options.jobs or 64))
    workers = [asyncio.create_task(_work_small(run, batches)) for _ in range(min(hands, max(1, len(run.small))))]
    workers += [
        asyncio.create_task(_work_large(run)) for _ in range(min(_LARGE_AT_ONCE, job.options.jobs or _LARGE_AT_ONCE))
    ]
    try:
        settled = asyncio.create_task(_until_settled(run))
        done, _ = await asyncio.wait({settled, *workers}, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        if job.throttle is not None:
            job.throttle.stop()
        settled.cancel()
        ticker.cancel()
        for worker in workers:
            worker.cancel()
        await asyncio.wait([*workers, ticker])
        await batches.close()


async def _until_settled(run: _Run) -> None:
    await run.settled.wait()
    if run.crash is not None:
        raise run.crash


def _tell(run: _Run, handler: EventHandler, event: Event) -> None:
    """Tell the caller. A handler that raises ends the get with its error; what counts the files goes on until then."""
    if run.crash is not None:
        return
    try:
        handler(event)
    except BaseException as error:  # noqa: BLE001 - SystemExit would end the engine's thread
        run.crash = error if isinstance(error, Exception) else TransferError(f"a callback raised {error!r}")
        run.settled.set()
        run.more.set()


async def _next(run: _Run, queue: deque[T]) -> T | None:
    """The next of a queue, or ``None`` when no more will come: files move from queue to queue, and come again."""
    while not queue:
        if run.settled.is_set():
            return None
        run.more.clear()
        await run.more.wait()
    return queue.popleft()


def _enqueue(run: _Run, queue: deque[T], value: T) -> None:
    queue.append(value)
    run.more.set()


async def _work_small(run: _Run, batches: Batches) -> None:
    job = run.job
    while (row := await _next(run, run.small)) is not None:
        task = row.task
        if (why := _hopeless(run, task)) is not None:
            _failed(run, task, why)
            continue
        if batches.crowded:
            await batches.room()
        job.emit(Started(path=task.path, address=_address(task.item), size=task.item.size))
        reserved = await job.bytes.take(max(4096, SMALL if task.item.size is None else task.item.size))
        handed = False
        run.fetching += 1
        try:
            body = await fetch_small(job, task, row.entry if row.action == "ask" else None)
            if isinstance(body, Unmodified):
                assert row.entry is not None
                entry = row.entry
                file = PlacedFile(task.item, task.target, entry.size, entry.proof_value(), True, entry.size)
                _placed(run, task, file)
            elif row.action == "ask" and not job.options.overwrite:
                _failed(run, task, _changed_there(task))
            elif isinstance(body, Large):
                large = LargeFile(job, task, body.first)
                _enqueue(run, run.large, (row, large))
            else:
                if task.item.size is None and reserved > body.size:
                    job.bytes.give(reserved - max(4096, body.size))
                    reserved = max(4096, body.size)
                batches.submit(SmallFile(task, body.chunks, body.size, body.first, reserved, body.authenticated))
                handed = True
        except PackhorseError as error:
            _failed(run, task, error)
        finally:
            run.fetching -= 1
            if not handed:
                job.bytes.give(reserved)
            if not run.fetching and not run.small:
                batches.flush()


def _hopeless(run: _Run, task: Task) -> PackhorseError | None:
    """Why this file would fail as another did: no space, or its remote refuses the credential."""
    return run.broken.get("") or run.broken.get(task.item.remote)


def _changed_there(task: Task) -> DestinationError:
    return DestinationError(
        f"{task.target} is there already, and the server has another version now",
        hint="add --overwrite to replace it, or choose another place with --to",
    )


def _reported(run: _Run, file: SmallFile, result: PlacedFile | PackhorseError) -> None:
    """The writer's word about a small file. Bytes that were not the stated ones are fetched afresh once."""
    if isinstance(result, PlacedFile):
        _placed(run, file.task, result)
    elif isinstance(result, IntegrityError) and file.task.path not in run.again:
        run.again.add(file.task.path)
        _enqueue(run, run.small, _Row(file.task, "fetch"))
    else:
        _failed(run, file.task, result)


async def _work_large(run: _Run) -> None:
    job = run.job
    while (found := await _next(run, run.large)) is not None:
        row, large = found
        task = row.task
        if (why := _hopeless(run, task)) is not None:
            _failed(run, task, why)
            continue
        job.emit(Started(path=task.path, address=_address(task.item), size=task.item.size, held=row.held))
        run.active[task.path] = large
        job.large_running = len(run.active) + min(len(run.large), _LARGE_AT_ONCE - len(run.active))
        try:
            placed = await large.run()
        except PackhorseError as error:
            _failed(run, task, error, resumable=large.resumable)
        except OSError as error:
            _failed(run, task, TransferError(f"{task.target}: {error.strerror or error}"))
        else:
            if placed is None:  # another process placed it
                entry = job.ledger.entries[task.path]
                placed = PlacedFile(task.item, task.target, entry.size, entry.proof_value(), True, entry.size)
            _placed(run, task, placed)
        finally:
            run.active.pop(task.path, None)
            job.large_running = len(run.active)


def _placed(run: _Run, task: Task, file: PlacedFile) -> None:
    run.outcome.placed.append(file)
    run.done += file.size
    proof = file.proof
    run.job.emit(
        Placed(
            path=task.path,
            address=_address(task.item),
            key=task.item.key,
            id=task.item.labels.get("id", ""),
            size=file.size,
            proof=proof.level.value,
            digests=[str(digest) for digest in ((proof.stated,) if proof.stated else ()) + proof.recorded],
            reused=file.reused,
            kept=file.kept,
            fetched=file.fetched,
            durability=run.job.options.durability,
        )
    )
    _count(run)


def _failed(run: _Run, task: Task, error: PackhorseError, *, resumable: bool = False) -> None:
    if isinstance(error, SpaceError):
        run.broken.setdefault("", error)
    elif isinstance(error, AuthenticationError) and task.item.remote not in ("http", "https"):
        run.broken.setdefault(task.item.remote, error)
    run.outcome.failed.append(FailedFile(task.item, task.target, error, resumable))
    run.job.emit(
        Failed(
            path=task.path,
            address=_address(task.item),
            code=error.code,
            message=error.message,
            hint=error.hint or "",
            exit_code=int(error.exit_code),
            resumable=resumable,
        )
    )
    _count(run)


def _count(run: _Run) -> None:
    if len(run.outcome.placed) + len(run.outcome.failed) >= run.files:
        run.settled.set()
        run.more.set()


def _address(item: Item) -> str:
    return f"{item.remote}:{item.key}" if item.remote not in ("http", "https", "local") else ""


async def _tick(run: _Run) -> None:
    """Progress of the job and of every large file, four times a second."""
    before, then = run.job.meter.total, time.monotonic()
    while True:
        await asyncio.sleep(_TICK)
        now = time.monotonic()
        rate = (run.job.meter.total - before) / max(1e-6, now - then)
        before, then = run.job.meter.total, now
        for path, large in list(run.active.items()):
            run.job.emit(Progress(path=path, done=large.progress, size=large.size))
        active = sum(large.progress for large in run.active.values())
        run.job.emit(
            Progress(
                done=run.done + active,
                size=run.size,
                rate=round(rate, 1),
                files_done=len(run.outcome.placed) + len(run.outcome.failed),
                files=run.files,
            )
        )


def _summary(run: _Run) -> Summary:
    placed, failed = run.outcome.placed, run.outcome.failed
    return Summary(
        files=run.files,
        placed=len(placed),
        reused=sum(file.reused for file in placed),
        failed=len(failed),
        size=sum(file.size for file in placed),
        fetched=run.job.meter.total,
        kept=sum(file.kept for file in placed),
        seconds=round(run.outcome.seconds, 3),
        exit_code=int(run.outcome.exit_code),
        proofs=dict(Counter(file.proof.level.value for file in placed)),
        destination=str(run.outcome.destination),
    )
