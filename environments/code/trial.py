"""Runs a source that an agent has edited, in the sandbox, and reads what came of it.

Only arguments go in and only results come out: right answers stay outside and are compared outside, so that code which
looks around in its own process finds nothing to copy.
"""

from collections.abc import Sequence

from wisen.core.records import Record
from wisen.environments.code.mutate import DID_NOT_END
from wisen.environments.code.problem import Case
from wisen.environments.code.sandbox import Box, Limits, Sandbox, SandboxResult

TEST_LIMITS = Limits(wall_s=10.0, cpu_s=2, memory_mb=256, output_bytes=262_144)
CODE_LIMITS = Limits(wall_s=10.0, cpu_s=5, memory_mb=512, output_bytes=4_000)

# What the tested code prints goes to stderr, away from the results. Each result is one line, written at once: what is
# missing after the last one was not reached.
_TEST = """\
import json, os
_out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
def _run(source, name, cases):
    space = {"__name__": "solution"}
    try:
        exec(compile(source, "solution.py", "exec"), space)
        function = space[name]
    except BaseException as error:
        text = str(error).replace(chr(10), " ")[:200]
        print(f"not loaded: {type(error).__name__}: {text}", file=_out, flush=True)
        return
    print("loaded", file=_out, flush=True)
    for arguments in cases:
        try:
            line = json.dumps(function(*json.loads(arguments)))
        except BaseException as error:
            line = f"raised {type(error).__name__}"
        print(line, file=_out, flush=True)
"""

# The same for a module among the files of a box. Its folder comes last on the path: a file of the agent's named json.py
# is not what this program imports.
_MODULE_TEST = """\
import sys
sys.path.append(os.getcwd())
def _run_module(name, function, cases):
    _run(f"from {name} import {function}", function, cases)
"""

_CODE = """\
import sys, traceback
def _run(source, code):
    space = {"__name__": "__main__"}
    try:
        exec(compile(source, "solution.py", "exec"), space)
        exec(compile(code, "code.py", "exec"), space)
    except SystemExit:
        raise
    except BaseException as error:
        lines = traceback.format_exception(type(error), error, error.__traceback__.tb_next)
        sys.stderr.write("".join(lines))
        sys.exit(1)
"""


class Trial(Record):
    """What a function made of each case, in order: the result as JSON, `raised X`, or `did not end`. `problem` says
    why the source could not be loaded, and then there are no replies."""

    replies: tuple[str, ...] = ()
    problem: str = ""


async def try_source(sandbox: Sandbox, source: str, name: str, cases: Sequence[Case]) -> Trial:
    """Call the function `name` of `source` with each case's arguments. Raises `EnvironmentFault` for a sandbox that
    does not start."""
    arguments = [case.arguments for case in cases]
    result = await sandbox.run(f"{_TEST}\n_run({source!r}, {name!r}, {arguments!r})\n", limits=TEST_LIMITS)
    return _trial(result, cases)


async def try_module(sandbox: Sandbox, box: Box, module: str, name: str, cases: Sequence[Case]) -> Trial:
    """The same for the function `name` of a module among the files of `box`, which stay as they are."""
    arguments = [case.arguments for case in cases]
    program = f"{_TEST}\n{_MODULE_TEST}\n_run_module({module!r}, {name!r}, {arguments!r})\n"
    return _trial(await sandbox.run(program, limits=TEST_LIMITS, box=box, read_only=True), cases)


def _trial(result: SandboxResult, cases: Sequence[Case]) -> Trial:
    head, *lines = result.stdout.splitlines() or [""]
    if head != "loaded":
        return Trial(problem=head.removeprefix("not loaded: ") or _ended(result))
    lines = lines[: len(cases)]
    return Trial(replies=(*lines, *[DID_NOT_END] * (len(cases) - len(lines))))


async def run_code(sandbox: Sandbox, source: str, code: str, *, box: Box | None = None) -> str:
    """Run `source`, then `code` beside it, in `box` with its files as modules where one is given; what they wrote, and
    how it ended where that was not well."""
    path = "import os; sys.path.append(os.getcwd())\n" if box else ""
    result = await sandbox.run(f"{_CODE}{path}\n_run({source!r}, {code!r})\n", limits=CODE_LIMITS, box=box)
    return told(result)


def told(result: SandboxResult) -> str:
    """A run as an agent is shown it."""
    parts = [result.stdout.rstrip(), result.stderr.rstrip(), _ended(result) if result.exit_code else ""]
    return "\n".join(part for part in parts if part) or "(no output)"


def _ended(result: SandboxResult) -> str:
    reasons = {"time": "out of time", "cpu": "out of CPU time", "memory": "out of memory", "output": "too much output",
               "disk": "too much written to disk"}  # fmt: skip
    return f"ended: {reasons[result.killed_by]}" if result.killed_by else f"ended with exit code {result.exit_code}"
