"""A PostgreSQL store that several processes write to at a time."""

import threading
from collections.abc import Callable

import pytest

from tests.memory.build import item
from wisen.core.errors import StoreError
from wisen.core.records import Episode, EventKind
from wisen.core.store import Store
from wisen.memory.bank import Bank


def test_members_write_beside_each_other_and_owners_wait(
    postgres_url: str, episode: Callable[..., Episode], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wisen.core.store.owner.MEMBERS_PATIENCE", 0.3)
    with Store.open(postgres_url, shared=True) as one, Store.open(postgres_url, shared=True) as two:
        one.start_run("run", {})
        assert one.add_episode(episode(1)) and not two.add_episode(episode(1)) and two.add_episode(episode(2))
        assert len(one.trajectories()) == 2
        with pytest.raises(StoreError, match=r"another wisen process \(wisen pid"):
            Store.open(postgres_url)
    with Store.open(postgres_url), pytest.raises(StoreError, match=r"another wisen process \(wisen pid"):
        Store.open(postgres_url, shared=True)


def test_what_members_propose_at_a_time_enters_once(postgres_url: str) -> None:
    """Each reads the bank before it changes it: without turns all would find the item missing, and all would add it."""
    failed: list[BaseException] = []
    ready = threading.Barrier(4)

    def work(member: int) -> None:
        try:
            with Store.open(postgres_url, shared=True) as store:
                bank = Bank(store)
                ready.wait()
                for number in range(8):
                    both = [
                        item(f"Advice {number} for all.", evidence=(f"traj-{member}",)),
                        item(f"Advice {number} of {member}."),
                    ]
                    bank.propose(both, actor=f"member {member}")
        except BaseException as error:
            failed.append(error)
            ready.abort()

    threads = [threading.Thread(target=work, args=(member,)) for member in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with Store.open(postgres_url) as store:
        events = store.events()
        proposed = [event.item_id for event in events if event.kind is EventKind.PROPOSED]
        assert len(proposed) == len(set(proposed)) == 8 + 4 * 8
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        items = Bank(store).snapshot().items
        for number in range(8):
            assert set(items[item(f"Advice {number} for all.").id].evidence) == {f"traj-{one}" for one in range(4)}


def test_sqlite_has_one_owner() -> None:
    with pytest.raises(StoreError, match="SQLite store has one owner"):
        Store.open("sqlite://", shared=True)
