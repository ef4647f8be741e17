"""Task folders in Harbor's format: what is read, what is played under bubblewrap, which commands an engine is given."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import (
    Action,
    EpisodeEnd,
    Observation,
    Phase,
    Split,
    Step,
    StepResult,
    Task,
    ToolCall,
    Trajectory,
)
from wisen.environments import registry
from wisen.environments.code.harbor.folder import HarborTask, find_tasks, read_dockerfile, read_task
from wisen.environments.code.harbor.rooms import ContainerRoom
from wisen.environments.code.harbor.suite import EXAMPLES, HarborEnvironment, HarborSuite, read_rewards
from wisen.environments.code.swebench import patch_of, predictions, write_predictions

NAMES = [task.name for task in find_tasks(EXAMPLES)]


def run(command: str) -> Action:
    return Action(tool_call=ToolCall(name="run", arguments={"command": command}))


SUBMIT = Action(text="submit")


def all_tasks(suite: HarborSuite) -> dict[str, Task]:
    return {task.params["name"]: task for split in Split for task in suite.tasks(split, 1)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLES / "count-errors", tmp_path / "count-errors"))


@pytest.fixture
async def environment() -> AsyncIterator[HarborEnvironment]:
    made = await HarborSuite().create()
    yield made
    await made.close()


# --- reading


def test_a_folder_is_read(folder: Path) -> None:
    task = read_task(folder)
    assert task.name == "count-errors" and task.instruction.startswith("The file `server.log`")
    assert (task.agent_s, task.verifier_s, task.memory_mb, task.internet) == (300.0, 60.0, 1024, False)
    assert task.dockerfile.workdir == "/app" and task.dockerfile.copies == (("files/", "/app/"),)
    (folder / "tests" / "more.txt").write_text("x")
    assert read_task(folder).digest != task.digest
    assert find_tasks(folder)[0].name == "count-errors" and len(find_tasks(EXAMPLES)) == 3


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("task.toml", "[agent", "cannot be read"),
        ("task.toml", "agent = 3", "agent is not a table"),
        ("task.toml", "[agent]\ntimeout_sec = -1", "not a positive number"),
        ("task.toml", "[environment]\nmemory = 'much'", "memory = 'much'"),
        ("instruction.md", "", "0 characters"),
        ("tests/test.sh", None, "lacks tests/test.sh"),
        ("task.toml", None, "holds no Harbor task"),
    ],
)
def test_what_cannot_be_read_is_said(folder: Path, path: str, text: str | None, message: str) -> None:
    (folder / path).unlink()
    if text is not None:
        (folder / path).write_text(text)
    with pytest.raises(SettingsError, match=message):
        HarborSuite(folder=str(folder))


def test_a_link_in_a_folder_is_refused(folder: Path) -> None:
    (folder / "environment" / "files" / "passwd").symlink_to("/etc/passwd")
    with pytest.raises(SettingsError, match="is a link"):
        read_task(folder)


@pytest.mark.parametrize(
    ("text", "beyond"),
    [
        ("FROM x\nWORKDIR /srv/app\nCOPY a b ./\nENV A=1 B='2 3'\nCMD sh", ""),
        ("FROM x\nRUN apt-get update && \\\n  apt-get install -y jq", "RUN apt-get update"),
        ("FROM x\nCOPY a /etc/passwd", "COPY to /etc/passwd, outside /app"),
        ("FROM x\nWORKDIR /usr/lib", "WORKDIR /usr/lib"),
        ("FROM x\nCOPY --from=y a /app", "COPY --from=y"),
        ("FROM x\nUSER nobody", "USER nobody"),
    ],
)
def test_a_dockerfile_says_whether_it_needs_an_engine(text: str, beyond: str) -> None:
    found = read_dockerfile(text)
    assert found.beyond.startswith(beyond) and bool(found.beyond) == bool(beyond)
    if not beyond:
        assert found.workdir == "/srv/app" and found.env == {"A": "1", "B": "2 3"}
        assert found.copies == (("a", "/srv/app/"), ("b", "/srv/app/"))


@pytest.mark.parametrize(
    ("text", "rewards"),
    [
        ("1\n", {"reward": 1.0}),
        ("0.25", {"reward": 0.25}),
        ('{"speed": 0.5, "right": 1}', {"speed": 0.5, "right": 1.0}),
        ("", {}), ("good", {}), ("NaN", {}), ("[1]", {}), ('{"reward": "1"}', {}), ("Infinity", {}), ("[" * 9999, {}),
    ],
)  # fmt: skip
def test_rewards_are_numbers_or_nothing(text: str, rewards: dict[str, float]) -> None:
    assert read_rewards(text) == rewards


# --- playing


@pytest.mark.sandbox
@pytest.mark.parametrize("name", NAMES)
async def test_the_solution_gets_1_and_doing_nothing_0(environment: HarborEnvironment, name: str) -> None:
    suite = HarborSuite()
    task = all_tasks(suite)[name]
    for actions, reward in ((suite.oracle().solution(task, await environment.reset(task)), 1.0), ((SUBMIT,), 0.0)):
        await environment.reset(task)
        *before, last = [await environment.step(action) for action in actions]
        assert all(result.info["exit_code"] == 0 and not result.terminated for result in before)
        assert last.terminated and last.reward == reward and last.success is (reward == 1.0)


@pytest.mark.sandbox
async def test_the_shell_keeps_files_and_sees_neither_tests_nor_machine(environment: HarborEnvironment) -> None:
    seen = await environment.reset(all_tasks(HarborSuite())["count-errors"])
    assert seen.instruction.startswith("The file `server.log`") and "/app" in seen.text and not seen.actions
    await environment.step(Action(text="run\necho one > kept; export GONE=1; cd /tmp; echo two > gone"))
    result = await environment.step(run('pwd; cat kept; ls /tmp; echo "[$GONE]"; ls /; id -u; cat; nproc >/dev/null'))
    lines = result.observation.text.splitlines()
    assert lines[-1] != "0" and "/app" in lines and "one" in lines and "[]" in lines and "gone" not in lines
    assert "tests" not in lines and "logs" not in lines and "root" not in lines
    result = await environment.step(run("cat /etc/passwd; echo > /dev/tcp/127.0.0.1/22; exit 7"))
    assert result.info["exit_code"] == 7 and "No such file" in result.observation.text
    assert "Connection refused" in result.observation.text and not result.terminated


@pytest.mark.sandbox
async def test_a_reward_of_the_agents_own_does_not_count(environment: HarborEnvironment) -> None:
    await environment.reset(all_tasks(HarborSuite())["count-errors"])
    await environment.step(run("mkdir -p /logs/verifier logs/verifier; echo 1 > logs/verifier/reward.txt"))
    await environment.step(run("ln -s /etc/hostname answer.txt; mkdir tests; echo 'echo 1' > tests/test.sh"))
    assert (await environment.step(SUBMIT)).success is False


@pytest.mark.sandbox
async def test_tests_that_report_nothing_give_0(folder: Path) -> None:
    (folder / "tests" / "test.sh").write_text("exit 1\n")
    suite = HarborSuite(folder=str(folder), split="report")
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.REPORT, 1)[0])
    end = await environment.step(SUBMIT)
    assert end.reward == 0.0 and end.success is False and end.info["problem"] == "no reward file"


@pytest.mark.sandbox
async def test_commands_have_a_limit_and_the_task_has_one(folder: Path) -> None:
    toml = folder / "task.toml"
    toml.write_text(toml.read_text().replace("300.0", "3.0"))
    suite = HarborSuite(folder=str(folder), split="learn", command_s=0.5)
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    assert "out of time" in (await environment.step(run("sleep 100"))).observation.text
    for _ in range(10):
        result = await environment.step(run("sleep 100"))
        if result.truncated:
            break
    assert result.truncated and not result.terminated and result.reward == 0.0
    with pytest.raises(EnvironmentFault, match="no episode"):
        await environment.step(SUBMIT)


@pytest.mark.sandbox
async def test_a_task_that_needs_a_container_is_refused_here(folder: Path) -> None:
    (folder / "environment" / "Dockerfile").write_text("FROM python:3.12\nRUN pip install numpy\n")
    suite = HarborSuite(folder=str(folder), split="gate")
    environment = await suite.create()
    with pytest.raises(EnvironmentFault, match="needs a container: RUN pip install numpy"):
        await environment.reset(suite.tasks(Split.GATE, 1)[0])


@pytest.mark.sandbox
async def test_a_changed_folder_is_another_task(folder: Path) -> None:
    suite = HarborSuite(folder=str(folder), split="gate")
    environment = await suite.create()
    (folder / "tests" / "test.sh").write_text("echo 1 > /logs/verifier/reward.txt\n")
    with pytest.raises(EnvironmentFault, match="not what it was"):
        await environment.reset(suite.tasks(Split.GATE, 1)[0])


def test_options_are_checked_and_panels_dealt() -> None:
    assert [len(HarborSuite().tasks(split, 1)) for split in Split] == [1, 1, 1]
    assert len(registry.create("harbor", split="report").tasks(Split.REPORT, 1)) == 3
    for options in ({"engine": "lxc"}, {"split": "train"}, {"folder": "/does/not/exist"}):
        with pytest.raises(SettingsError):
            registry.create("harbor", **options)


# --- engines: no engine runs here, so only the commands that one would be given are looked at


@pytest.mark.parametrize("engine", ["docker", "podman"])
async def test_an_engine_is_given_the_right_commands(
    engine: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = tmp_path / "bin" / engine
    recorder.parent.mkdir()
    recorder.write_text(
        f'#!/bin/sh\nprintf "%s\\037" "$@" >> {tmp_path}/calls; echo >> {tmp_path}/calls\ncat >/dev/null\necho 1\n'
    )
    recorder.chmod(0o755)
    monkeypatch.setenv("PATH", f"{recorder.parent}:/usr/bin:/bin")
    suite = HarborSuite(folder=str(folder), engine=engine, split="learn")
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    await environment.step(run("ls"))
    end = await environment.step(SUBMIT)
    assert end.terminated and end.reward == 1.0
    calls = [line.rstrip("\037").split("\037") for line in (tmp_path / "calls").read_text().splitlines()]
    assert [one[0] for one in calls] == ["build", "run", "exec", "exec", "cp", "exec", "exec", "rm"]
    build, start, *_, copy, _, _, remove = calls
    digest = read_task(folder).digest
    assert build == ["build", "--tag", f"wisen-harbor-count-errors:{digest}", f"{folder.resolve()}/environment"]
    assert start[-5:] == ["no-new-privileges", "--entrypoint", "sleep", build[2], "infinity"]
    text = " ".join(start)
    assert "--detach --rm" in text and "--network none" in text and "--memory 1024m" in text and "--cpus 1 " in text
    name = start[start.index("--name") + 1]
    assert copy == ["cp", f"{folder.resolve()}/tests/.", f"{name}:/tests"] and remove == ["rm", "--force", name]
    assert all(one[:3] == ["exec", "--interactive", name] for one in calls if one[0] == "exec")


def test_an_engine_may_have_network_where_the_task_asks_for_it() -> None:
    task = HarborTask(name="Name", folder="/x", instruction="y", digest="0", internet=True)
    assert "--network" not in ContainerRoom(task, "docker").start()
    assert ContainerRoom(task, "docker").build()[3] == "wisen-harbor-name:0"


async def test_a_missing_engine_is_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    suite = HarborSuite(folder=str(folder), engine="podman", split="learn")
    environment = await suite.create()
    with pytest.raises(EnvironmentFault, match="podman does not start"):
        await environment.reset(suite.tasks(Split.LEARN, 1)[0])


# --- SWE-bench


DIFF = "diff --git a/x.py b/x.py\n--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-a\n+b\n"


def trajectory(instance: str, *steps: tuple[Action, dict[str, str]], attempt: int = 0) -> Trajectory:
    seen = Observation(instruction="", text="")
    task = Task(
        id=f"mine/{instance}", suite="mine", environment="mine", template_id="mine", split=Split.REPORT, seed=0,
        params={"instance_id": instance},
    )  # fmt: skip
    return Trajectory(
        id=f"{instance}-{attempt}", run_id="r", task=task, phase=Phase.REPORT, release_id="r", attempt=attempt, arm="a",
        instruction="", end=EpisodeEnd.TERMINATED, reward=0.0, success=None,
        steps=tuple(
            Step(index=i, observation=seen, calls=(), action=action, result=StepResult(observation=seen, info=info))
            for i, (action, info) in enumerate(steps)
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    "step",
    [
        (Action(text=DIFF), {}),
        (Action(text=f"Here it is:\n```diff\n{DIFF}```\nDone."), {}),
        (Action(tool_call=ToolCall(name="submit", arguments={"patch": DIFF.rstrip()})), {}),
        (Action(text="submit"), {"model_patch": DIFF}),
    ],
)
def test_a_patch_is_found_where_agents_leave_it(step: tuple[Action, dict[str, str]]) -> None:
    earlier = (Action(text=DIFF.replace("+b", "+z")), {})
    assert patch_of(trajectory("a__b-1", earlier, step, (Action(text="done"), {}))) == DIFF
    assert patch_of(trajectory("a__b-1", (Action(text="no diff --git here"), {}))) == ""


def test_predictions_are_one_line_each(tmp_path: Path) -> None:
    kept = [
        trajectory("a__b-2", (Action(text=DIFF), {})),
        trajectory("a__b-1", (Action(text=DIFF), {}), attempt=1),
        trajectory("a__b-1", (Action(text="nothing"), {}), attempt=0),
        trajectory("a__b-3"),
    ]
    assert write_predictions(tmp_path / "p.jsonl", kept, "wisen-1") == 3
    lines = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [set(line) for line in lines] == [{"instance_id", "model_name_or_path", "model_patch"}] * 3
    assert [line["instance_id"] for line in lines] == ["a__b-1", "a__b-2", "a__b-3"]
    assert [line["model_patch"] for line in lines] == [DIFF, DIFF, ""]
    with pytest.raises(SettingsError, match="name of the model"):
        predictions(kept, " ")
