"""The tables. What is searched or folded has a column of its own; the whole record is JSON in `body`.

Timestamps are columns and never part of a body, so that equal runs write equal bodies. `body` comes last in its table:
SQLite then reads the columns before it without touching the pages that a long body spills over.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# Every constraint has a name, so that a later migration can find and change it on any database.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class UTCDateTime(TypeDecorator[datetime]):
    """Aware in, aware and in UTC out, also where the database (SQLite) keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {
        str: String(),
        float: Float(53),
        datetime: UTCDateTime(),
        dict[str, Any]: JSON(),
    }


class RunRow(Table):
    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(unique=True)
    title: Mapped[str]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    settings: Mapped[dict[str, Any]]


class MarkRow(Table):
    """Small facts of progress, written once: what a resumed run reads to know where it was."""

    __tablename__ = "marks"

    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    value: Mapped[dict[str, Any]]


class TrajectoryRow(Table):
    __tablename__ = "trajectories"
    __table_args__ = (Index(None, "run_id", "phase"), Index(None, "task_id"), Index(None, "release_id"))

    id: Mapped[str] = mapped_column(primary_key=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    phase: Mapped[str]
    arm: Mapped[str]
    release_id: Mapped[str]  # no foreign key: a baseline policy is in no release table
    task_id: Mapped[str]
    template_id: Mapped[str]
    attempt: Mapped[int]
    success: Mapped[bool | None]
    reward: Mapped[float]
    steps: Mapped[int]
    end: Mapped[str]
    seconds: Mapped[float]
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class VerdictRow(Table):
    __tablename__ = "verdicts"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    trajectory_id: Mapped[str] = mapped_column(ForeignKey("trajectories.id"), index=True)
    source: Mapped[str]
    author: Mapped[str]
    success: Mapped[bool]
    score: Mapped[float]
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class RecallRow(Table):
    __tablename__ = "recalls"

    id: Mapped[str] = mapped_column(primary_key=True)
    trajectory_id: Mapped[str] = mapped_column(ForeignKey("trajectories.id"), index=True)
    bank_version: Mapped[int]
    release_id: Mapped[str]
    arm: Mapped[str]
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class ProposalRow(Table):
    """What an episode proposed for the bank. It enters the bank only by an event of the ledger."""

    __tablename__ = "proposals"

    trajectory_id: Mapped[str] = mapped_column(ForeignKey("trajectories.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    item_id: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class LedgerRow(Table):
    """The bank's history. `seq` counts 1, 2, 3 … without holes: it is the bank version."""

    __tablename__ = "ledger"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    item_id: Mapped[str] = mapped_column(index=True)
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class CheckpointRow(Table):
    __tablename__ = "checkpoints"

    name: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(unique=True)
    sha256: Mapped[str]
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class ReleaseRow(Table):
    __tablename__ = "releases"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(unique=True)
    name: Mapped[str]
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class ReleaseEventRow(Table):
    __tablename__ = "release_events"

    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    release_id: Mapped[str] = mapped_column(ForeignKey("releases.id"), index=True)
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]


class GateRow(Table):
    __tablename__ = "gates"

    id: Mapped[str] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(unique=True)
    run_id: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    candidate_id: Mapped[str] = mapped_column(ForeignKey("releases.id"))
    incumbent_id: Mapped[str]
    panel_digest: Mapped[str] = mapped_column(index=True)
    answer: Mapped[str]
    created_at: Mapped[datetime]
    body: Mapped[dict[str, Any]]
