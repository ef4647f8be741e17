"""Episodes: trajectories, and beside them verdicts, recalls and proposed memory items."""

from collections.abc import Iterable
from itertools import groupby

from sqlalchemy import ColumnElement, Connection, func, insert, select

from wisen.core.errors import StoreError
from wisen.core.records import (
    Episode,
    EpisodeEnd,
    MemoryItem,
    Outcome,
    Phase,
    Recall,
    Trajectory,
    Verdict,
    VerdictSource,
    utcnow,
)
from wisen.core.store.base import StoreBase, as_text, chunks, next_seq, parse, to_body
from wisen.core.store.runs import require_run
from wisen.core.store.tables import ProposalRow, RecallRow, TrajectoryRow, VerdictRow


class Episodes(StoreBase):
    def add_episode(self, episode: Episode) -> bool:
        """Take an episode whole, in one transaction. False, and no change, when its trajectory is there already.

        Raises `StoreError` when its parts name different trajectories, or its run is unknown.
        """
        trajectory = episode.trajectory
        recalls = (*([episode.recall] if episode.recall is not None else []), *episode.later_recalls)
        parts = {one.trajectory_id for one in episode.verdicts} | {one.trajectory_id for one in recalls}
        strangers = parts - {trajectory.id}
        if strangers:
            raise StoreError(f"the episode of {trajectory.id} has parts of {', '.join(sorted(strangers))}")
        with self._write(f"episode {trajectory.id}") as connection:
            if _has(connection, trajectory.id):
                return False
            require_run(connection, trajectory.run_id)
            now = utcnow()
            connection.execute(
                insert(TrajectoryRow).values(
                    id=trajectory.id,
                    run_id=trajectory.run_id,
                    phase=trajectory.phase,
                    arm=trajectory.arm,
                    release_id=trajectory.release_id,
                    task_id=trajectory.task.id,
                    template_id=trajectory.task.template_id,
                    attempt=trajectory.attempt,
                    success=trajectory.success,
                    reward=trajectory.reward,
                    steps=len(trajectory.steps),
                    end=trajectory.end,
                    seconds=episode.seconds,
                    created_at=now,
                    body=to_body(trajectory),
                )
            )
            for verdict in episode.verdicts:
                _insert_verdict(connection, verdict)
            for one in recalls:
                connection.execute(
                    insert(RecallRow).values(
                        id=one.id,
                        trajectory_id=one.trajectory_id,
                        bank_version=one.bank_version,
                        release_id=one.release_id,
                        arm=one.arm,
                        created_at=now,
                        body=to_body(one),
                    )
                )
            for position, item in enumerate(episode.proposals):
                connection.execute(
                    insert(ProposalRow).values(
                        trajectory_id=trajectory.id,
                        position=position,
                        item_id=item.id,
                        created_at=now,
                        body=to_body(item),
                    )
                )
        return True

    def present(self, ids: Iterable[str]) -> set[str]:
        """Those of the trajectory ids that are in the store."""
        with self._read("trajectory ids") as connection:
            return {
                found
                for chunk in chunks(ids)
                for found in connection.scalars(select(TrajectoryRow.id).where(TrajectoryRow.id.in_(chunk)))
            }

    def count_trajectories(self, *, run_id: str | None = None, phase: Phase | None = None) -> int:
        """Of one run, of one phase, or of all."""
        query = select(func.count()).select_from(TrajectoryRow).where(*_within(run_id, phase))
        with self._read("the number of trajectories") as connection:
            return connection.execute(query).scalar_one()

    def trajectory(self, id: str) -> Trajectory | None:
        return next(iter(self.trajectories([id])), None)

    def trajectories(
        self,
        ids: Iterable[str] | None = None,
        *,
        run_id: str | None = None,
        phase: Phase | None = None,
        task_id: str | None = None,
        release_id: str | None = None,
        success: bool | None = None,
    ) -> tuple[Trajectory, ...]:
        """Whole trajectories that meet every condition given. With `ids`: in their order, unknown ones left out;
        otherwise ordered by id, so that the order does not depend on which episode ended first. `success` is the
        trajectory's own; what judges said is in `outcomes`."""
        conditions = _within(run_id, phase)
        if task_id is not None:
            conditions.append(TrajectoryRow.task_id == task_id)
        if release_id is not None:
            conditions.append(TrajectoryRow.release_id == release_id)
        if success is not None:
            conditions.append(TrajectoryRow.success.is_(success))
        query = select(TrajectoryRow.id, as_text(TrajectoryRow.body)).where(*conditions).order_by(TrajectoryRow.id)
        with self._read("trajectories") as connection:
            if ids is None:
                return tuple(parse(Trajectory, body) for _, body in connection.execute(query))
            wanted = list(dict.fromkeys(ids))
            found: dict[str, Trajectory] = {}
            for chunk in chunks(wanted):
                for key, body in connection.execute(query.where(TrajectoryRow.id.in_(chunk))):
                    found[key] = parse(Trajectory, body)
        return tuple(found[key] for key in wanted if key in found)

    def trajectory_ids(self, run_id: str) -> tuple[str, ...]:
        """The run's trajectories in the order in which they were stored."""
        query = select(TrajectoryRow.id).where(TrajectoryRow.run_id == run_id)
        with self._read("trajectory ids") as connection:
            return tuple(connection.scalars(query.order_by(TrajectoryRow.created_at, TrajectoryRow.id)))

    def outcomes(self, ids: Iterable[str]) -> dict[str, Outcome]:
        """How attempts went, in the order of the ids; unknown ones left out. Reads columns only, no bodies."""
        trajectory = select(
            TrajectoryRow.id,
            TrajectoryRow.task_id,
            TrajectoryRow.template_id,
            TrajectoryRow.success,
            TrajectoryRow.reward,
            TrajectoryRow.steps,
            TrajectoryRow.end,
            TrajectoryRow.seconds,
            TrajectoryRow.arm,
        )
        verdict = select(VerdictRow.trajectory_id, VerdictRow.source, VerdictRow.success).order_by(VerdictRow.seq)
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Outcome] = {}
        with self._read("outcomes") as connection:
            for chunk in chunks(wanted):
                judged: dict[str, bool] = {}
                by_environment: dict[str, bool] = {}
                for key, source, success in connection.execute(verdict.where(VerdictRow.trajectory_id.in_(chunk))):
                    (by_environment if source == VerdictSource.ENVIRONMENT else judged)[key] = success  # newest stays
                judged |= by_environment
                for row in connection.execute(trajectory.where(TrajectoryRow.id.in_(chunk))):
                    found[row.id] = Outcome(
                        trajectory_id=row.id,
                        task_id=row.task_id,
                        template_id=row.template_id,
                        success=judged.get(row.id, row.success is True),
                        reward=row.reward,
                        steps=row.steps,
                        end=EpisodeEnd(row.end),
                        seconds=row.seconds,
                        arm=row.arm,
                    )
        return {key: found[key] for key in wanted if key in found}

    def add_verdict(self, verdict: Verdict) -> bool:
        """Add a verdict beside the earlier ones. False, and no change, when its author's newest verdict on this
        trajectory is equal to it. Raises `StoreError` for an unknown trajectory."""
        with self._write(f"a verdict on {verdict.trajectory_id}") as connection:
            if not _has(connection, verdict.trajectory_id):
                raise StoreError(f"the store knows no trajectory {verdict.trajectory_id!r}")
            newest = connection.execute(
                select(as_text(VerdictRow.body))
                .where(
                    VerdictRow.trajectory_id == verdict.trajectory_id,
                    VerdictRow.source == verdict.source,
                    VerdictRow.author == verdict.author,
                )
                .order_by(VerdictRow.seq.desc())
                .limit(1)
            ).scalar_one_or_none()
            if newest is not None and parse(Verdict, newest) == verdict:
                return False
            _insert_verdict(connection, verdict)
        return True

    def templates(self) -> dict[str, str]:
        """By id, the template of each task that was played."""
        with self._read("tasks") as connection:
            rows = connection.execute(select(TrajectoryRow.task_id, TrajectoryRow.template_id).distinct())
            return {row.task_id: row.template_id for row in rows}

    def verdicts(self, ids: Iterable[str]) -> dict[str, tuple[Verdict, ...]]:
        """Verdicts by trajectory id, oldest first; a trajectory without any has no entry."""
        query = select(VerdictRow.trajectory_id, as_text(VerdictRow.body)).order_by(VerdictRow.seq)
        found: dict[str, list[Verdict]] = {}
        with self._read("verdicts") as connection:
            for chunk in chunks(ids):
                for key, body in connection.execute(query.where(VerdictRow.trajectory_id.in_(chunk))):
                    found.setdefault(key, []).append(parse(Verdict, body))
        return {key: tuple(verdicts) for key, verdicts in found.items()}

    def recalls(
        self, ids: Iterable[str] | None = None, *, run_id: str | None = None, phase: Phase | None = None
    ) -> tuple[Recall, ...]:
        """Recalls of the trajectories named, or of all; ordered by trajectory id, those of one in their turn."""
        query = (
            select(as_text(RecallRow.body))
            .join(TrajectoryRow, TrajectoryRow.id == RecallRow.trajectory_id)
            .where(*_within(run_id, phase))
            .order_by(RecallRow.trajectory_id, RecallRow.id)
        )
        with self._read("recalls") as connection:
            if ids is None:
                return _in_turn(parse(Recall, body) for body in connection.scalars(query))
            return _in_turn(
                parse(Recall, body)
                for chunk in chunks(sorted(ids))
                for body in connection.scalars(query.where(RecallRow.trajectory_id.in_(chunk)))
            )

    def proposals(self, ids: Iterable[str]) -> dict[str, tuple[MemoryItem, ...]]:
        """Items proposed by episodes, by trajectory id and in their order; one without any has no entry."""
        query = select(ProposalRow.trajectory_id, as_text(ProposalRow.body)).order_by(ProposalRow.position)
        found: dict[str, list[MemoryItem]] = {}
        with self._read("proposals") as connection:
            for chunk in chunks(ids):
                for key, body in connection.execute(query.where(ProposalRow.trajectory_id.in_(chunk))):
                    found.setdefault(key, []).append(parse(MemoryItem, body))
        return {key: tuple(items) for key, items in found.items()}


def _has(connection: Connection, id: str) -> bool:
    return connection.execute(select(TrajectoryRow.id).where(TrajectoryRow.id == id)).one_or_none() is not None


def _in_turn(recalls: Iterable[Recall]) -> tuple[Recall, ...]:
    """Ordered by trajectory already."""
    return tuple(
        recall
        for _, episode in groupby(recalls, key=lambda one: one.trajectory_id)
        for recall in sorted(episode, key=lambda one: one.number)
    )


def _within(run_id: str | None, phase: Phase | None) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if run_id is not None:
        conditions.append(TrajectoryRow.run_id == run_id)
    if phase is not None:
        conditions.append(TrajectoryRow.phase == phase)
    return conditions


def _insert_verdict(connection: Connection, verdict: Verdict) -> None:
    connection.execute(
        insert(VerdictRow).values(
            seq=next_seq(connection, VerdictRow.seq),
            trajectory_id=verdict.trajectory_id,
            source=verdict.source,
            author=verdict.author,
            success=verdict.success,
            score=verdict.score,
            created_at=utcnow(),
            body=to_body(verdict),
        )
    )
