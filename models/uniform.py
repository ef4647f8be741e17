"""The random policy: the control that every learned one must beat."""

import math
import random

from wisen.core.errors import SettingsError
from wisen.core.ids import derived_seed
from wisen.core.protocols import Capability
from wisen.core.records import Choice, ModelReply, ModelRequest


class UniformModel:
    """Chooses uniformly among the admissible actions, by the request's seed."""

    name = "uniform"
    capabilities = frozenset((Capability.CHOICE,))

    async def call(self, request: ModelRequest) -> ModelReply:
        if not request.options:
            raise SettingsError("the random policy chooses among options and was given none")
        count = len(request.options)
        index = random.Random(derived_seed(request.seed, "uniform")).randrange(count)
        choice = Choice(logprobs=(-math.log(count),) * count, index=index, explored=True)
        return ModelReply(text=request.options[index], choice=choice)

    async def close(self) -> None:
        return None
