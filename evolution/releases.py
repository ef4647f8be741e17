"""Going back to an earlier release."""

from wisen.core.errors import SettingsError
from wisen.core.records import Release, ReleaseEventKind
from wisen.core.store import Store


def roll_back(store: Store, name: str = "") -> tuple[Release, Release]:
    """(the release that was present, the one that is now): `name`, or the present one's parent. Raises `SettingsError`
    where there is nothing to go back to, or the release named was never present."""
    present = store.current_release()
    if present is None:
        raise SettingsError("this workspace has no release yet", "run `wisen evolve` first")
    target = store.release(name or present.parent_id or "")
    if target is None:
        known = ", ".join(release.name for release in store.releases())
        raise SettingsError(
            f"there is no release {name!r}" if name else f"{present.name} has no parent", f"known: {known}"
        )
    served = {
        event.release_id
        for event in store.release_events()
        if event.kind in (ReleaseEventKind.PROMOTED, ReleaseEventKind.ROLLED_BACK)
    }
    if target.id not in served:
        raise SettingsError(f"{target.name} was never promoted", "only a release that passed its gate can be served")
    store.append_release_event(ReleaseEventKind.ROLLED_BACK, target.id, reason=f"rolled back from {present.name}")
    return present, target
