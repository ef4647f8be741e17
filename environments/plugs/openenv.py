"""Any OpenEnv server as a suite of ours (openenv 0.10.0), by its address."""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.ids import content_id
from wisen.core.records import JSON, Action, Acts, Observation, Split, StepResult, SuiteCard, Task, ToolSpec
from wisen.environments.plugs import openenv_wire as wire
from wisen.environments.plugs.listed import chosen, deal, sizes
from wisen.environments.plugs.openenv_dialects import Dialect, dialect, read_tools, speaks_mcp
from wisen.environments.plugs.openenv_socket import Refused, Session, is_here
from wisen.environments.tasks import FIRST_SEED, refuse_closed
from wisen.environments.tool.calls import BadCall, shortened

SUITE = "openenv"
TOKEN = "WISEN_TOKEN"
_KINDS = {"train": Split.LEARN, "validation": Split.GATE, "test": Split.REPORT}
MOST_NOTED = 2_000  # characters of a note
_REFUSALS = 3  # one after another: then it is the environment that is broken, not the action


class OpenEnvSuite:
    """url: where the server is. instruction: what to do, where the server does not say. success_reward: an episode has
    succeeded whose last step is paid at least that (a server of ours says success itself). actions: the field of the
    observation that lists admissible texts, if there is one. seconds: for one answer.

    Tasks are those that the server lists. One that lists none is given seeds; whether they fix its episodes is its own
    affair. A token, where the server asks for one, comes from WISEN_TOKEN.
    """

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="Any OpenEnv server, by its address.",
        licence="the server's",
        acts=(Acts.CHOICE, Acts.TEXT, Acts.TOOLS),
        reward="as the server pays",
        success="as the server says, else a last reward of 1, or of the option success_reward",
        extra="openenv",
        needs=("the server",),
    )

    def __init__(
        self, url: str, instruction: str = "", success_reward: float = 1.0, actions: str = "", seconds: float = 60.0
    ) -> None:
        scheme, slashes, rest = str(url).rstrip("/").partition("://")
        if not slashes or scheme not in ("http", "https", "ws", "wss") or not rest:
            raise SettingsError(f"{SUITE}: {url!r} is no address of a server", "write http://127.0.0.1:8000")
        secure = scheme in ("https", "wss")
        self._http, self._ws = f"http{'s' * secure}://{rest}", f"ws{'s' * secure}://{rest}/ws"
        self._instruction, self._success, self._actions = instruction, float(success_reward), actions
        self._seconds = float(seconds)
        token = os.environ.get(TOKEN, "")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tools: tuple[ToolSpec, ...] = ()

    def card(self) -> SuiteCard:
        listed = self._listed
        return self.about.model_copy(
            update={
                "summary": str(self._metadata.get("description") or f"the OpenEnv server at {self._http}"),
                "templates": len({task.template_id for task in listed}) or None,
                "sizes": sizes(listed) if listed else {},
                "needs": (f"the server at {self._http}",),
            }
        )

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        """Raises `EnvironmentFault` when the server does not answer."""
        if self._listed:
            return chosen(self._listed, split, per_template, offset)
        first = FIRST_SEED[split] + offset
        return tuple(
            self._task(f"seed-{seed}", self._environment, split, seed, {"reset": {"seed": seed}})
            for seed in range(first, first + per_template)
        )

    async def start(self) -> None:
        """Raises `EnvironmentFault` when the server does not answer."""
        if not speaks_mcp(self._schemas):
            return
        session = self._session()
        try:
            request = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
            reply = await session.ask("mcp", request)
            self._tools = read_tools(reply.get("data", {}).get("result"))
        except (Refused, BadCall) as error:
            raise EnvironmentFault(f"{self._http} does not say which tools it has: {error}") from error
        finally:
            await session.close()

    async def create(self) -> "OpenEnvEnvironment":
        speaks = dialect(self._schemas, self._tools, self._actions)
        instruction = self._instruction or str(self._metadata.get("description") or "")
        return OpenEnvEnvironment(self._session(), speaks, instruction, self._success)

    async def stop(self) -> None:
        """Nothing is shared: sessions belong to their environments."""

    def _session(self) -> Session:
        return Session(self._ws, seconds=self._seconds, headers=self._headers)

    @cached_property
    def _schemas(self) -> JSON:
        found = self._get("/schema")
        if not isinstance(found, dict) or not isinstance(found.get("action"), dict):
            raise EnvironmentFault(f"{self._http} is no OpenEnv server: /schema names no action")
        return found

    @cached_property
    def _metadata(self) -> JSON:
        found = self._get("/metadata", optional=True)
        return found if isinstance(found, dict) else {}

    @cached_property
    def _environment(self) -> str:
        names = self._get("/list_environments", optional=True)
        first = names[0] if isinstance(names, list) and names else self._metadata.get("name") or "environment"
        return "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in str(first))[:80]

    @cached_property
    def _version(self) -> str:
        return content_id("openenv", self._schemas, self._metadata.get("version"), self._environment)

    @cached_property
    def _listed(self) -> tuple[Task, ...]:
        """The server's tasks, in our panels: by the kinds of its splits if it has all three, else dealt."""
        found = self._get(f"/{self._environment}/splits", optional=True)
        splits = [split for split in found if isinstance(split, dict)] if isinstance(found, list) else []
        specs = {
            str(split.get("name")): self._get(
                f"/{self._environment}/tasks", {"split": split.get("name")}, optional=True
            )
            for split in splits
        }
        named = {name: body["tasks"] for name, body in specs.items() if isinstance(body, dict) and body.get("tasks")}
        panels = {str(split.get("name")): _KINDS.get(str(split.get("type"))) for split in splits}
        entries = [(name, index, spec) for name, tasks in named.items() for index, spec in enumerate(tasks)]
        if {panels[name] for name in named} == set(Split):
            where = {(name, index): panels[name] for name, index, _ in entries}
        else:
            dealt = deal({f"{name}/{index}": self._template(spec) for name, index, spec in entries})
            where = {(name, index): dealt[f"{name}/{index}"] for name, index, _ in entries}
        return tuple(
            self._task(
                f"{name}/{index}",
                self._template(spec),
                where[name, index] or Split.LEARN,
                index,
                {"reset": {"split": name, "index": index}},
            )
            for name, index, spec in entries
        )

    def _template(self, spec: Any) -> str:
        named = spec.get("template_id") if isinstance(spec, dict) else None
        return str(named or self._environment)

    def _task(self, key: str, template: str, split: Split, seed: int, params: JSON) -> Task:
        return Task(
            id=f"{SUITE}/{self._environment}/{key}",
            suite=SUITE,
            environment=self._environment,
            template_id=f"{SUITE}/{template}",
            split=split,
            seed=seed,
            params=params,
            version=self._version,
        )

    def _get(self, path: str, body: JSON | None = None, *, optional: bool = False) -> Any:
        """JSON by GET, or by POST with a body. With `optional`, None where the server knows no such thing."""
        data = None if body is None else json.dumps(body).encode()
        headers = {**self._headers, "Content-Type": "application/json"}
        request = urllib.request.Request(self._http + path, data, headers)
        proxies: list[Any] = [urllib.request.ProxyHandler({})] if is_here(self._http) else []
        try:
            with urllib.request.build_opener(*proxies).open(request, timeout=self._seconds) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            if optional and error.code in (404, 405, 500, 501):
                return None
            raise EnvironmentFault(
                f"{self._http}{path} answers {error.code}",
                f"set {TOKEN} to the server's token" if error.code in (401, 403) else "is it an OpenEnv server?",
            ) from error
        except (OSError, ValueError, RecursionError) as error:
            why = getattr(error, "reason", error)
            raise EnvironmentFault(f"{self._http}{path}: {why}", "is the server running?") from error


class OpenEnvEnvironment:
    """One session. It is opened by the first reset, and again where the connection was lost."""

    def __init__(self, session: Session, speaks: Dialect, instruction: str, success_reward: float) -> None:
        self._session, self._dialect = session, speaks
        self._instruction, self._success = instruction, success_reward
        self._seen: Observation | None = None  # None: no episode is open
        self._refusals = 0
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        refuse_closed(self._closed)
        self._seen, self._refusals = None, 0
        try:
            reply = self._read(await self._session.ask("reset", dict(task.params.get("reset", {}))))
            seen = self._dialect.observation(reply, task.instruction or self._instruction)
        except Refused as told:
            raise EnvironmentFault(f"{task.id} cannot be started: {told}") from told
        if reply.done:
            raise EnvironmentFault(f"{task.id} is over as it begins")
        self._seen = seen
        return seen

    async def step(self, action: Action) -> StepResult:
        if self._seen is None:
            raise EnvironmentFault("no episode is running", "call reset first")
        seen, self._seen = self._seen, None  # until the server has answered
        try:
            reply = self._read(await self._session.ask("step", self._dialect.data(action, seen)))
        except BadCall as told:
            self._seen = seen
            return _not_done(seen, str(told))
        except Refused as told:
            self._refusals += 1
            if self._refusals >= _REFUSALS:
                raise EnvironmentFault(f"{_REFUSALS} actions in a row were refused, the last with: {told}") from told
            self._seen = seen
            return _not_done(seen, f"This cannot be done: {told}")
        self._refusals = 0
        result = self._result(reply, self._dialect.observation(reply, seen.instruction))
        self._seen = None if result.terminated or result.truncated else result.observation
        return result

    async def close(self) -> None:
        self._closed, self._seen = True, None
        await self._session.close()

    def _read(self, message: JSON) -> wire.Reply:
        try:
            return wire.read_observation(message)
        except wire.Wrong as wrong:
            self._session.drop()
            raise EnvironmentFault(f"the server does not speak OpenEnv: {wrong}") from wrong

    def _result(self, reply: wire.Reply, observation: Observation) -> StepResult:
        told = reply.metadata
        truncated = reply.done and told.get("truncated") is True
        success: bool | None = None
        if reply.done:
            said = told.get("success")
            success = said if isinstance(said, bool) else not truncated and reply.reward >= self._success
        info = told.get("info")
        cost = told.get("cost")
        return StepResult(
            observation=observation,
            reward=reply.reward,
            terminated=reply.done and not truncated,
            truncated=truncated,
            info=_noted(info if isinstance(info, dict) else told),
            success=success,
            cost=float(cost) if isinstance(cost, (int, float)) else 0.0,
            violation=str(told.get("violation") or ""),
        )


def _not_done(seen: Observation, told: str) -> StepResult:
    note = told[:1000]
    return StepResult(observation=seen.model_copy(update={"text": f"{seen.text}\n\n{note}"}), info={"note": note})


def _noted(told: Mapping[str, Any]) -> JSON:
    """What the server notes, without what has a place of its own, and no text by the megabyte."""
    own = ("truncated", "success", "cost", "violation")
    return {
        key: shortened(value, MOST_NOTED) if isinstance(value, str) else value
        for key, value in told.items()
        if key not in own
    }
