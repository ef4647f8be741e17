"""The store and the bank of an application that learns, behind one thread: off the event loop, one thing at a time."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from wisen.core.errors import SettingsError
from wisen.core.records import Episode, MemoryItem, Task, Trajectory, Verdict
from wisen.core.store import Store
from wisen.core.workspace import Workspace
from wisen.memory.bank import Bank, Snapshot

T = TypeVar("T")


class Keeper:
    """Keeps episodes of one application. An episode is stored whole or not at all, and what it proposes is offered to
    the bank once: a process that was killed between the two does the second when the keeper is opened again."""

    def __init__(self, workspace: Workspace, *, run_id: str, name: str, shared: bool = False) -> None:
        self._workspace, self._run_id, self._name, self._shared = workspace, run_id, name, shared
        self._thread: ThreadPoolExecutor | None = None
        self._store: Store
        self._bank: Bank

    async def open(self) -> None:
        """Raises `StoreError` for a store that cannot be used."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")
        try:
            await self._do(self._open)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Finish what was begun, and close. Closing twice is once."""
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown)
            if hasattr(self, "_store"):
                self._store.close()

    async def snapshot(self, version: int | None) -> Snapshot:
        """The bank at a version, None for the newest. Raises `BankError` for one that never was."""
        return await self._do(lambda: self._bank.snapshot(version))

    async def kept(self, trajectory_id: str) -> Episode | None:
        """The episode of that id, if it is stored, without its recall."""
        return await self._do(lambda: self._kept(trajectory_id))

    async def attempts(self, task: Task) -> list[tuple[Trajectory, Verdict]]:
        """Earlier attempts at the task, each with its newest verdict."""
        return await self._do(lambda: self._attempts(task))

    async def keep(self, episode: Episode) -> tuple[Episode, int]:
        """Store an episode and offer its proposals: (the episode as stored, the bank's version then). Of two of one id
        the first is kept."""
        return await self._do(lambda: self._keep(episode))

    async def change(self, work: Callable[[Bank], T]) -> T:
        """Do something to the bank, in the keeper's thread."""
        return await self._do(lambda: work(self._bank))

    async def ask(self, work: Callable[[Store], T]) -> T:
        """Look something up in the store, in the keeper's thread."""
        return await self._do(lambda: work(self._store))

    async def _do(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            raise SettingsError("this experience is not open", "run the graph inside `async with Experience(…)`")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Below: blocking, in the keeper's thread.

    def _open(self) -> None:
        self._store = self._workspace.open_store(shared=self._shared)
        self._bank = Bank(self._store)
        self._store.start_run(self._run_id, {"application": self._name}, title=self._name)
        offered = self._store.marks(self._run_id)
        left = [
            recall.trajectory_id
            for recall in self._store.recalls(run_id=self._run_id)
            if _mark(recall.trajectory_id) not in offered
        ]
        proposals = self._store.proposals(left)
        for trajectory_id in left:
            self._offer(trajectory_id, proposals.get(trajectory_id, ()))

    def _kept(self, trajectory_id: str) -> Episode | None:
        trajectory = self._store.trajectory(trajectory_id)
        if trajectory is None:
            return None
        return Episode(
            trajectory=trajectory,
            verdicts=self._store.verdicts([trajectory_id])[trajectory_id],
            proposals=self._store.proposals([trajectory_id]).get(trajectory_id, ()),
        )

    def _attempts(self, task: Task) -> list[tuple[Trajectory, Verdict]]:
        trajectories = self._store.trajectories(run_id=self._run_id, task_id=task.id)
        verdicts = self._store.verdicts([one.id for one in trajectories])
        return [(one, verdicts[one.id][-1]) for one in trajectories]

    def _keep(self, episode: Episode) -> tuple[Episode, int]:
        if not self._store.add_episode(episode):
            episode = self._kept(episode.trajectory.id) or episode
        return episode, self._offer(episode.trajectory.id, episode.proposals)

    def _offer(self, trajectory_id: str, items: Sequence[MemoryItem]) -> int:
        """Once for each episode, by its mark: a bank that was set back since is not filled again."""
        mark = (self._run_id, _mark(trajectory_id), {"items": [item.id for item in items]})
        return self._bank.propose(items, actor=self._name, mark=mark)


def _mark(trajectory_id: str) -> str:
    return f"offered/{trajectory_id}"
