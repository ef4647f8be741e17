"""One model on tasks of a suite, without learning: what `wisen run` does."""

from collections.abc import Callable

from wisen.core.errors import SettingsError
from wisen.core.records import ArmResult, MemoryMode, Phase, ProgressEvent, Release
from wisen.core.workspace import Workspace
from wisen.evolution.arms import arm_result
from wisen.evolution.settings import RunSettings
from wisen.evolution.workbench import RANDOM_POLICY, Workbench


async def play(
    settings: RunSettings, workspace: Workspace, *, on_event: Callable[[ProgressEvent], None] = lambda event: None
) -> ArmResult:
    """Play and say how it went; trajectories are in the workspace's store. Equal settings play nothing twice."""
    async with Workbench("run", settings, workspace, on_event) as bench:
        release = named_release(bench)
        tasks = bench.suite.tasks(settings.split, settings.per_template, offset=settings.offset)
        if not tasks:
            raise SettingsError(
                f"the suite {settings.suite} has no tasks under {settings.split} from {settings.offset} on",
                "a smaller offset, or another split",
            )
        bench.store.start_run(bench.run_id, bench.identity, title=f"{release.name} on {settings.suite}")
        with_memory = settings.memory and release.bank_version > 0
        requests = [
            bench.request(
                task,
                release,
                Phase.REPORT,
                MemoryMode.FROZEN if with_memory else MemoryMode.OFF,
                arm=release.name,
                temperature=settings.temperature,
                screenshots=settings.screenshots,
            )
            for task in tasks
        ]
        outcomes = await bench.play(requests, phase="run", title=f"{release.name} on {settings.suite}")
        bench.store.finish_run(bench.run_id)
    return arm_result(release.name, release.name, tasks, list(outcomes.values()))


def named_release(bench: Workbench[RunSettings]) -> Release:
    """The release that the settings name; a bare model acts over the present bank."""
    name = bench.settings.model
    present = bench.store.current_release()
    if not name:
        if present is None:
            raise SettingsError("this workspace has no release yet", "run `wisen evolve` first, or name a --model")
        return present
    if known := bench.store.release(name):
        return known
    bench.model(name)  # an unknown name is refused before anything is played
    if name == RANDOM_POLICY:
        return bench.release("random", RANDOM_POLICY, 0)
    return bench.release(name, name, present.bank_version if present else 0)
