"""From an observation to an action: asks the model in the way that it understands."""

from collections.abc import Sequence

from wisen.agent.moments import RECALL_TOOL
from wisen.agent.prompts import compact, instruct
from wisen.core.errors import ModelFault, SettingsError, UnreadableReply
from wisen.core.ids import derived_seed
from wisen.core.protocols import Capability, Model
from wisen.core.records import (
    Action,
    EpisodeRequest,
    MemoryItem,
    ModelCall,
    ModelReply,
    ModelRequest,
    Observation,
    Purpose,
)


async def decide(
    model: Model,
    observation: Observation,
    *,
    request: EpisodeRequest,
    history: Sequence[str],
    items: Sequence[MemoryItem],
    tried: frozenset[str],
    step: int,
    drafts: Sequence[ModelCall] = (),
    recall_tool: bool = False,
) -> tuple[Action, ModelCall] | None:
    """(action, the call that chose it); None when nothing is left to try here.

    `tried` are actions that left this very observation unchanged: they are not offered again, for any policy, so that
    a greedy one does not loop. Models that choose get the admissible actions, models with tool calls the tools, others
    the list of actions in words; where none is listed, a model that chooses and can also write is asked to write.
    `drafts` are the calls of this step so far that this one replaces; with `recall_tool` a model with tool calls may
    ask its memory.
    """
    options = tuple(action for action in observation.actions if action not in tried)
    seed = derived_seed(request.seed, "act", request.task.id, request.attempt, step)
    if chooses(model, observation):
        if not observation.actions:
            raise ModelFault(
                f"{model.name} chooses among admissible actions, and none is listed",
                "where an environment lists none, use a model that writes text or calls tools",
            )
        if not options:
            return None
        asked = ModelRequest(
            purpose=Purpose.ACT,
            messages=compact(observation, history, items),
            options=options,
            temperature=request.temperature,
            explore=request.explore,
            seed=seed,
        )
        reply = await model.call(asked)
        action = Action(text=reply.text)
    else:
        tools = observation.tools if Capability.TOOLS in model.capabilities else ()
        tools = (*tools, RECALL_TOOL) if recall_tool else tools
        asked = ModelRequest(
            purpose=Purpose.ACT,
            messages=instruct(observation, history, items, tools=bool(tools)),
            tools=tools,
            temperature=request.temperature,
            explore=request.explore,
            seed=seed,
        )
        try:
            reply = await model.call(asked)
        except UnreadableReply as fault:  # a step that was wasted, not an episode that broke
            reply = ModelReply(text=fault.wrote, finish_reason="unreadable")
        action = _from_words(reply, observation)
    again = f".{len(drafts)}" if drafts else ""
    call = ModelCall(
        id=f"{request.trajectory_id}/{step}{again}",
        model=model.name,
        request=asked,
        reply=reply,
        parent_id=drafts[-1].id if drafts else None,
    )
    return action, call


def chooses(model: Model, observation: Observation) -> bool:
    """Whether this model chooses here; else it writes, or calls tools."""
    return Capability.CHOICE in model.capabilities and (
        bool(observation.actions) or Capability.CHAT not in model.capabilities
    )


def require_tools(model: Model, observation: Observation) -> None:
    """Raises `SettingsError` where this model could not call for memory."""
    if chooses(model, observation) or Capability.TOOLS not in model.capabilities:
        raise SettingsError(f"recall.when is tool, and {model.name} calls no tools here", "take start, stuck or weak")
    if not observation.tools:
        raise SettingsError("recall.when is tool, and the environment offers no tools", "take start or stuck")
    if any(tool.name == RECALL_TOOL.name for tool in observation.tools):
        raise SettingsError(
            f"the environment has a tool {RECALL_TOOL.name!r} of its own", "recall.when: take start or stuck"
        )


def _from_words(reply: ModelReply, observation: Observation) -> Action:
    """The tool call, or the admissible action that the text names. Other text, or none, goes to the environment, which
    says what is wrong with it; where no actions are listed all of it is the action."""
    if reply.tool_calls:
        return Action(tool_call=reply.tool_calls[0])
    if not observation.actions:
        return Action(text=reply.text.strip())
    lines = [line.strip().strip("`") for line in reply.text.splitlines() if line.strip()]
    for line in reversed(lines):
        if line in observation.actions:
            return Action(text=line)
    return Action(text=lines[-1] if lines else "")
