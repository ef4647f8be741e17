"""The adapters to tau2-bench, AppWorld and BrowserGym against recorded traffic.

BrowserGym's is a recording of its MiniWoB (browsergym-core 0.14.3), with the tree as its own function wrote it. The
others are made by hand: AppWorld's data are not here, and tau2-bench is on no package index. AppWorld's follows the
source of its server (appworld 0.1.3.post1, `appworld/serve/environment.py`), tau2's only what is known of its class
`AgentGymEnv`: its arguments, texts both ways, a reward at the end. What these tests hold is our half of each contract.
"""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import gymnasium
import pytest
from gymnasium.spaces import Text

from tests.conformance import test_environments as contract
from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Split, ToolCall
from wisen.environments import registry

# AppWorld

RECORDED = json.loads((Path(__file__).parent / "recorded" / "appworld.json").read_text())


@contextmanager
def replayed(script: list[Any]) -> Iterator[tuple[str, list[Any]]]:
    """Answers each request with the next of the script: (path, status, body)."""
    asked: list[Any] = []
    waiting = list(script)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, {"message": "Welcome to AppWorld Server!"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, body))
            expected, status, answer = waiting.pop(0)
            assert self.path == expected
            self._answer(status, answer)

        def _answer(self, status: int, answer: Any) -> None:
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


TASKS = [f"{scenario}_{number}" for scenario in ("82e2fac", "29caf6f") for number in (1, 2, 3)]


async def test_appworld_is_played_over_http() -> None:
    with replayed(RECORDED) as (url, asked):
        suite = registry.create("appworld", urls=url, tasks=TASKS)
        await suite.start()
        environment = await suite.create()
        task = next(task for task in suite.tasks(Split.LEARN, 9) if task.template_id == "appworld/82e2fac")
        name = task.params["task_id"]
        seen = await environment.reset(task)
        assert seen.instruction.startswith("What is the title of the most-liked song")
        assert "email: gl.burch@example.com" in seen.text and "date and time: 2023-05-18" in seen.text
        wrong = await environment.step(Action(text="```python\nprint(aps)\n```"))
        assert "NameError" in wrong.observation.text and wrong.success is None
        done = Action(tool_call=ToolCall(name="run", arguments={"code": "apis.supervisor.complete_task(answer='X')"}))
        over = await environment.step(done)
        assert over.terminated and over.success is False and over.reward == 0.5
        secret = "model changes match"  # what the failed test was about
        assert secret in json.dumps(RECORDED) and secret not in over.model_dump_json()
        with pytest.raises(EnvironmentFault, match="call reset first"):
            await environment.step(done)
    assert [path for path, _ in asked] == [path for path, *_ in RECORDED]
    assert asked[0][1] == {"task_id": name, "experiment_name": "wisen"}
    assert asked[1][1] == {"task_id": name, "code": "print(aps)"}
    assert asked[-1][1] == {"task_id": name, "suppress_errors": True, "report": False}


async def test_appworld_servers_are_shared_out_and_given_back() -> None:
    begin = RECORDED[0]
    with replayed([begin, begin]) as (url, _):
        suite = registry.create("appworld", urls=[url], tasks=TASKS)
        task = suite.tasks(Split.LEARN, 1)[0]
        one, other = await suite.create(), await suite.create()
        await one.reset(task)
        with pytest.raises(EnvironmentFault, match="all AppWorld servers are in use"):
            await other.reset(task)
        await one.close()
        await other.reset(task)
        await other.close()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (["/initialize", 500, "Internal Server Error"], "answers 500"),
        (["/initialize", 200, "<html>"], "Expecting value"),
        (["/initialize", 200, {"other": 1}], "is no answer of AppWorld"),
        (["/initialize", 200, {"output": {}}], "did not say what the task is"),
    ],
)
async def test_appworld_answers_nonsense(answer: list[Any], told: str) -> None:
    with replayed([answer]) as (url, _):
        suite = registry.create("appworld", urls=[url], tasks=TASKS)
        environment = await suite.create()
        with pytest.raises(EnvironmentFault, match=told):
            await environment.reset(suite.tasks(Split.LEARN, 1)[0])
        await environment.close()


async def test_appworld_s_own_splits(tmp_path: Path) -> None:
    for name, lines in {"train": "a_1\na_2\n", "dev": "b_1\n", "test_normal": "c_1:tag\n"}.items():
        (tmp_path / f"{name}.txt").write_text(lines)
    suite = registry.create("appworld", urls="http://127.0.0.1:9", datasets=str(tmp_path))
    ids = {split: [task.id for task in suite.tasks(split, 9)] for split in Split}
    assert ids == {Split.LEARN: ["appworld/a_1", "appworld/a_2"], Split.GATE: ["appworld/b_1"],
                   Split.REPORT: ["appworld/c_1"]}  # fmt: skip
    await contract.test_panels_are_disjoint_repeatable_and_grow_by_offset(suite)
    with pytest.raises(EnvironmentFault, match="is the server running"):
        await suite.start()
    with pytest.raises(SettingsError, match="is no AppWorld data/datasets"):
        registry.create("appworld", urls="http://127.0.0.1:9", datasets=str(tmp_path / "no"))


# BrowserGym

BROWSER = json.loads((Path(__file__).parent / "recorded" / "browsergym.json").read_text())


class RecordedBrowser(gymnasium.Env[Any, str]):
    """`BrowserEnv` as recorded. Its actions go through BrowserGym's own parser."""

    observation_space = gymnasium.spaces.Dict({})
    action_space = Text(max_length=1000)
    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["none"]}
    made: ClassVar[list["RecordedBrowser"]] = []

    def __init__(self, action_mapping: Callable[[str], str], slow_mo: int, headless: bool = True) -> None:
        self.mapping, self.options, self.said = action_mapping, {"slow_mo": slow_mo, "headless": headless}, [""]
        self.thread = threading.get_ident()
        self.made.append(self)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        self.said = []
        return BROWSER[0]["obs"], {"task_info": {}}

    def step(self, action: str) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert threading.get_ident() == self.thread  # Playwright's sync API allows no other
        self.said.append(self.mapping(action))
        now = BROWSER[len(self.said)]
        return now["obs"], now["reward"], now["terminated"], False, {"task_info": {}, "action_exec_timeout": 0}


@pytest.fixture
def browsergym(monkeypatch: pytest.MonkeyPatch) -> type[RecordedBrowser]:
    """The modules of BrowserGym that the adapter asks, with what they answered."""

    class HighLevelActionSet:
        def __init__(self, multiaction: bool, strict: bool) -> None: ...

        def to_python_code(self, action: str) -> str:
            return f"parsed: {action}"

    def flatten_axtree_to_str(tree: Any, extra_properties: Any = None) -> str:
        return "\n".join(tree["recorded_lines"])

    parts = {
        "browsergym": {"__path__": []},
        "browsergym.miniwob": {},
        "browsergym.utils": {"__path__": []},
        "browsergym.utils.obs": {"flatten_axtree_to_str": flatten_axtree_to_str},
        "browsergym.core": {"__path__": []},
        "browsergym.core.action": {"__path__": []},
        "browsergym.core.action.highlevel": {"HighLevelActionSet": HighLevelActionSet},
    }
    for name, content in parts.items():
        module = ModuleType(name)
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("wisen.environments.plugs.browsergym._version", lambda: "browsergym-core 0.14.3")
    for number in range(5):
        spec = gymnasium.envs.registration.EnvSpec(f"browsergym/miniwob.{number}", entry_point=RecordedBrowser)
        monkeypatch.setitem(gymnasium.registry, spec.id, spec)
    RecordedBrowser.made.clear()
    return RecordedBrowser


async def test_browsergym_is_played_by_its_calls(browsergym: type[RecordedBrowser]) -> None:
    names = [f"miniwob.{number}" for number in range(5)]
    suite = registry.create("browsergym", tasks=names, kwargs={"headless": True})
    await suite.start()
    assert {split: len(suite.tasks(split, 9)) for split in Split} == {Split.LEARN: 3, Split.GATE: 1, Split.REPORT: 1}
    one, other = await suite.create(), await suite.create()
    for environment in (one, other):
        seen = await environment.reset(suite.tasks(Split.LEARN, 1)[0])
        assert seen.instruction == 'Click on the "no" button.'
        assert seen.text.startswith("page: file:///miniwob/click-button.html\n\nRootWebArea 'Click Button Task'")
        assert "\t[13] button 'no'\n" in seen.text
        refused = await environment.step(Action(text="click('99')"))
        assert 'The last action failed: ValueError: Could not find element with bid "99"' in refused.observation.text
        assert refused.success is None
        over = await environment.step(Action(text="click('13')"))
        assert over.terminated and over.success is True and over.reward == 1.0
    first, second = browsergym.made
    assert first.said == ["parsed: click('99')", "parsed: click('13')"]
    assert first.thread == second.thread and first.options == {"slow_mo": 0, "headless": True}
    await one.close()
    await other.close()
    await suite.stop()
    await contract.test_panels_are_disjoint_repeatable_and_grow_by_offset(suite)


async def test_browsergym_says_what_is_missing(browsergym: type[RecordedBrowser]) -> None:
    with pytest.raises(SettingsError, match=r"BrowserGym's workarena cannot be loaded: .*install browsergym-workarena"):
        await registry.create("browsergym", tasks=["workarena.servicenow.all-menu"]).start()
    with pytest.raises(SettingsError, match=r"gymnasium has no browsergym/miniwob.900"):
        await registry.create("browsergym", tasks=["miniwob.900"]).start()


# tau2-bench


class AgentGymEnv(gymnasium.Env[str, str]):
    """A conversation as recorded: texts both ways, the reward at the end."""

    observation_space = action_space = Text(max_length=100_000)
    script: ClassVar[list[tuple[str, str, float, bool]]] = [
        ('get_order(id="W1")', 'tool: {"status": "pending"}', 0.0, False),
        ('cancel_order(id="W1", reason="no longer needed")', "tool: cancelled", 0.0, False),
        ("###STOP###", "", 1.0, True),
    ]

    def __init__(self, domain: str, task_id: str, solo_mode: bool, user_llm: str = "") -> None:
        self.asked_for = (domain, task_id, solo_mode, user_llm)
        self.turn = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[str, dict[str, Any]]:
        self.turn = 0
        return f"ticket of {'/'.join(map(str, self.asked_for))}: cancel order W1", {}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        said, answer, reward, over = self.script[self.turn]
        if action != said:
            return "tool: error", 0.0, True, False, {}
        self.turn += 1
        return answer, reward, over, False, {}


@pytest.fixture
def tau2(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    module = ModuleType("tau2_recorded")
    module.AgentGymEnv = AgentGymEnv  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return {"entry": "tau2_recorded:AgentGymEnv", "domain": "retail", "tasks": ["0", "1", "2", "3", "4"]}


async def test_tau2_is_played_by_its_gym_class(tau2: dict[str, Any]) -> None:
    suite = registry.create("tau2", **tau2)
    await suite.start()
    environment = await suite.create()
    task = suite.tasks(Split.LEARN, 1)[0]
    seen = await environment.reset(task)
    assert seen.text.startswith("ticket of retail/") and seen.instruction
    await environment.step(Action(tool_call=ToolCall(name="get_order", arguments={"id": "W1"})))
    told = await environment.step(Action(text='cancel_order(id="W1", reason="no longer needed")'))
    assert told.observation.text == "tool: cancelled" and told.success is None
    over = await environment.step(Action(text="###STOP###"))
    assert over.success is True and over.reward == 1.0 and over.observation.text
    await environment.reset(task)
    assert (await environment.step(Action(text="hello"))).success is False
    await environment.close()
    await contract.test_panels_are_disjoint_repeatable_and_grow_by_offset(suite)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"entry": "tau2"}, "write entry="),
        ({"entry": "no_such_module:AgentGymEnv"}, "PyPI's tau2 is another thing"),
        ({"entry": "json:AgentGymEnv"}, "PyPI's tau2 is another thing"),
        ({"solo_mode": False}, "nobody plays the user"),
        ({"tasks": []}, "names no tasks"),
    ],
)
async def test_tau2_says_what_is_missing(tau2: dict[str, Any], wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=told):
        await registry.create("tau2", **{**tau2, **wrong}).start()
