"""The tables. Times are Unix seconds; ids of research objects are numbers of at most 18 digits, strings on the wire."""

from __future__ import annotations

import threading
import time
from typing import Any, Final

from sqlalchemy import JSON, BigInteger, Boolean, Float, ForeignKey, Index, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from packhorse.wire.immport.fileids import file_uuid

__all__ = [
    "ApiKey",
    "Attribute",
    "Base",
    "Data",
    "Execution",
    "ExecutionOutput",
    "ImportEntry",
    "ImportRoot",
    "LoginSession",
    "Project",
    "Sample",
    "Segment",
    "Share",
    "StoredFile",
    "StudyFile",
    "User",
    "new_id",
    "now",
]

_lock = threading.Lock()
_last_id = 0
_ID_STEP: Final = 100_000


def now() -> int:
    """The time that new rows carry."""
    return int(time.time())


def new_id() -> int:
    """An 18-digit id: milliseconds and a counter, so that ids sort by creation and never repeat in this process."""
    global _last_id
    with _lock:
        _last_id = max(_last_id + 1, int(time.time() * 1000) * _ID_STEP)
        return _last_id


class Base(DeclarativeBase):
    """Every constraint has a name, so that migrations can drop it on any database."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {int: BigInteger, float: Float, dict[str, Any]: JSON}  # noqa: RUF012 - SQLAlchemy's own form


def _id() -> Mapped[int]:
    return mapped_column(BigInteger, primary_key=True, autoincrement=False, default=new_id)


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = _id()
    username: Mapped[str] = mapped_column(String(150), unique=True)
    email: Mapped[str] = mapped_column(String(254), default="")
    name: Mapped[str] = mapped_column(String(200), default="")
    role: Mapped[str] = mapped_column(String(20), default="user")
    password_hash: Mapped[str | None] = mapped_column(String(255))
    active: Mapped[bool] = mapped_column(Boolean, default=True)
    created: Mapped[int] = mapped_column(default=now)


class ApiKey(Base):
    """A long-lived key. Only its sha256 is kept; ``prefix`` is what people recognise it by.

    One of ImmPort's has a ``uuid``, ``scopes`` (by blanks) and an end, and opens nothing else.
    """

    __tablename__ = "api_keys"
    id: Mapped[int] = _id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    purpose: Mapped[str] = mapped_column(String(200), default="")
    prefix: Mapped[str] = mapped_column(String(20))
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created: Mapped[int] = mapped_column(default=now)
    revoked: Mapped[int | None]
    uuid: Mapped[str | None] = mapped_column(String(36), unique=True)
    scopes: Mapped[str | None] = mapped_column(String(100))
    expires: Mapped[int | None]


class LoginSession(Base):
    """One sign-in. Its access and refresh tokens carry its id and stop working when it is ended."""

    __tablename__ = "login_sessions"
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created: Mapped[int] = mapped_column(default=now)
    expires: Mapped[int]
    ended: Mapped[int | None]


class StoredFile(Base):
    """A file's bytes, as segments. ``backend`` is ``objects`` (ours) or ``in-place`` (a lab's own file, guarded by
    size and ``mtime_ns``). ``modified`` is what ``Last-Modified`` says."""

    __tablename__ = "stored_files"
    id: Mapped[int] = _id()
    backend: Mapped[str] = mapped_column(String(20))
    size: Mapped[int]
    md5: Mapped[str] = mapped_column(String(32))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    crc32: Mapped[str] = mapped_column(String(8))
    modified: Mapped[float]
    mtime_ns: Mapped[int | None]
    created: Mapped[int] = mapped_column(default=now)
    segments: Mapped[list[Segment]] = relationship(
        order_by="Segment.position", cascade="all, delete-orphan", lazy="selectin"
    )


class Segment(Base):
    """``length`` bytes at ``offset`` of the object ``key``; a file is its segments in order of ``position``."""

    __tablename__ = "segments"
    file_id: Mapped[int] = mapped_column(
        ForeignKey("stored_files.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(Text)
    offset: Mapped[int]
    length: Mapped[int]
    crc32: Mapped[str] = mapped_column(String(8))


class Project(Base):
    __tablename__ = "projects"
    id: Mapped[int] = _id()
    name: Mapped[str] = mapped_column(String(300))
    description: Mapped[str] = mapped_column(Text, default="")
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    private: Mapped[bool] = mapped_column(Boolean, default=True)
    created: Mapped[int] = mapped_column(default=now)
    owner: Mapped[User] = relationship(lazy="joined", innerjoin=True)


class Sample(Base):
    __tablename__ = "samples"
    id: Mapped[int] = _id()
    name: Mapped[str] = mapped_column(String(300))
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"), index=True)
    sample_type: Mapped[str] = mapped_column(String(100), default="generic")
    organism: Mapped[str | None] = mapped_column(String(20))
    pubmed: Mapped[str] = mapped_column(String(50), default="")
    private: Mapped[bool] = mapped_column(Boolean, default=True)
    created: Mapped[int] = mapped_column(default=now)
    owner: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    project: Mapped[Project | None] = relationship(lazy="joined")
    attributes: Mapped[list[Attribute]] = relationship(cascade="all, delete-orphan", lazy="selectin")


class Attribute(Base):
    """A sample's value of a metadata attribute, with its free-text companion."""

    __tablename__ = "sample_attributes"
    sample_id: Mapped[int] = mapped_column(
        ForeignKey("samples.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    identifier: Mapped[str] = mapped_column(String(100), primary_key=True)
    value: Mapped[str] = mapped_column(Text)
    annotation: Mapped[str] = mapped_column(Text, default="")


class Execution(Base):
    __tablename__ = "executions"
    id: Mapped[int] = _id()
    identifier: Mapped[str] = mapped_column(String(200), default="")
    pipeline_name: Mapped[str] = mapped_column(String(200), default="")
    pipeline_version: Mapped[str] = mapped_column(String(50), default="")
    nextflow_version: Mapped[str] = mapped_column(String(50), default="")
    status: Mapped[str] = mapped_column(String(20), default="OK")
    command: Mapped[str] = mapped_column(Text, default="")
    log: Mapped[str] = mapped_column(Text, default="")
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    sample_id: Mapped[int | None] = mapped_column(ForeignKey("samples.id"), index=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"), index=True)
    private: Mapped[bool] = mapped_column(Boolean, default=True)
    created: Mapped[int] = mapped_column(default=now)
    started: Mapped[int | None]
    finished: Mapped[int | None]
    owner: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    sample: Mapped[Sample | None] = relationship(lazy="select")
    project: Mapped[Project | None] = relationship(lazy="select")
    outputs: Mapped[list[ExecutionOutput]] = relationship(
        order_by="ExecutionOutput.path", cascade="all, delete-orphan", lazy="select"
    )


class Data(Base):
    """A named file. ``category``: 1 generic, 2 annotation, 3 multiplexed, 4 demultiplexed (spec flow §6.2).

    ``sample_id`` makes it an input of a sample (in order of ``position``), ``execution_id`` an execution's result.
    """

    __tablename__ = "data"
    id: Mapped[int] = _id()
    filename: Mapped[str] = mapped_column(String(255), index=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_files.id"), index=True)
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    category: Mapped[int] = mapped_column(default=1)
    data_type: Mapped[str | None] = mapped_column(String(50))
    sample_id: Mapped[int | None] = mapped_column(ForeignKey("samples.id"), index=True)
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"), index=True)
    execution_id: Mapped[int | None] = mapped_column(ForeignKey("executions.id"), index=True)
    position: Mapped[int] = mapped_column(default=0)
    private: Mapped[bool] = mapped_column(Boolean, default=True)
    created: Mapped[int] = mapped_column(default=now)
    removed: Mapped[int | None]
    file: Mapped[StoredFile] = relationship(lazy="joined", innerjoin=True)
    owner: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    sample: Mapped[Sample | None] = relationship(lazy="select")
    project: Mapped[Project | None] = relationship(lazy="select")
    execution: Mapped[Execution | None] = relationship(lazy="select")


class ExecutionOutput(Base):
    """Where a result stands in its execution's folder."""

    __tablename__ = "execution_outputs"
    execution_id: Mapped[int] = mapped_column(
        ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    path: Mapped[str] = mapped_column(String(1000), primary_key=True)
    data_id: Mapped[int] = mapped_column(ForeignKey("data.id"), index=True)
    data: Mapped[Data] = relationship(lazy="joined", innerjoin=True)


class Share(Base):
    """A user's right on somebody else's object: ``level`` 1 read, 2 edit, 3 share (each includes the lower ones).

    ``kind`` is ``data``, ``sample``, ``project`` or ``execution``.
    """

    __tablename__ = "shares"
    __table_args__ = (UniqueConstraint("user_id", "kind", "object_id"), Index(None, "kind", "object_id"))
    id: Mapped[int] = _id()
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(20))
    object_id: Mapped[int]
    level: Mapped[int] = mapped_column(default=1)


class ImportRoot(Base):
    """A folder that was imported, and the object it became; importing it again updates that object."""

    __tablename__ = "import_roots"
    __table_args__ = (UniqueConstraint("directory", "kind", "owner_id"),)
    id: Mapped[int] = _id()
    directory: Mapped[str] = mapped_column(String(1000))
    kind: Mapped[str] = mapped_column(String(20))
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    object_id: Mapped[int]


class ImportEntry(Base):
    """A file of an imported folder as it was when it was hashed."""

    __tablename__ = "import_entries"
    root_id: Mapped[int] = mapped_column(
        ForeignKey("import_roots.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    path: Mapped[str] = mapped_column(String(1000), primary_key=True)
    data_id: Mapped[int] = mapped_column(ForeignKey("data.id"), index=True)
    size: Mapped[int]
    mtime_ns: Mapped[int]


def _uuid_of_path(context: Any) -> str:
    return file_uuid(context.get_current_parameters()["path"])


class StudyFile(Base):
    """A file of an ImmPort study under its path (``SDY1/ResultFiles/…``). ``uuid`` is what DRS knows it by."""

    __tablename__ = "study_files"
    path: Mapped[str] = mapped_column(String(1000), primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), index=True, default=_uuid_of_path)
    file_id: Mapped[int] = mapped_column(ForeignKey("stored_files.id"), index=True)
    modified: Mapped[int]
    file: Mapped[StoredFile] = relationship(lazy="joined", innerjoin=True)
