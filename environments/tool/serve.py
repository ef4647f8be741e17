"""Our own tools as an MCP server: from specs and one function, in this process or over stdio."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from wisen.core.records import Action, ToolCall, ToolSpec
from wisen.environments.tool.calls import BadCall, Toolbox

Handler = Callable[[str, Mapping[str, Any]], Awaitable[tuple[str, bool]]]  # name, arguments -> text, is it an error


def make_server(name: str, tools: Sequence[ToolSpec], call: Handler, *, instructions: str = "") -> Any:
    """An `mcp.server.Server`. Arguments are checked before `call` sees them; what is wrong with them is a tool error
    whose text says so."""
    import mcp_types as types
    from mcp.server import Server

    toolbox = Toolbox(tools)
    listing = types.ListToolsResult(
        tools=[types.Tool(name=tool.name, description=tool.description, input_schema=tool.parameters) for tool in tools]
    )

    async def list_tools(context: Any, params: Any) -> types.ListToolsResult:
        return listing

    async def call_tool(context: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            wanted = ToolCall(name=params.name, arguments=params.arguments or {})
            made = toolbox.understood(Action(tool_call=wanted))
            text, error = await call(made.name, made.arguments)
        except BadCall as why:
            text, error = str(why), True
        return types.CallToolResult(content=[types.TextContent(type="text", text=text)], is_error=error)

    return Server(name, instructions=instructions or None, on_list_tools=list_tools, on_call_tool=call_tool)


def serve_stdio(server: Any) -> None:
    """Serve until stdin ends."""
    import anyio
    from mcp.server.stdio import stdio_server

    async def run() -> None:
        async with stdio_server() as (read, write):
            await server.run(read, write, server.create_initialization_options())

    anyio.run(run)
