"""Acting through MCP servers: in this process, as processes, over HTTP; and when they misbehave."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.records import Action, Split, Task, ToolCall, ToolSpec
from wisen.environments.tool import folders as rooms
from wisen.environments.tool.folders import EpisodeFolders
from wisen.environments.tool.mcp import McpEnvironment
from wisen.environments.tool.mcp_scenario import FolderScenario, Prepared
from wisen.environments.tool.mcp_session import Server
from wisen.environments.tool.mcp_suite import EXAMPLES, McpSuite
from wisen.environments.tool.office.environment import OfficeEnvironment
from wisen.environments.tool.office.scenario import OfficeScenario
from wisen.environments.tool.office.suite import OfficeSuite
from wisen.environments.tool.serve import make_server

FOLDER = "wisen.environments.tool.folder_server:build"
FOLDER_PROCESS = ("python", "-m", "wisen.environments.tool.folder_server", "{folder}")
ROOT = Path(__file__).parents[2]

# A server by hand, of the older protocol: it answers what it must, and misbehaves as its argument says.
RAW_SERVER = """
import json, os, signal, subprocess, sys, time
kind = sys.argv[1]
if kind == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "300"])
    open("pids", "w").write(f"{os.getpid()} {child.pid}")
if kind == "mute":
    time.sleep(300)
if kind == "fails":
    sys.exit("no licence for this")
def answer(message):
    if message["method"] == "initialize":
        return {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}},
                "serverInfo": {"name": "raw", "version": "1"}}
    if message["method"] == "tools/list":
        return {"tools": [{"name": "act", "description": "Act.", "inputSchema": {"type": "object"}}]}
    if message["method"] == "tools/call":
        if kind == "dies":
            os._exit(3)
        if kind == "slow":
            time.sleep(30)
        if kind == "noise":
            print("this is not JSON", flush=True)
        return {"content": [{"type": "text", "text": "acted"}]}
for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    result = answer(message)
    reply = {"result": result} if result else {"error": {"code": -32601, "message": "no such method"}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **reply}), flush=True)
if kind == "stubborn":
    time.sleep(300)
"""


@dataclass
class Made:
    """A scenario from Python: `given` servers, and a folder with one file."""

    given: tuple[Server, ...]
    name: str = "made"
    version: str = "1"
    split: Split | None = None
    max_steps: int = 8

    def servers(self, seed: int) -> Sequence[Server]:
        return self.given

    def prepare(self, folder: Path, seed: int) -> Prepared:
        (folder / "a.txt").write_text(f"number {seed}")
        return Prepared("Delete a.txt.", {})

    def check(self, folder: Path, prepared: Prepared, seed: int) -> float:
        return float(not (folder / "a.txt").exists())

    def solution(self, prepared: Prepared, seed: int) -> Sequence[ToolCall]:
        return (ToolCall(name="delete_file", arguments={"path": "a.txt"}),)


@pytest.fixture
async def suites() -> AsyncIterator[Any]:
    made: list[McpSuite] = []

    def suite(*servers: Server) -> McpSuite:
        made.append(McpSuite(scenarios=[Made(servers)]))
        return made[-1]

    yield suite
    for one in made:
        await one.stop()


def raw(kind: str, **limits: float) -> Server:
    return Server("raw", command=("python", "-c", RAW_SERVER, kind), **limits)  # type: ignore[arg-type]


async def begun(suite: McpSuite) -> tuple[McpEnvironment, Task]:
    environment, task = await suite.create(), suite.tasks(Split.LEARN, 1)[0]
    await environment.reset(task)
    return environment, task


def gone(pid: int, seconds: float = 10.0) -> bool:
    """Whether a process ends in time. One that waits to be collected has ended."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("processes", [False, True])
async def test_the_examples_are_solved_by_their_solutions_and_not_by_doing_nothing(processes: bool) -> None:
    suite = McpSuite(processes=processes, tasks=["close-project", "sort-invoices"] if processes else ())
    environment = await suite.create()
    tasks = suite.tasks(Split.REPORT, 1 if processes else 4)
    assert len({task.template_id for task in tasks}) == (2 if processes else 5)
    for task in tasks:
        seen = await environment.reset(task)
        for action in suite.oracle().solution(task, seen):
            result = await environment.step(action)
        assert result.success and result.reward == 1.0, (task.id, result.info)
    await environment.reset(task)
    idle = await environment.step(Action(text="finish()"))
    assert idle.terminated and idle.success is False and idle.info["progress"] < 1.0
    await environment.close()
    assert not [path for path in environment._folders.root.iterdir() if path.is_dir()]
    await suite.stop()
    assert not environment._folders.root.exists()


async def test_several_servers_have_their_tools_under_their_names(suites: Any) -> None:
    suite = suites(Server("one", server=FOLDER), Server("two", server=FOLDER))
    environment, task = await begun(suite)
    seen = await environment.reset(task)
    assert {"one__read_file", "two__read_file", "finish"} <= {tool.name for tool in seen.tools}
    assert (await environment.step(Action(text='two__read_file(path="a.txt")'))).info["note"] == "number 0"
    assert "refused" in (await environment.step(Action(text='read_file(path="a.txt")'))).info


async def test_a_tool_that_is_called_finish_does_not_end_the_episode(suites: Any) -> None:
    async def call(name: str, arguments: Any) -> tuple[str, bool]:
        return "polished", False

    spec = ToolSpec(name="finish", description="Polish.", parameters={"type": "object"})
    environment, _ = await begun(suites(Server("wood", server=make_server("wood", [spec], call))))
    result = await environment.step(Action(text="wood__finish()"))
    assert not result.terminated and result.info["note"] == "polished"
    assert (await environment.step(Action(text="finish()"))).terminated


async def test_a_server_over_http_is_played_like_any_other(suites: Any, tmp_path: Path) -> None:
    import uvicorn

    from wisen.environments.tool.folder_server import build

    (tmp_path / "b.txt").write_text("over http")
    app = build(tmp_path).streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    environment, task = await begun(suites(Server("far", url=f"http://127.0.0.1:{port}/mcp", start_s=10)))
    assert (await environment.step(Action(text='read_file(path="b.txt")'))).info["note"] == "over http"
    server.should_exit = True
    await serving
    with pytest.raises(EnvironmentFault):
        await environment.step(Action(text="list_files()"))
    with pytest.raises(EnvironmentFault):
        await environment.reset(task)


@pytest.mark.parametrize(
    ("server", "part"),
    [
        (Server("raw", command=("/no/such/program",)), "No such file"),
        (raw("fails"), "no licence for this"),
        (raw("mute", start_s=0.5), "it took too long"),
        (Server("far", url="http://127.0.0.1:9/mcp", start_s=5), "could not be started"),
        (Server("odd", server="wisen.nowhere:build"), "cannot be loaded"),
    ],
    ids=["missing", "fails", "mute", "unreachable", "unknown"],
)
async def test_a_server_that_does_not_start_is_a_fault_that_says_why(suites: Any, server: Server, part: str) -> None:
    suite = suites(Server("good", server=FOLDER), server)
    environment = await suite.create()
    with pytest.raises(EnvironmentFault) as told:
        await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    assert part in str(told.value) and server.name in str(told.value)
    assert not [path for path in environment._folders.root.iterdir() if path.is_dir()]


async def test_a_server_that_dies_ends_its_episode_and_the_next_one_works(suites: Any) -> None:
    environment, task = await begun(suites(raw("dies")))
    with pytest.raises(EnvironmentFault) as told:
        await environment.step(Action(text="act()"))
    assert "gone" in str(told.value)
    with pytest.raises(EnvironmentFault):
        await environment.step(Action(text="act()"))
    seen = await environment.reset(task)
    assert "act" in {tool.name for tool in seen.tools}


async def test_a_tool_that_takes_too_long_is_told_and_the_episode_goes_on(suites: Any) -> None:
    environment, _ = await begun(suites(Server("quick", server=FOLDER), raw("slow", call_s=0.5)))
    slow = await environment.step(Action(text="raw__act()"))
    assert "did not answer within 0.5 s" in slow.observation.text and not slow.terminated
    assert (await environment.step(Action(text="quick__list_files()"))).info["note"] == "a.txt"


async def test_noise_between_the_messages_is_no_matter(suites: Any) -> None:
    environment, _ = await begun(suites(raw("noise")))
    assert (await environment.step(Action(text="act()"))).info["note"] == "acted"


async def test_steps_may_come_from_other_tasks_than_the_one_that_began(suites: Any) -> None:
    suite = suites(Server("files", command=FOLDER_PROCESS))
    environment = await suite.create()
    await asyncio.create_task(environment.reset(suite.tasks(Split.LEARN, 1)[0]))
    result = await asyncio.create_task(environment.step(Action(text='delete_file(path="a.txt")')))
    assert "Deleted" in result.observation.text
    end = await asyncio.create_task(environment.step(Action(text="finish()")))
    assert end.success


async def test_an_episode_that_is_called_off_leaves_nothing_behind(suites: Any) -> None:
    suite = suites(raw("mute", start_s=60))
    environment = await suite.create()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.7):
            await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    assert not [path for path in environment._folders.root.iterdir() if path.is_dir()]


async def test_a_server_that_will_not_end_is_ended_with_its_children(suites: Any) -> None:
    environment, _ = await begun(suites(raw("stubborn")))
    (pids,) = environment._folders.root.glob("*/folder/pids")
    running = [int(pid) for pid in pids.read_text().split()]
    await environment.close()
    assert all(gone(pid) for pid in running)


KILLED = """
import asyncio, sys, time
from tests.environments.test_mcp import Made, raw
from wisen.core.records import Split
from wisen.environments.tool.mcp_suite import McpSuite
async def main():
    suite = McpSuite(scenarios=[Made((raw("stubborn"),))])
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    sys.stdout.write(f"{environment._folders.root}\\n")
    sys.stdout.flush()
    await asyncio.sleep(300)
asyncio.run(main())
"""


def test_after_kill_9_no_server_is_left_and_the_next_process_sweeps(tmp_path: Path) -> None:
    environ = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ)
    assert process.stdout is not None
    room = Path(process.stdout.readline().strip())
    (pids,) = room.glob("*/folder/pids")
    running = [int(pid) for pid in pids.read_text().split()]
    assert all(Path(f"/proc/{pid}").exists() for pid in running) or sys.platform != "linux"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert all(gone(pid) for pid in running)
    assert room.exists()
    sweeper = "from wisen.environments.tool.folders import sweep; import sys; sys.exit(sweep() != 1)"
    assert subprocess.run([sys.executable, "-c", sweeper], cwd=ROOT, env=environ, check=False).returncode == 0
    assert not room.exists()


def test_a_room_in_use_is_not_swept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(rooms.tempfile, "tempdir", str(tmp_path))
    mine = EpisodeFolders()
    assert rooms.sweep() == 0 and mine.root.exists()
    mine.close()
    assert not mine.root.exists()


async def test_an_episode_is_kept_only_where_its_folder_is_all_of_it(suites: Any) -> None:
    environment, _ = await begun(suites(raw("plain")))
    with pytest.raises(EnvironmentFault, match="with the server raw cannot be kept"):
        await environment.snapshot()
    await environment.close()


@pytest.mark.parametrize("left", ["link", "pipe"])
async def test_a_folder_with_more_than_files_is_not_kept(left: str) -> None:
    suite = McpSuite()
    await suite.start()
    environment = await suite.create()
    await environment.reset(suite.tasks(Split.LEARN, 1)[0])
    folder = environment._episode.folder  # type: ignore[union-attr]
    if left == "link":
        (folder / "link").symlink_to("/etc/passwd")
    else:
        os.mkfifo(folder / "pipe")
    with pytest.raises(EnvironmentFault, match=f"an episode with {left} cannot be kept"):
        await environment.snapshot()
    await suite.stop()


@pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "link", ".", "", "a\0b", "x" * 400, "é/ü.txt"])
async def test_the_folder_server_stays_in_its_folder(suites: Any, path: str) -> None:
    environment, _ = await begun(suites(Server("files", server=FOLDER)))
    (folder,) = environment._folders.root.glob("*/folder")
    (folder / "link").symlink_to("/etc/passwd")
    result = await environment.step(Action(tool_call=ToolCall(name="read_file", arguments={"path": path})))
    assert result.info["refused"] and "root:" not in result.observation.text
    found = await environment.step(Action(text='search(text="root:")'))
    assert found.info["note"].startswith("No line")


@pytest.mark.parametrize("processes", [False, True])
async def test_the_office_over_mcp_answers_as_it_does_directly(processes: bool) -> None:
    templates = ("settle-ticket",) if processes else ("refund", "file-from-mail", "restock", "settle-ticket")
    for template in templates:
        direct, over = OfficeSuite(templates=[template], organisations=[0]), OfficeEnvironment()
        suite = McpSuite(scenarios=[OfficeScenario(0, template, processes=processes)])
        there = await suite.create()
        calls = direct.oracle().calls(direct.tasks(Split.LEARN, 1)[0])
        for script in (calls, calls[:-2] + calls[-1:]):  # done, and all but done
            first = await over.reset(direct.tasks(Split.LEARN, 1)[0])
            other = await there.reset(suite.tasks(Split.LEARN, 1)[0])
            assert other.instruction == first.instruction
            assert {tool.name: tool.parameters for tool in other.tools if tool.name != "finish"} == {
                tool.name: tool.parameters for tool in first.tools if tool.name != "finish"
            }
            for step in script:
                one = await over.step(Action(tool_call=step))
                two = await there.step(Action(tool_call=step))
                if step.name != "finish":
                    assert one.info == two.info
            assert (one.success, one.reward) == (two.success, two.reward)
        assert one.success is False
        await suite.stop()


async def test_the_office_server_alone_says_how_it_went() -> None:
    from mcp import Client

    from wisen.environments.tool import office_server

    calls = OfficeSuite().oracle().calls(OfficeSuite(templates=["refund"]).tasks(Split.LEARN, 1)[0])
    async with Client(office_server.build(0, "refund", 0)) as client:
        assert client.instructions is not None and "Refund order" in client.instructions
        for step in calls:
            result = await client.call_tool(step.name, step.arguments)
        assert result.content[0].text.startswith("Done. All")  # type: ignore[union-attr]
        late = await client.call_tool("list_mail", {})
        assert late.is_error


def test_task_folders_that_are_wrong_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        McpSuite(folder=str(tmp_path / "none"))
    with pytest.raises(SettingsError):
        McpSuite(folder=str(tmp_path))
    with pytest.raises(SettingsError):
        McpSuite(tasks=["nothing"])
    source = tmp_path / "mine"
    (source / "expected").mkdir(parents=True)
    server = f'[servers.files]\nserver = "{FOLDER}"\n'
    for text in (
        "",
        "instruction = 3",
        'instruction = "x"',
        f'instruction = "x"\n{server}colour = "red"',
        f'instruction = "x"\npython = "none.py"\n{server}',
        f'instruction = "x"\nsplit = "some"\n{server}',
        f'instruction = "x"\nmax_steps = 0\n{server}',
        'instruction = "x"\n[servers.files]\n',
        f'instruction = "x"\n[servers.files]\nserver = "{FOLDER}"\nurl = "http://x"',
        'instruction = "x"\n[servers."a b"]\ncommand = ["x"]',
        'instruction = "x"\n[servers.a]\ncommand = "x y"',
        "instruction = ",
    ):
        (source / "task.toml").write_text(text)
        with pytest.raises(SettingsError):
            FolderScenario(source)
    (source / "task.toml").write_text(f'instruction = "x"\nsplit = "gate"\n{server}')
    assert [len(McpSuite(folder=str(tmp_path)).tasks(split, 5)) for split in Split] == [0, 1, 0]


async def test_a_checker_that_breaks_is_a_fault_and_a_changed_task_another_version(tmp_path: Path) -> None:
    source = tmp_path / "mine"
    source.mkdir()
    told = f'instruction = "x"\npython = "task.py"\n[servers.files]\nserver = "{FOLDER}"\n'
    (source / "task.toml").write_text(told)
    (source / "task.py").write_text("def make(folder, draw):\n    return {}\n\ndef check(folder, values):\n    1 / 0\n")
    suite = McpSuite(folder=str(tmp_path))
    environment, task = await begun(suite)
    with pytest.raises(EnvironmentFault, match="ZeroDivisionError"):
        await environment.step(Action(text="finish()"))
    (source / "task.toml").write_text(told.replace('"x"', '"y"'))
    assert FolderScenario(source).version != task.version
    await suite.stop()


def test_the_examples_are_what_the_documents_say() -> None:
    assert sorted(path.name for path in EXAMPLES.iterdir()) == [
        "close-project",
        "find-and-report",
        "merge-lists",
        "sort-invoices",
        "tidy-notes",
    ]


def test_the_task_folder_in_the_documents_is_the_one_that_is_played() -> None:
    page = (ROOT / "docs" / "mcp-tasks.md").read_text()
    for name in ("task.toml", "task.py"):
        assert f"# find-and-report/{name}\n{(EXAMPLES / 'find-and-report' / name).read_text()}```" in page
