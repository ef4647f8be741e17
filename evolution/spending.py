"""What a run's remote models took, in a line, and for its report."""

from collections.abc import Iterable, Mapping

from wisen.core.protocols import Metered, Model
from wisen.core.records import Spent, Trajectory, Usage
from wisen.core.store import Store


def told(model: Model) -> str:
    """A line about a model whose calls cost something; empty for all others, and where none was answered."""
    spent = model.spent if isinstance(model, Metered) else None
    return "" if spent is None or not spent.calls else f"{spent.model}: {spent.calls:,} answers, {spent.usage.told()}"


def acting(store: Store, run_id: str, model: str) -> Spent:
    """What a run's trajectories took of the acting model: of all of them, also those of before it was stopped."""
    calls = [
        call.reply.usage
        for trajectory in store.trajectories(run_id=run_id)
        for step in trajectory.steps
        for call in step.calls
        if call.model == model
    ]
    return Spent(model=model, calls=len(calls), usage=sum(calls, Usage()))


def of_all(models: Iterable[Model]) -> Usage:
    """What the metered ones among them took since they were made."""
    return sum((model.spent.usage for model in models if isinstance(model, Metered)), Usage())


def unmetered(trajectory: Trajectory, models: Mapping[str, Model]) -> Usage:
    """What an episode took of models that do not say themselves what they took. `models`: by name."""
    calls = (call for step in trajectory.steps for call in step.calls)
    return sum((call.reply.usage for call in calls if not isinstance(models.get(call.model), Metered)), Usage())
