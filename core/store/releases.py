"""Checkpoints, releases, gates, and the events that say which release is the present one."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select

from wisen.core.errors import StoreError
from wisen.core.records import (
    Checkpoint,
    GateAnswer,
    GateDecision,
    LedgerEvent,
    Release,
    ReleaseEvent,
    ReleaseEventKind,
    utcnow,
)
from wisen.core.store.base import StoreBase, as_text, next_seq, parse, to_body
from wisen.core.store.ledger import append_to
from wisen.core.store.runs import require_run
from wisen.core.store.tables import CheckpointRow, GateRow, ReleaseEventRow, ReleaseRow

_TAKES_EFFECT = (ReleaseEventKind.PROMOTED, ReleaseEventKind.ROLLED_BACK)


class Releases(StoreBase):
    def add_checkpoint(self, checkpoint: Checkpoint) -> bool:
        """Register weights. False, and no change, when an equal one is there. A name is never reused: `StoreError`."""
        with self._write(f"checkpoint {checkpoint.name}") as connection:
            return _add_checkpoint(connection, checkpoint)

    def checkpoint(self, name: str) -> Checkpoint | None:
        with self._read("a checkpoint") as connection:
            query = select(as_text(CheckpointRow.body)).where(CheckpointRow.name == name)
            body = connection.execute(query).scalar_one_or_none()
        return None if body is None else parse(Checkpoint, body)

    def checkpoints(self) -> tuple[Checkpoint, ...]:
        """All checkpoints, newest last."""
        with self._read("the checkpoints") as connection:
            bodies = connection.scalars(select(as_text(CheckpointRow.body)).order_by(CheckpointRow.seq))
            return tuple(parse(Checkpoint, body) for body in bodies)

    def add_release(
        self,
        release: Release,
        reason: str = "",
        *,
        checkpoints: Sequence[Checkpoint] = (),
        ledger: Sequence[LedgerEvent] = (),
    ) -> bool:
        """Register a release with its `CREATED` event. False, and no change, when an equal one is there.
        `checkpoints` and `ledger`: weights and bank that come with it, from elsewhere, in the same transaction.

        Raises `StoreError` when the id or the name belongs to another release.
        """
        with self._write(f"release {release.name}") as connection:
            query = select(as_text(ReleaseRow.body)).where(
                (ReleaseRow.id == release.id) | (ReleaseRow.name == release.name)
            )
            known = [parse(Release, body) for body in connection.scalars(query)]
            if known == [release]:
                return False
            if known:
                raise StoreError(
                    f"release {release.name} ({release.id}) has the id or name of {known[0].name} ({known[0].id})",
                    "releases never change: give it a new id and name",
                )
            for checkpoint in checkpoints:
                _add_checkpoint(connection, checkpoint)
            append_to(connection, ledger)
            connection.execute(
                insert(ReleaseRow).values(
                    id=release.id,
                    seq=next_seq(connection, ReleaseRow.seq),
                    name=release.name,
                    created_at=utcnow(),
                    body=to_body(release),
                )
            )
            _append(connection, ReleaseEventKind.CREATED, release.id, None, reason)
        return True

    def release(self, id_or_name: str) -> Release | None:
        """By id, or where no release has that id by name."""
        query = select(ReleaseRow.id, as_text(ReleaseRow.body)).where(
            (ReleaseRow.id == id_or_name) | (ReleaseRow.name == id_or_name)
        )
        with self._read("a release") as connection:
            found: dict[str, str] = dict(connection.execute(query).all())
        body = found.get(id_or_name) or next(iter(found.values()), None)
        return None if body is None else parse(Release, body)

    def releases(self) -> tuple[Release, ...]:
        """All releases, newest last."""
        with self._read("the releases") as connection:
            bodies = connection.scalars(select(as_text(ReleaseRow.body)).order_by(ReleaseRow.seq))
            return tuple(parse(Release, body) for body in bodies)

    def release_events(self) -> tuple[ReleaseEvent, ...]:
        with self._read("the release events") as connection:
            bodies = connection.scalars(select(as_text(ReleaseEventRow.body)).order_by(ReleaseEventRow.seq))
            return tuple(parse(ReleaseEvent, body) for body in bodies)

    def append_release_event(
        self,
        kind: ReleaseEventKind,
        release_id: str,
        gate_id: str | None = None,
        reason: str = "",
        *,
        ledger: Sequence[LedgerEvent] = (),
    ) -> ReleaseEvent:
        """Append an event and return it with its `seq`. `ledger`: what becomes of the bank with it, in the same
        transaction. Raises `StoreError` for an unknown release."""
        with self._write(f"a release event ({kind})") as connection:
            append_to(connection, ledger)
            return _append(connection, kind, release_id, gate_id, reason)

    def current_release(self) -> Release | None:
        """The release of the last `PROMOTED` or `ROLLED_BACK` event, None before the first."""
        query = (
            select(as_text(ReleaseRow.body))
            .join(ReleaseEventRow, ReleaseEventRow.release_id == ReleaseRow.id)
            .where(ReleaseEventRow.kind.in_(_TAKES_EFFECT))
            .order_by(ReleaseEventRow.seq.desc())
            .limit(1)
        )
        with self._read("the present release") as connection:
            body = connection.execute(query).scalar_one_or_none()
        return None if body is None else parse(Release, body)

    def add_gate(self, decision: GateDecision, *, run_id: str) -> bool:
        """Record a decision and what follows from it (`PROMOTED`, or else `REJECTED`) in one transaction. False, and
        no change, when it is there already.

        Raises `StoreError` for an unknown run or candidate, or another decision of the same id.
        """
        with self._write(f"gate {decision.id}") as connection:
            query = select(as_text(GateRow.body)).where(GateRow.id == decision.id)
            known = connection.execute(query).scalar_one_or_none()
            if known is not None:
                if parse(GateDecision, known) != decision:
                    raise StoreError(f"there is another gate decision with the id {decision.id}")
                return False
            require_run(connection, run_id)
            promoted = decision.answer is GateAnswer.PROMOTE
            kind = ReleaseEventKind.PROMOTED if promoted else ReleaseEventKind.REJECTED
            _append(connection, kind, decision.candidate_id, decision.id, decision.reason)
            connection.execute(
                insert(GateRow).values(
                    id=decision.id,
                    seq=next_seq(connection, GateRow.seq),
                    run_id=run_id,
                    candidate_id=decision.candidate_id,
                    incumbent_id=decision.incumbent_id,
                    panel_digest=decision.panel_digest,
                    answer=decision.answer,
                    created_at=utcnow(),
                    body=to_body(decision),
                )
            )
        return True

    def gates(self, run_id: str | None = None) -> tuple[GateDecision, ...]:
        """Decisions, newest last, of one run or of all."""
        query = select(as_text(GateRow.body)).order_by(GateRow.seq)
        if run_id is not None:
            query = query.where(GateRow.run_id == run_id)
        with self._read("the gates") as connection:
            return tuple(parse(GateDecision, body) for body in connection.scalars(query))

    def panel_uses(self, panel_digest: str) -> int:
        """How many decisions this panel has made: each spends a share of its error budget."""
        query = select(func.count()).select_from(GateRow).where(GateRow.panel_digest == panel_digest)
        with self._read("the uses of a panel") as connection:
            return connection.execute(query).scalar_one()


def _append(
    connection: Connection, kind: ReleaseEventKind, release_id: str, gate_id: str | None, reason: str
) -> ReleaseEvent:
    if connection.execute(select(ReleaseRow.id).where(ReleaseRow.id == release_id)).one_or_none() is None:
        raise StoreError(f"the store knows no release {release_id!r}", "call add_release first")
    event = ReleaseEvent(
        seq=next_seq(connection, ReleaseEventRow.seq), kind=kind, release_id=release_id, gate_id=gate_id, reason=reason
    )
    connection.execute(
        insert(ReleaseEventRow).values(
            seq=event.seq, kind=kind, release_id=release_id, created_at=utcnow(), body=to_body(event)
        )
    )
    return event


def _add_checkpoint(connection: Connection, checkpoint: Checkpoint) -> bool:
    query = select(as_text(CheckpointRow.body)).where(CheckpointRow.name == checkpoint.name)
    known = connection.execute(query).scalar_one_or_none()
    if known is not None:
        if parse(Checkpoint, known) != checkpoint:
            raise StoreError(f"there is another checkpoint named {checkpoint.name}", "choose a new name")
        return False
    connection.execute(
        insert(CheckpointRow).values(
            name=checkpoint.name,
            seq=next_seq(connection, CheckpointRow.seq),
            sha256=checkpoint.sha256,
            created_at=utcnow(),
            body=to_body(checkpoint),
        )
    )
    return True
