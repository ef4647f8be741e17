"""A deterministic model that gives the replies it was told to. For tests that need a given reply."""

from collections.abc import Callable, Iterable

from wisen.core.errors import ModelFault, SettingsError
from wisen.core.protocols import Capability
from wisen.core.records import ModelReply, ModelRequest

Scripted = str | ModelReply | Exception


class ScriptedModel:
    """Gives `replies` in the order of the calls; an exception among them is raised. With a function instead, each
    request is answered by it. `requests` holds what was asked. Runs out with a `ModelFault`.

    It samples nothing, so temperature and seed change nothing: a script is what it is at any of them.
    """

    def __init__(
        self,
        replies: Iterable[Scripted] | Callable[[ModelRequest], Scripted],
        *,
        name: str = "scripted",
        capabilities: Iterable[Capability] = (Capability.CHAT, Capability.TOOLS),
    ) -> None:
        self._answer = replies if callable(replies) else None
        self._left = [] if callable(replies) else list(replies)
        self._name = name
        self._capabilities = frozenset(capabilities)
        self.requests: list[ModelRequest] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def capabilities(self) -> frozenset[Capability]:
        return self._capabilities

    async def call(self, request: ModelRequest) -> ModelReply:
        """The next reply. Raises `SettingsError` for a field that its capabilities leave out."""
        if (request.options or request.explore) and Capability.CHOICE not in self._capabilities:
            raise SettingsError(f"{self._name} cannot choose among options", "give it the capability CHOICE")
        if request.tools and Capability.TOOLS not in self._capabilities:
            raise SettingsError(f"{self._name} has no tool calls", "give it the capability TOOLS")
        self.requests.append(request)
        if self._answer is not None:
            reply = self._answer(request)
        elif self._left:
            reply = self._left.pop(0)
        else:
            raise ModelFault(f"{self._name} has no reply left for call {len(self.requests)}", "give it more replies")
        if isinstance(reply, Exception):
            raise reply
        return ModelReply(text=reply) if isinstance(reply, str) else reply

    async def close(self) -> None:
        return None
