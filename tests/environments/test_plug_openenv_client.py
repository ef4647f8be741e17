"""OpenEnv servers that are not ours: other dialects, nonsense, silence and lost connections."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from websockets.asyncio.server import serve as serve_socket

from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.core.protocols import Environment
from wisen.core.records import Action, Split, ToolCall
from wisen.environments.plugs.openenv import OpenEnvSuite


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://x", "http://"])
def test_no_address(url: str) -> None:
    with pytest.raises(SettingsError, match=r"no address of a server \(write http://"):
        OpenEnvSuite(url)


def test_nobody_answers() -> None:
    with pytest.raises(EnvironmentFault, match="is the server running"):
        OpenEnvSuite("http://127.0.0.1:9").tasks(Split.LEARN, 1)


NUMBER = {
    "action": {
        "title": "Guess",
        "type": "object",
        "properties": {"number": {"type": "integer"}, "metadata": {"type": "object"}},
        "required": ["number"],
    },
    "observation": {"type": "object", "properties": {"hint": {"type": "string"}}},
}


@pytest.fixture
async def strange() -> AsyncIterator[Callable[..., Any]]:
    """Servers that answer as a test says: by HTTP with a schema, on the socket with the next of `replies`."""
    async with AsyncExitStack() as stack:

        async def made(*replies: Any, schema: Any = NUMBER) -> tuple[Environment, Any, list[Any]]:
            asked: list[Any] = []
            script = iter(replies)

            async def talk(socket: Any) -> None:
                async for message in socket:
                    asked.append(json.loads(message))
                    if asked[-1]["type"] == "close":
                        return
                    reply = next(script)
                    if reply is None:
                        socket.transport.abort()
                        return
                    if reply == "silence":
                        await socket.wait_closed()
                        return
                    await socket.send(reply if isinstance(reply, (str, bytes)) else json.dumps(reply))

            def page(connection: Any, request: Any) -> Any:
                if request.path == "/ws":
                    return None
                found = request.path == "/schema"
                body = json.dumps(schema if found else {"detail": "Not Found"})
                return connection.respond(200 if found else 404, body)

            server = await stack.enter_async_context(serve_socket(talk, "127.0.0.1", 0, process_request=page))
            port = server.sockets[0].getsockname()[1]
            suite = OpenEnvSuite(f"http://127.0.0.1:{port}", instruction="Guess.", seconds=1.0)
            made.suites.append(suite)  # type: ignore[attr-defined]
            tasks = await asyncio.to_thread(suite.tasks, Split.LEARN, 2)
            return await suite.create(), tasks[0], asked

        made.suites = []  # type: ignore[attr-defined]
        yield made


def hint(text: str, **beside: Any) -> dict[str, Any]:
    return {"type": "observation", "data": {"observation": {"hint": text}, "reward": None, "done": False, **beside}}


async def test_a_server_that_is_not_ours(strange: Callable[..., Any]) -> None:
    refusal = {"type": "error", "data": {"code": "VALIDATION_ERROR", "message": "Invalid message", "errors": [
        {"loc": ["number"], "msg": "at most 9"}]}}  # fmt: skip
    environment, task, asked = await strange(
        hint("a number from 1 to 9"), refusal, hint("higher"), hint("right", reward=True, done=True)
    )
    seen = await environment.reset(task)
    assert (seen.instruction, seen.text, seen.actions) == ("Guess.", "a number from 1 to 9", ())
    assert seen.tools[0].name == "act" and set(seen.tools[0].parameters["properties"]) == {"number"}
    unread = await environment.step(Action(text="seven"))  # it is not sent: the schema wants a number
    assert "must be a whole number" in unread.info["note"] and unread.info["note"] in unread.observation.text
    assert "needs number" in (await environment.step(Action(tool_call=ToolCall(name="act")))).info["note"]
    refused = await environment.step(Action(text="12"))
    assert refused.info["note"] == "This cannot be done: Invalid message: number: at most 9"
    assert (await environment.step(Action(text="act(number=4)"))).observation.text == "higher"
    over = await environment.step(Action(tool_call=ToolCall(name="act", arguments={"number": 7})))
    assert over.terminated and over.success is True and over.reward == 1.0
    assert [message["data"] for message in asked] == [{"seed": 0}, {"number": 12}, {"number": 4}, {"number": 7}]
    await environment.close()


async def test_a_server_whose_actions_are_calls_of_mcp_tools(strange: Callable[..., Any]) -> None:
    """As openenv 0.10.0 answers where an environment is made of MCP tools."""
    schema = {"action": {"properties": {"type": {}, "tool_name": {}, "arguments": {}, "metadata": {}}}}
    add = {"name": "add", "description": "Add.", "input_schema": {"type": "object", "required": ["a"],
           "properties": {"a": {"type": "integer"}}}}  # fmt: skip
    listed = {"type": "mcp", "data": {"jsonrpc": "2.0", "id": 1, "result": {"tools": [add]}}}
    five = {"tool_name": "add", "result": {"data": 5}, "error": None, "metadata": {}}
    lost = {"tool_name": "add", "result": None, "error": {"error_type": "timeout", "message": "too late"}}
    replies = [{"type": "observation", "data": {"observation": body, "done": False}} for body in ({}, five, lost)]
    _, task, asked = await strange(listed, *replies, schema=schema)
    suite = strange.suites[-1]  # type: ignore[attr-defined]
    await suite.start()
    environment = await suite.create()
    seen = await environment.reset(task)
    assert seen.text and [tool.name for tool in seen.tools] == ["add"]
    assert "no tool 'sub'" in (await environment.step(Action(text="sub(a=1)"))).info["note"]
    assert "5" in (await environment.step(Action(text="add(a=2)"))).observation.text
    call = ToolCall(name="add", arguments={"a": 3})
    assert "add failed" in (await environment.step(Action(tool_call=call))).observation.text
    assert asked[0]["data"]["method"] == "tools/list"
    assert asked[3]["data"] == {"type": "call_tool", "tool_name": "add", "arguments": {"a": 2}}
    await environment.close()


async def test_success_is_a_reward_or_what_the_server_says(strange: Callable[..., Any]) -> None:
    for beside, success, truncated in (
        ({"reward": 0.4}, False, False),
        ({"reward": 0.4, "metadata": {"success": True}}, True, False),
        ({"reward": 1, "metadata": {"truncated": True}}, False, True),
    ):
        environment, task, _ = await strange(hint("go"), hint("end", done=True, **beside))
        await environment.reset(task)
        result = await environment.step(Action(text="1"))
        assert (result.success, result.truncated, result.terminated) == (success, truncated, not truncated)
        await environment.close()


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (None, "closed the session"),
        ("silence", "did not answer within 1 s"),
        ("{", "does not speak OpenEnv: this is not JSON"),
        ({"type": "dance"}, "is of type 'dance'"),
        ({"type": "observation", "data": {"observation": [], "done": False}}, "has no observation"),
        ('{"type": "observation", "data": {"observation": {}, "reward": NaN}}', "the reward is 'nan'"),
        ({"type": "error", "data": {"code": "SESSION_ERROR", "message": "lost"}}, "lost"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_server_that_breaks_ends_the_episode_and_a_reset_begins_anew(
    strange: Callable[..., Any], reply: Any, told: str
) -> None:
    environment, task, asked = await strange(hint("go"), reply, hint("again"), hint("still here"))
    await environment.reset(task)
    with pytest.raises(EnvironmentFault, match=told):
        await environment.step(Action(text="1"))
    assert (await environment.reset(task)).text == "again"
    assert (await environment.step(Action(text="2"))).observation.text == "still here"
    assert len(asked) == 4
    await environment.close()


async def test_a_step_that_was_given_up_is_not_taken_for_the_next(strange: Callable[..., Any]) -> None:
    environment, task, _ = await strange(hint("go"), "silence", hint("fresh"))
    await environment.reset(task)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await environment.step(Action(text="1"))
    assert (await environment.reset(task)).text == "fresh"
    await environment.close()


async def test_refusals_without_end_are_a_fault(strange: Callable[..., Any]) -> None:
    error = {"type": "error", "data": {"code": "EXECUTION_ERROR", "message": "boom"}}
    environment, task, _ = await strange(hint("go"), error, error, error)
    await environment.reset(task)
    for _ in range(2):
        assert "boom" in (await environment.step(Action(text="1"))).info["note"]
    with pytest.raises(EnvironmentFault, match="3 actions in a row were refused"):
        await environment.step(Action(text="1"))
