"""The demo's users and records: the ids that Flow's guide uses, over files made here at the first start."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from packhorse.errors import SettingsError
from packhorse.server import demo_files
from packhorse.server.api.catalogue import data_type_of
from packhorse.server.config import ServerConfig, read_private, write_private
from packhorse.server.db.engine import open_database
from packhorse.server.db.files import record_file
from packhorse.server.db.models import (
    ApiKey,
    Attribute,
    Data,
    Execution,
    ExecutionOutput,
    Project,
    Sample,
    StudyFile,
    User,
)
from packhorse.server.demo_studies import ensure_demo_studies
from packhorse.server.filesender_keys import filesender_key, set_filesender_key
from packhorse.server.security import Sealer, hash_key, hash_password, new_password
from packhorse.server.storage import Storage, StoredFacts
from packhorse.server.storage.disk import DiskStorage
from packhorse.server.users import add_api_key, add_share, add_user

__all__ = ["ensure_demo"]

_USERS: Final = (
    ("demo", "user", "Demo Researcher"),
    ("other", "user", "Other Researcher"),
    ("admin", "admin", "Administrator"),
)
_CREATED: Final = 1_760_000_000
_STUDY_DATE: Final = 1_492_689_600  # 2017-04-20 12:00 UTC: that day in every common time zone
_FOLDER: Final = "SDY1/ResultFiles/Flow_cytometry_result"
_FCS: Final = (
    (801, "02054141.001.52628.fcs", 242_048),
    (802, "02054142.001.52644.fcs", 1_523_228),
    (803, "02054151.001.52646.fcs", 242_048),
)
_LARGE: Final = 64 << 20


def ensure_demo(config: ServerConfig) -> tuple[dict[str, str], ...]:
    """Make what is missing of the demo, and give its users with their passwords and keys; nothing is made twice.

    Raises :class:`SettingsError` when the home cannot be used or its users file is damaged.
    """
    database = open_database(config)
    try:
        with database.write() as session:
            users = _users(session, config)
            made = session.get(Data, 789) is not None
        if not made:
            files = _files(DiskStorage(config.objects))
            with database.write() as session:
                _records(session, files)
    finally:
        database.close()
    ensure_demo_studies(config, [(int(name.split(".")[-2]), name, size) for _, name, size in _FCS])
    return users


def _users(session: Session, config: ServerConfig) -> tuple[dict[str, str], ...]:
    """The demo users as ``demo-users.json`` (0600) has them; the database follows the file."""
    path = config.home / "demo-users.json"
    sealer = Sealer(config.signing_key())
    fresh = False
    text = read_private(path)
    if text is None:
        fresh = True
        made = [
            {"username": name, "password": new_password(), "role": role, "filesender_api_key": secrets.token_hex(32)}
            for name, role, _ in _USERS
        ]
        write_private(path, json.dumps(made, indent=1))
        text = read_private(path) or ""
    try:
        entries: list[dict[str, str]] = json.loads(text)
        wanted = {entry["username"]: (entry["password"], entry["filesender_api_key"]) for entry in entries}
        for name, role, shown in _USERS:
            password, key = wanted[name]
            user = session.scalar(select(User).where(User.username == name))
            if user is None:
                user = add_user(session, name, password, email=f"{name}@demo.invalid", name=shown, role=role)
            elif fresh:
                user.password_hash = hash_password(password)
            if filesender_key(session, sealer, user) != key:
                set_filesender_key(session, sealer, user, key)
            if session.scalar(select(ApiKey.id).where(ApiKey.key_hash == hash_key(key))) is None:
                add_api_key(session, user, purpose="demo", key=key)
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"{path} is damaged", hint=f"remove {path}: the next start makes a new one") from error
    return tuple(dict(entry) for entry in entries)


@dataclass(frozen=True, slots=True)
class _File:
    """A demo file: the id and name it has, and its stored bytes."""

    data_id: int
    name: str
    facts: StoredFacts


_SAMPLES: Final = ("WT_rep1", "WT_rep2")
_OUTPUTS: Final = (
    (1001, "multiqc_report.html"),
    (1002, "pipeline_report.html"),
    (1003, "results/counts/all.gene_counts.tsv"),
    (1004, "results/salmon/salmon.merged.gene_tpm.tsv"),
)


def _files(storage: Storage) -> dict[int, _File]:
    reads: dict[int, tuple[str, dict[str, Any]]] = {
        789: ("WT_rep1_R1.fastq.gz", {"mate": 1, "reads": 12_000}),
        790: ("WT_rep1_R2.fastq.gz", {"mate": 2, "reads": 12_000}),
        791: ("WT_rep2_R1.fastq.gz", {"mate": 1, "reads": 400}),
        792: ("deep_run_R1.fastq.gz", {"mate": 1, "at_least": _LARGE}),
        793: ("public_R1.fastq.gz", {"mate": 1, "reads": 3_000}),
        794: ("public_R2.fastq.gz", {"mate": 2, "reads": 3_000}),
        795: ("shared_with_other.fastq.gz", {"mate": 1, "reads": 1_000}),
    }
    results: dict[int, Iterable[bytes]] = {
        1001: [demo_files.multiqc_report(_SAMPLES)],
        1002: [demo_files.pipeline_report(_SAMPLES)],
        1003: demo_files.counts_table(_SAMPLES),
        1004: demo_files.tpm_table(_SAMPLES),
    }
    found = {
        key: _File(key, name, storage.put(demo_files.fastq_gz(key, **wanted), modified=_CREATED))
        for key, (name, wanted) in reads.items()
    }
    for key, path in _OUTPUTS:
        found[key] = _File(key, path.rpartition("/")[2], storage.put(results[key], modified=_CREATED))
    for key, name, size in _FCS:
        found[key] = _File(key, name, storage.put([demo_files.fcs(key, size, name=name)], modified=_STUDY_DATE))
    return found


def _records(session: Session, files: dict[int, _File]) -> None:
    demo, other = (session.scalars(select(User).where(User.username == name)).one() for name in ("demo", "other"))

    def project(key: int, name: str, description: str, *, private: bool) -> None:
        session.add(
            Project(id=key, name=name, description=description, owner_id=demo.id, private=private, created=_CREATED)
        )
        session.flush()

    def sample(key: int, name: str, project_id: int, *, private: bool, kind: str = "RNA-Seq", **metadata: str) -> None:
        row = Sample(id=key, name=name, project_id=project_id, sample_type=kind, organism="Hs")
        row.owner_id, row.private, row.created = demo.id, private, _CREATED
        row.attributes = [Attribute(identifier=identifier, value=value) for identifier, value in metadata.items()]
        session.add(row)
        session.flush()

    def data(key: int, *, private: bool, category: int = 1, **parents: int) -> StoredFacts:
        file = files[key]
        row = Data(
            id=key, filename=file.name, owner_id=demo.id, private=private, category=category, created=_CREATED + key
        )
        row.file_id, row.data_type = record_file(session, file.facts).id, data_type_of(file.name)
        for name, value in parents.items():
            setattr(row, name, value)
        session.add(row)
        session.flush()
        return file.facts

    reads = {"source": "T cells", "strandedness": "reverse"}
    project(3, "T_cell_activation", "Two samples and a run over them, for demo's eyes only", private=True)
    sample(12, "WT_rep1", 3, private=True, condition="resting", replicate="1", **reads)
    sample(13, "WT_rep2", 3, private=True, condition="activated", replicate="2", **reads)
    project(4, "Public_reads", "What everybody may read", private=False)
    sample(14, "public_sample", 4, private=False, condition="resting", **reads)
    project(5, "SDY1", "Files of an ImmPort study", private=False)
    sample(20, "SDY1_flow_cytometry", 5, private=False, kind="flow-cytometry", source="PBMC")
    run = Execution(
        id=456, identifier="demo-456", pipeline_name="RNA-Seq", pipeline_version="3.14", nextflow_version="24.10.0"
    )
    run.owner_id, run.sample_id, run.project_id, run.private = demo.id, 12, 3, True
    run.created, run.started, run.finished = _CREATED, _CREATED + 5, _CREATED + 3_605
    run.command, run.params, run.log = (
        "nextflow run rnaseq",
        {"aligner": "star_salmon"},
        "Demonstration data, made by Packhorse.\n",
    )
    session.add(run)
    session.flush()

    data(789, private=True, category=4, sample_id=12, position=0)
    data(790, private=True, category=4, sample_id=12, position=1)
    data(791, private=True, category=4, sample_id=13)
    data(792, private=False)
    data(793, private=False, category=4, sample_id=14, position=0)
    data(794, private=False, category=4, sample_id=14, position=1)
    data(795, private=True)
    add_share(session, "data", 795, other, 1)
    for key, path in _OUTPUTS:
        data(key, private=True, execution_id=456)
        session.add(ExecutionOutput(execution_id=456, path=path, data_id=key))
    for position, (key, name, _) in enumerate(_FCS):
        facts = data(key, private=False, sample_id=20, position=position)
        file_id = session.scalars(select(Data.file_id).where(Data.id == key)).one()
        session.add(StudyFile(path=f"{_FOLDER}/{name}", file_id=file_id, modified=int(facts.modified)))
