"""The database: one engine per server, migrated at start."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from packhorse.errors import SettingsError
from packhorse.server.config import ServerConfig
from packhorse.server.db.migrations import HEAD

__all__ = ["Database", "after_commit", "migrate", "open_database"]

log = logging.getLogger("packhorse.server")

_FORM: Final = "postgresql://USER:PASSWORD@HOST/NAME, or nothing for SQLite in the home"
_MIGRATING: Final = 0x7061636B  # "pack"


class Database:
    """Sessions on one engine. ``close`` gives every connection back. Every session's ``info`` has what ``info`` has.

    ``turn`` is for frequent short writes: those that wait for each other in SQLite sleep and look again, those that
    wait here are woken.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.embedded = engine.dialect.name == "sqlite"
        self.info: dict[str, Any] = {}
        self.turn: AbstractContextManager[Any] = threading.Lock() if self.embedded else nullcontext()
        self._sessions = sessionmaker(engine, expire_on_commit=False, info=self.info)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session whose changes, if any, are thrown away."""
        with self._sessions() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits at the end, or rolls back when the block raises."""
        with self._sessions.begin() as session:
            yield session

    def close(self) -> None:
        self.engine.dispose()


def after_commit(session: Session, action: Callable[[], object]) -> None:
    """Do something when the session's transaction is through, and only then. What is done is safe by then, so that an
    ``action`` that fails is only logged."""

    def act(_session: Session) -> None:
        try:
            action()
        except Exception:
            log.exception("what should follow a change could not be begun")

    event.listen(session, "after_commit", act, once=True)


def open_database(config: ServerConfig) -> Database:
    """Open and, where needed, migrate the database. Raises :class:`SettingsError` when it cannot be used."""
    config.prepare()
    url = _url(config.database)
    # hide_parameters: a failing statement's values (hashes, names) must not reach a log
    engine = create_engine(url, hide_parameters=True, pool_size=10, max_overflow=40)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                # servers that start together migrate one after another
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
            if _revision(connection) != HEAD:
                migrate(connection)
    except OperationalError as error:
        engine.dispose()
        where = f"of {config.home}" if engine.dialect.name == "sqlite" else url.render_as_string(hide_password=True)
        words = " ".join(str(error.orig).split())[:300]
        hint = "packhorse serve --home DIR" if engine.dialect.name == "sqlite" else "check [server] database"
        raise SettingsError(f"the database {where} cannot be opened: {words}", hint=hint) from error
    except BaseException:
        engine.dispose()
        raise
    return Database(engine)


def _url(text: str) -> URL:
    try:
        url = make_url(text)
        name = url.get_backend_name()
    except (ArgumentError, ValueError):  # its text may hold the password
        raise SettingsError("the database's address is none", hint=_FORM) from None
    if name == "postgres":
        name = "postgresql"
    if name not in ("sqlite", "postgresql"):
        raise SettingsError(f"{name!r} is no database that Packhorse can use", hint=_FORM)
    return url.set(drivername="postgresql+psycopg") if name == "postgresql" else url


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("busy_timeout = 10000", "journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return revision


def migrate(connection: Connection, target: str = "head") -> None:
    """Bring the schema to ``target`` on an open connection; the caller commits."""
    from alembic import command
    from alembic.config import Config

    settings = Config()
    # Alembic reads options through configparser, where a lone % is special
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    command.upgrade(settings, target)
