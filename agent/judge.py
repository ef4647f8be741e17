"""Says how an attempt went: the environment where it can, a model where nothing else can."""

from typing import Annotated

from pydantic import BaseModel, Field

from wisen.core.errors import SettingsError
from wisen.core.protocols import Capability, Judgement, Model
from wisen.core.records import EpisodeEnd, Trajectory, Verdict, VerdictSource
from wisen.memory.judging import JUDGE_PROMPT, judge_request
from wisen.memory.structured import ask


class EnvironmentJudge:
    """The environment's own word, at full confidence; the summed reward is the score.

    An episode that broke counts as a failure, with the error as its reason. `decides` says that the environment scores
    every task to its end, so that an attempt that it left undecided (the step limit came first) failed too; otherwise
    such an attempt is a `SettingsError`, since the environment may have nothing to say at all.
    """

    def __init__(self, *, decides: bool = False) -> None:
        self._decides = decides

    async def judge(self, trajectory: Trajectory) -> Verdict:
        success, reason = trajectory.success, ""
        if success is None and trajectory.end is EpisodeEnd.FAILED:
            success, reason = False, f"the episode broke: {trajectory.error}"
        if success is None and self._decides:
            success, reason = False, f"undecided at its end: {trajectory.end.value}"
        if success is None:
            raise SettingsError(
                f"{trajectory.task.environment} does not say whether {trajectory.task.id} succeeded",
                "give a judge model",
            )
        return Verdict(
            trajectory_id=trajectory.id,
            source=VerdictSource.ENVIRONMENT,
            success=success,
            score=trajectory.reward,
            reason=reason,
            author=trajectory.task.environment,
        )


class _Opinion(BaseModel):
    success: bool
    confidence: float = Field(ge=0.0, le=1.0)
    reason: Annotated[str, Field(min_length=1)]


class ModelJudge:
    """A language model's opinion, at temperature 0, of the whole record. Unsure means failure: the prompt says so, and
    a success below `min_confidence` is counted as a failure. The score is 1 or 0. What the environment has left for a
    judge (`FOR_THE_JUDGE`) comes before the record.

    Raises `SettingsError` for a model that cannot chat; `judge` raises `MalformedReply`, a `ModelFault`, where two
    replies cannot be read, and what the model itself raises.
    """

    def __init__(self, model: Model, *, min_confidence: float = 0.5, max_tokens: int = 512) -> None:
        if Capability.CHAT not in model.capabilities:
            raise SettingsError(f"{model.name} cannot judge: it writes no free text", "give a chat model")
        if not 0.0 <= min_confidence <= 1.0:
            raise SettingsError(f"min_confidence is {min_confidence}", "it must be from 0 to 1")
        self._model = model
        self._min_confidence = min_confidence
        self._max_tokens = max_tokens

    async def judge(self, trajectory: Trajectory) -> Verdict:
        opinion = await ask(self._model, judge_request(trajectory, max_tokens=self._max_tokens), _Opinion)
        success, confidence, reason = opinion.success, opinion.confidence, opinion.reason
        if success and confidence < self._min_confidence:
            success, confidence, reason = False, 1.0 - confidence, f"unsure, so a failure: {reason}"
        return Verdict(
            trajectory_id=trajectory.id,
            source=VerdictSource.JUDGE,
            success=success,
            score=float(success),
            confidence=confidence,
            reason=reason,
            author=f"{self._model.name} (judge prompt {JUDGE_PROMPT})",
        )


class Judge:
    """The environment first; the model only where the environment says nothing."""

    def __init__(self, environment: EnvironmentJudge, model: ModelJudge | None) -> None:
        self._environment = environment
        self._model = model

    async def judge(self, trajectory: Trajectory) -> Verdict:
        """Raises `SettingsError` where neither can say, and what `ModelJudge` raises."""
        undecided = trajectory.success is None and trajectory.end is not EpisodeEnd.FAILED
        if undecided and self._model is not None:
            return await self._model.judge(trajectory)
        return await self._environment.judge(trajectory)


def choose_judge(model: Model | None = None, *, environment_decides: bool = False) -> Judgement:
    """The judge for a run. With `environment_decides` (it scores every task to its end) no model is ever asked, and a
    model given all the same raises `SettingsError`, since it would be ignored. Without, `model` judges what the
    environment leaves open."""
    if environment_decides:
        if model is not None:
            raise SettingsError(f"the judge {model.name} would never be asked", "the environment decides: leave it out")
        return EnvironmentJudge(decides=True)
    return Judge(EnvironmentJudge(), None if model is None else ModelJudge(model))
