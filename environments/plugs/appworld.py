"""AppWorld (appworld 0.1.3) as a suite, by its own server: `appworld serve environment`.

One action is a piece of Python, which the server runs in the task's world and answers with what it printed. The episode
ends when the world says that the task is completed (the agent calls `apis.supervisor.complete_task()`), and is then
evaluated: the reward is the share of its unit tests that pass, and success is all of them.
"""

import asyncio
import json
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import JSON, Action, Acts, Observation, Split, StepResult, SuiteCard, Task, ToolSpec
from wisen.environments.plugs.listed import chosen, named_splits, sizes
from wisen.environments.plugs.openenv_socket import is_here
from wisen.environments.tasks import refuse_closed
from wisen.environments.tool.calls import shortened

SUITE = "appworld"
VERSION = "0.1.3"
DATASETS = {Split.LEARN: "train", Split.GATE: "dev", Split.REPORT: "test_normal"}
MOST_SHOWN = 20_000  # characters of an output
_CODE = {"code": {"type": "string", "description": "Python; what it prints is the answer"}}
TOOLS = (
    ToolSpec(
        name="run",
        description="Run Python in the task's world. `apis` holds its apps; state is kept between runs.",
        parameters={"type": "object", "properties": _CODE, "required": ["code"], "additionalProperties": False},
    ),
)


class AppWorldSuite:
    """urls: servers, each of which holds one world at a time: as many episodes run side by side. tasks: ids dealt to
    the panels, or lists under learn, gate and report. datasets: instead of `tasks`, the folder `data/datasets` of
    AppWorld, whose train, dev and test_normal become our panels. experiment: the name that the server logs under.
    """

    name = SUITE
    about: ClassVar = SuiteCard(
        summary="AppWorld: everyday tasks in nine apps, by Python.",
        licence="Apache-2.0 (appworld); the data have terms of their own",
        acts=(Acts.TOOLS, Acts.TEXT),
        reward="0 to 1, the share of unit tests that pass",
        success="all of them pass",
        needs=("a model that writes", "appworld in an environment of its own, with its data, serving"),
    )

    def __init__(
        self,
        urls: str | Sequence[str],
        tasks: Sequence[str] | Mapping[str, Sequence[str]] = (),
        datasets: str = "",
        experiment: str = "wisen",
        seconds: float = 120.0,
    ) -> None:
        addresses = [urls] if isinstance(urls, str) else [str(url) for url in urls]
        if not addresses or any(not url.startswith(("http://", "https://")) for url in addresses):
            raise SettingsError(f"{SUITE}: urls = {urls!r}", 'write urls=["http://127.0.0.1:8000"]')
        splits = _of_folder(Path(datasets)) if datasets else named_splits(tasks, f"{SUITE}: tasks")
        self._tasks = tuple(
            Task(
                id=f"{SUITE}/{name}",
                suite=SUITE,
                environment=SUITE,
                template_id=f"{SUITE}/{name.partition('_')[0]}",  # an id is SCENARIO_NUMBER
                split=split,
                seed=0,
                params={"task_id": name},
                version=VERSION,
            )
            for name, split in splits.items()
        )
        self._servers = deque(url.rstrip("/") for url in addresses)
        self._experiment, self._seconds = experiment, float(seconds)

    def card(self) -> SuiteCard:
        return self.about.model_copy(
            update={
                "templates": len({task.template_id for task in self._tasks}),
                "sizes": sizes(self._tasks),
            }
        )

    def tasks(self, split: Split, per_template: int, *, offset: int = 0) -> tuple[Task, ...]:
        return chosen(self._tasks, split, per_template, offset)

    async def start(self) -> None:
        """Raises `EnvironmentFault` when a server does not answer."""
        for url in self._servers:
            await asyncio.to_thread(asked, f"{url}/", None, self._seconds)

    async def create(self) -> "AppWorldEnvironment":
        return AppWorldEnvironment(self._servers, self._experiment, self._seconds)

    async def stop(self) -> None:
        """The servers are not ours to stop."""


class AppWorldEnvironment:
    """A world on one of the servers, held from reset to the end of the episode."""

    def __init__(self, free: "deque[str]", experiment: str, seconds: float) -> None:
        self._free, self._experiment, self._seconds = free, experiment, seconds
        self._url = ""
        self._task: Task | None = None  # None: no episode is open
        self._instruction = ""
        self._closed = False

    async def reset(self, task: Task, *, screenshots: Path | None = None) -> Observation:
        refuse_closed(self._closed)
        await self._leave()
        if not self._free:
            raise EnvironmentFault("all AppWorld servers are in use", "one server for each worker: suite_options.urls")
        self._url = self._free.popleft()
        told = await self._ask("initialize", task_id=task.params["task_id"], experiment_name=self._experiment)
        if not isinstance(told, dict) or not isinstance(told.get("instruction"), str):
            raise EnvironmentFault(f"{self._url} did not say what the task is")
        self._task, self._instruction = task, told["instruction"]
        who = told.get("supervisor") or {}
        lines = [f"{name.replace('_', ' ')}: {who[name]}" for name in who]
        about = "You act for the person below, by Python. `apis.api_docs` describes the apps."
        return self._observation("\n".join([about, *lines, f"date and time: {told.get('datetime', '')}"]))

    async def step(self, action: Action) -> StepResult:
        task = self._task
        if task is None:
            raise EnvironmentFault("no episode is running", "call reset first")
        self._task = None  # until the server has answered
        name = task.params["task_id"]
        output = await self._ask("execute", task_id=name, code=_code(action))
        over = await self._ask("task_completed", task_id=name)
        observation = self._observation(shortened(str(output), MOST_SHOWN))
        if not over:
            self._task = task
            return StepResult(observation=observation)
        # Which tests failed is what only a judge may know: it goes nowhere.
        found = await self._ask("evaluate", task_id=name, suppress_errors=True, report=False)
        await self._leave()
        share = _share(found)
        return StepResult(observation=observation, reward=share, terminated=True, success=found["success"] is True)

    async def close(self) -> None:
        self._closed, self._task = True, None
        await self._leave()

    def _observation(self, text: str) -> Observation:
        return Observation(instruction=self._instruction, text=text, tools=TOOLS)

    async def _leave(self) -> None:
        if self._url:
            self._free.append(self._url)
            self._url, self._task = "", None

    async def _ask(self, what: str, **body: Any) -> Any:
        answer = await asyncio.to_thread(asked, f"{self._url}/{what}", body, self._seconds)
        if not isinstance(answer, dict) or "output" not in answer:
            raise EnvironmentFault(f"{self._url}/{what} is no answer of AppWorld")
        return answer["output"]


def asked(url: str, body: JSON | None, seconds: float) -> Any:
    """The server's JSON. Raises `EnvironmentFault`."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    proxies: list[Any] = [urllib.request.ProxyHandler({})] if is_here(url) else []
    try:
        with urllib.request.build_opener(*proxies).open(request, timeout=seconds) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as error:
        raise EnvironmentFault(f"{url} answers {error.code}", "the server's own output says why") from error
    except (OSError, ValueError) as error:
        raise EnvironmentFault(f"{url}: {getattr(error, 'reason', error)}", "is the server running?") from error


def _code(action: Action) -> str:
    """The Python of an action: its text without a fence, or the argument of a call."""
    if action.tool_call is not None:
        return str(action.tool_call.arguments.get("code", ""))
    text = action.text.strip()
    if text.startswith("```") and text.endswith("```"):
        return text[3:-3].partition("\n")[2].strip()
    return text


def _share(found: Any) -> float:
    try:
        return len(found["passes"]) / max(1, int(found["num_tests"]))
    except (KeyError, TypeError, ValueError) as error:
        raise EnvironmentFault("the evaluation is no answer of AppWorld") from error


def _of_folder(folder: Path) -> dict[str, Split]:
    found: dict[str, Split] = {}
    for split, name in DATASETS.items():
        try:
            lines = (folder / f"{name}.txt").read_text(encoding="utf-8").split()
        except OSError as error:
            raise SettingsError(f"{folder} is no AppWorld data/datasets: {error}") from error
        found |= {line.partition(":")[0]: split for line in lines}
    return found
