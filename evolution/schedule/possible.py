"""What is wrong with a schedule's settings before anything is opened."""

from wisen.core.errors import SettingsError
from wisen.evolution.settings import EvolveSettings, is_remote


def require_possible(settings: EvolveSettings) -> None:
    """Raises `SettingsError` where nothing would ever be due, or a limit would say nothing."""
    plan = settings.schedule
    if not (plan.cron or plan.trajectories):
        raise SettingsError(
            "nothing says when a cycle is due", 'give --cron "0 2 * * *", or --trajectories 200, or both'
        )
    models = (settings.model, settings.writer, settings.judge)
    if (plan.turn.dollars or plan.total.dollars) and not any(is_remote(name) for name in models):
        raise SettingsError("a limit in dollars means nothing to models of this machine", "limit hours or tokens")
