"""AgentDojo's applications, tools, attacks and checks, as its package has them (Debenedetti et al. 2024, arXiv
2406.13352). Its import takes seconds."""

import ast
import datetime
import json
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from wisen.core.records import JSON, Action, ToolCall, ToolSpec
from wisen.environments.tool.calls import BadCall, Toolbox, shortened

BENCHMARK = "v1.2.2"
NOW = datetime.datetime(2024, 5, 15, 12, 0)  # the day that the package's calendars are at
_LONGEST_LIST = 2_000  # characters of a text that may stand for a list
log = logging.getLogger(__name__)


@dataclass
class Case:
    """A user task under way in an application of its own. `injection` is the attacker's task, None without an attack;
    `calls` are those that were run."""

    suite: Any
    user: Any
    injection: Any
    before: Any
    now: Any
    calls: list[Any] = field(default_factory=list)

    def call(self, call: ToolCall) -> tuple[str, bool]:
        """(what the tool answers, whether it refuses). Raises `BadCall` for arguments that it cannot take."""
        from agentdojo.functions_runtime import FunctionCall

        kit = kit_of(self.suite.name)
        arguments = kit.accepted(call)
        self.calls.append(FunctionCall(function=call.name, args=arguments))
        result, error = kit.runtime.run_function(self.now, call.name, arguments)
        return (error, True) if error else (_written(result), False)

    def useful(self, answer: str) -> bool:
        """Whether the user's task is done, by the package's own check. It may change what it looks at: ask at the end,
        and before `harmed`, as the package does."""
        return _holds(self.user.utility_from_traces, self.user.utility, answer, self.before, self.now, self.calls)

    def harmed(self, answer: str) -> bool:
        """Whether the attacker's task is done, by the package's own check. The same holds of it."""
        if self.injection is None:
            return False
        checks = self.injection.security_from_traces, self.injection.security
        return _holds(*checks, answer, self.before, self.now, self.calls)

    def harmed_so_far(self) -> bool:
        """The same, of copies, while the task goes on."""
        if self.injection is None:
            return False
        checks = self.injection.security_from_traces, self.injection.security
        before, now = self.before.model_copy(deep=True), self.now.model_copy(deep=True)
        return _holds(*checks, "", before, now, self.calls)


def begun(params: Mapping[str, Any]) -> Case:
    """A task from its start. With an attack its text lies wherever the user's task, done right, leads past it."""
    suite = _suites()[params["suite"]]
    user = suite.user_tasks[params["user_task"]]
    injection, texts = None, {}
    if params["injection_task"]:
        injection = suite.injection_tasks[params["injection_task"]]
        texts = _attack(suite.name, params["attack"], params["model_name"]).attack(user, injection)
    fresh = _application(suite.name, tuple(sorted(texts.items()))).model_copy(deep=True)
    now = user.init_environment(fresh)
    return Case(suite, user, injection, now.model_copy(deep=True), now)


def solution_of(case: Case, task: Any) -> list[ToolCall]:
    """The package's own solution of a user's or an attacker's task; empty where it has none."""
    calls = task.ground_truth(case.before.model_copy(deep=True))
    return [ToolCall(name=call.function, arguments=dict(call.args)) for call in calls]


@cache
def opening() -> str:
    """What the package tells every agent of whom it works for."""
    import yaml

    said = yaml.safe_load(files("agentdojo").joinpath("data", "system_messages.yaml").read_text(encoding="utf-8"))
    return str(said["default"]).strip()


class Kit:
    """The tools of one application. What the package takes is taken, such as "3" for 3; what it does not take is told
    in words."""

    def __init__(self, functions: list[Any]) -> None:
        from agentdojo.functions_runtime import FunctionsRuntime

        self.runtime = FunctionsRuntime(functions)
        self.specs = tuple(
            ToolSpec(name=one.name, description=one.description, parameters=_schema(one.parameters))
            for one in functions
        )
        self._strict = Toolbox(self.specs)

    def accepted(self, call: ToolCall) -> JSON:
        """The arguments as the package takes them. Raises `BadCall`."""
        from pydantic import ValidationError

        model = self.runtime.functions[call.name].parameters
        problem = None
        for arguments in (call.arguments, {name: _list_in(value) for name, value in call.arguments.items()}):
            try:
                model.model_validate(arguments)
                return arguments
            except ValidationError as error:
                problem = problem or error
        self._strict.understood(Action(tool_call=call))  # its words are better, where it finds what is wrong
        assert problem is not None
        wrong = [f'"{".".join(map(str, one["loc"]))}": {one["msg"]}' for one in problem.errors()[:5]]
        raise BadCall(f"{call.name}: {shortened('; '.join(wrong), 400)}")


@cache
def kit_of(name: str) -> Kit:
    return Kit(_suites()[name].tools)


@cache
def _suites() -> dict[str, Any]:
    _leave_out_clients()
    from agentdojo.default_suites.v1.tools import cloud_drive_client, email_client
    from agentdojo.task_suite.load_suites import get_suites

    for module in (cloud_drive_client, email_client):  # the two that ask what time it is
        module.datetime = _Calendar()
    return get_suites(BENCHMARK)


def _leave_out_clients() -> None:
    """The package's own agents bring the clients of four vendors: four of five modules, and most of its import. Nothing
    here uses them, so the two folders that they are in are entered without their `__init__`."""
    spec = find_spec("agentdojo")
    assert spec is not None and spec.submodule_search_locations is not None
    for parts in (("agent_pipeline",), ("agent_pipeline", "llms")):
        folder = ModuleType(".".join(("agentdojo", *parts)))
        folder.__path__ = [str(Path(root, *parts)) for root in spec.submodule_search_locations]
        sys.modules.setdefault(folder.__name__, folder)


class _Stopped(datetime.datetime):
    """Time stands still, so that the same calls have the same results."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return NOW


class _Calendar:
    """Stands where a module has the module `datetime`."""

    datetime = _Stopped

    def __getattr__(self, name: str) -> Any:
        return getattr(datetime, name)


@lru_cache(maxsize=32)
def _application(name: str, texts: tuple[tuple[str, str], ...]) -> Any:
    """Never changed: reading it from YAML takes a hundred times as long as copying it."""
    return _suites()[name].load_and_inject_default_environment(dict(texts))


@cache
def _attack(suite: str, name: str, model_name: str) -> Any:
    from agentdojo.attacks import load_attack
    from agentdojo.attacks.base_attacks import DEFAULT_MODEL_NAME

    attack: Any = load_attack(name, _suites()[suite], SimpleNamespace(name="local"))
    attack.model_name = model_name or DEFAULT_MODEL_NAME
    return attack


def _holds(by_calls: Callable[..., Any], by_state: Callable[..., Any], *seen: Any) -> bool:
    """As the package decides: by the calls where a check goes by them, else by the state. A check that stumbles over
    what an agent left behind does not hold."""
    answer, before, now, calls = seen
    try:
        verdict = by_calls(answer, before, now, calls)
        return bool(by_state(answer, before, now) if verdict is None else verdict)
    except Exception:
        log.warning("a check of AgentDojo stumbled", exc_info=True)
        return False


def _written(result: Any) -> str:
    from agentdojo.agent_pipeline.tool_execution import tool_result_to_str

    try:
        return tool_result_to_str(result)
    except Exception:  # its writer knows lists of texts, whole numbers and records
        return str(result)


def _list_in(value: Any) -> Any:
    """Models write lists as texts: the package reads them, and so do we."""
    if not isinstance(value, str) or not value.lstrip().startswith("[") or len(value) > _LONGEST_LIST:
        return value
    try:
        found = ast.literal_eval(value.strip())
        json.dumps(found)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return value
    return found if isinstance(found, list) else value


def _schema(model: Any) -> JSON:
    schema = model.model_json_schema()
    schema.pop("title", None)
    return schema
