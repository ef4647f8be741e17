"""What a run's remote models took, in a line, and for its report."""

from wisen.core.protocols import Metered, Model
from wisen.core.records import Spent, Usage
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
