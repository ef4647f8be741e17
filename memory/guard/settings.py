"""What of the guard can be chosen: the table `guard` of the settings."""

from wisen.core.records import Trust
from wisen.memory.guard.consensus import ConsensusSettings


class GuardSettings(ConsensusSettings):
    """consensus: whether items are held against related ones, when they come and when they are recalled; the rest of
    the numbers belong to it. hold: trust classes whose new items wait for a person's approval."""

    consensus: bool = False
    hold: tuple[Trust, ...] = ()
