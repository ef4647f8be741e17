"""Rolling back: to the parent or to a name, only to what was served, and never by deleting."""

from collections.abc import Iterator

import pytest

from wisen.core.errors import SettingsError
from wisen.core.records import Release, ReleaseEventKind
from wisen.core.store import Store
from wisen.evolution.releases import roll_back


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.open("sqlite://") as opened:
        yield opened


def release(number: int, parent: Release | None = None) -> Release:
    return Release(
        id=f"release-{number}",
        name=f"r{number}",
        model=f"c{number}",
        bank_version=number,
        harness="h",
        parent_id=parent.id if parent else None,
    )


def line_of(store: Store, *promoted: bool) -> list[Release]:
    """r0, r1, … each the child of the one present when it was made; those not promoted are rejected."""
    made: list[Release] = []
    for number, wins in enumerate(promoted):
        made.append(release(number, store.current_release()))
        store.add_release(made[-1])
        kind = ReleaseEventKind.PROMOTED if wins else ReleaseEventKind.REJECTED
        store.append_release_event(kind, made[-1].id)
    return made


def test_without_a_name_it_goes_to_the_parent_and_can_go_forth_again(store: Store) -> None:
    r0, r1, r2 = line_of(store, True, True, True)
    assert roll_back(store) == (r2, r1)
    assert roll_back(store) == (r1, r0)
    assert store.current_release() == r0
    assert roll_back(store, "r2") == (r0, r2)
    assert roll_back(store, r1.id) == (r2, r1)
    kinds = [event.kind for event in store.release_events()]
    assert kinds.count(ReleaseEventKind.ROLLED_BACK) == 4 and store.releases() == (r0, r1, r2)
    assert store.release_events()[-1].reason == "rolled back from r2"


def test_a_rejected_release_is_skipped_and_refused(store: Store) -> None:
    r0, _, r2 = line_of(store, True, False, True)
    with pytest.raises(SettingsError, match="r1 was never promoted"):
        roll_back(store, "r1")
    assert roll_back(store) == (r2, r0)


def test_where_there_is_nothing_to_go_back_to(store: Store) -> None:
    with pytest.raises(SettingsError, match="no release yet"):
        roll_back(store)
    line_of(store, True)
    with pytest.raises(SettingsError, match="r0 has no parent"):
        roll_back(store)
    with pytest.raises(SettingsError, match=r"no release 'r9' .*known: r0"):
        roll_back(store, "r9")
    assert [event.kind for event in store.release_events()] == [ReleaseEventKind.CREATED, ReleaseEventKind.PROMOTED]
