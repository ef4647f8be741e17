"""Every way out that we know of, tried at both levels by real programs. 0 escapes."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.sandbox_probes import LEFT_OVER, PROBES, SECRET, Host, Probe, host, still_running
from wisen.core.errors import EnvironmentFault, SettingsError
from wisen.environments.code import box as box_module
from wisen.environments.code import levels
from wisen.environments.code.levels import SandboxLevel, landlock_level, require_sandbox
from wisen.environments.code.sandbox import Box, Limits, Sandbox, SandboxResult
from wisen.environments.code.seccomp import deny_list

LEVELS = [
    pytest.param("namespaces", marks=pytest.mark.sandbox),
    pytest.param(
        "landlock", marks=pytest.mark.skipif(landlock_level().level == "none", reason=landlock_level().detail)
    ),
]


@pytest.fixture(scope="module")
def machine() -> Iterator[Host]:
    with host() as made:
        yield made


@pytest.fixture(params=LEVELS)
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    return Sandbox(Limits(wall_s=20.0), only=request.param)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
async def test_contained(sandbox: Sandbox, machine: Host, probe: Probe) -> None:
    escaped, result = await probe.escaped(sandbox, machine)
    assert not escaped, result


async def test_a_probe_that_succeeds_is_noticed(machine: Host, tmp_path: Path) -> None:
    """The probes can fail: without walls, nearly every one that looks for something finds it."""

    class NoSandbox(Sandbox):
        async def run(self, source, **_):  # type: ignore[no-untyped-def, override]
            process = await asyncio.create_subprocess_exec(
                "/usr/bin/python3",
                "-I",
                "-c",
                source,
                cwd=tmp_path,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
            return SandboxResult(stdout=out.decode(), stderr=err.decode(), exit_code=process.returncode or 0)

    for name in ("host file read", "network", "/proc", "memory without a process", "one large file"):
        probe = next(probe for probe in PROBES if probe.name == name)
        assert (await probe.escaped(NoSandbox(), machine))[0], name


async def test_a_kept_box_keeps_files_and_nothing_else(sandbox: Sandbox) -> None:
    box = Box()
    try:
        assert (await sandbox.run("open('kept', 'w').write('1')", box=box)).exit_code == 0
        later = await sandbox.run("import os; print(open('kept').read(), os.listdir('.'))", box=box, read_only=True)
        assert later.stdout == "1 ['kept']\n"
        refused = await sandbox.run("open('kept', 'a')", box=box, read_only=True)
        assert refused.exit_code == 1 and "Error" in refused.stderr
    finally:
        box.remove()
    assert not Path(box.folder).exists()


async def test_a_kept_box_is_watched_and_can_always_be_removed(sandbox: Sandbox) -> None:
    box = Box()
    fill = "import os, time\nfor i in range(40): open(f'f{i}', 'wb').write(os.urandom(1 << 20))\ntime.sleep(15)"
    deep = "import os\nfor _ in range(1500):\n    os.mkdir('d' * 50); os.chdir('d' * 50)\nos.chmod('.', 0)"
    try:
        assert (await sandbox.run(fill, box=box, limits=Limits(disk_mb=16))).killed_by == "disk"
        await sandbox.run("import os\nfor name in os.listdir('.'): os.unlink(name)", box=box)
        for code in (deep, "import time; time.sleep(15)"):  # what lies too deep to be counted is too much
            result = await sandbox.run(code, box=box)
        assert result.killed_by == "disk"
    finally:
        box.remove()
    assert not Path(box.folder).exists()


async def test_a_link_in_a_kept_box_leads_nowhere(sandbox: Sandbox, machine: Host) -> None:
    box = Box()
    secret = machine.folder / "secret"
    owner = secret.stat().st_uid
    try:
        made = await sandbox.run(f"import os; os.symlink({str(machine.folder)!r}, 'out')", box=box)
        assert made.exit_code == 0
        read = await sandbox.run("print(open('out/secret').read())", box=box)
        assert read.exit_code == 1 and SECRET not in read.stdout
    finally:
        box.remove()
    assert secret.read_text() == SECRET and secret.stat().st_uid == owner


async def test_many_at_once_and_users_are_given_back(sandbox: Sandbox) -> None:
    code = "import os, time; open('n', 'w').write('{0}'); time.sleep(0.1); print(open('n').read(), os.listdir('.'))"
    results = await asyncio.gather(*(sandbox.run(code.format(n)) for n in range(12)))
    assert [result.stdout for result in results] == [f"{n} ['n']\n" for n in range(12)]


async def test_cancelling_ends_the_program(sandbox: Sandbox, machine: Host) -> None:
    left = next(probe for probe in PROBES if probe.name == "left-over process")
    code = "import os; os.execv('/usr/bin/sleep', ['sleep', '" + LEFT_OVER + "'])"
    run = asyncio.create_task(sandbox.run(code))
    await asyncio.sleep(0.5)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    for _ in range(20):
        if not (found := left.outside(machine)):
            break
        await asyncio.sleep(0.1)
    assert not found


@pytest.mark.parametrize("level", LEVELS)
def test_when_wisen_itself_is_killed_the_program_ends_too(level: str, machine: Host) -> None:
    left = next(probe for probe in PROBES if probe.name == "left-over process")
    code = f"import os\nif os.fork() == 0: os.setsid()\nos.execv('/usr/bin/sleep', ['sleep', '{LEFT_OVER}'])"
    program = (
        "import asyncio, sys\nfrom wisen.environments.code.sandbox import Sandbox\n"
        f"asyncio.run(Sandbox(only={level!r}).run({code!r}))"
    )
    started = subprocess.Popen([sys.executable, "-c", program])
    for _ in range(200):
        if still_running():
            break
        time.sleep(0.1)
    assert still_running()
    started.kill()
    started.wait()
    assert not left.outside(machine)


@pytest.mark.skipif(landlock_level().level == "none", reason=landlock_level().detail)
async def test_zombies_of_a_fork_bomb_do_not_count_against_the_next_run() -> None:
    sandbox = Sandbox(only="landlock")
    bomb = next(probe for probe in PROBES if probe.name == "fork bomb").code
    for _ in range(4):
        result = await sandbox.run(f"import os, time\n{bomb}")
        assert int(result.stdout.split()[1]) > 20


# --- which level is in force


def test_a_least_level_is_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    second = SandboxLevel(level="landlock", detail="Landlock (no namespaces)", hint="allow user namespaces")
    monkeypatch.setattr(levels, "sandbox_level", lambda: second)
    assert require_sandbox() is second and require_sandbox("landlock") is second
    with pytest.raises(EnvironmentFault, match=r"level 1 \(namespaces\) is asked for, but only level 2"):
        require_sandbox("namespaces")
    with pytest.raises(SettingsError, match="unknown sandbox level 'none'"):
        Sandbox(least="none")


def test_without_bubblewrap_the_second_level_is_taken_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels.bubblewrap, "why_not", lambda: ("bwrap is not installed", "install it"))
    found = levels.sandbox_level.__wrapped__()
    assert found.level == ("none" if landlock_level().level == "none" else "landlock")
    assert "bwrap is not installed" in found.detail and found.hint == "install it"
    assert found.level == "none" or (found.number == 2 and found.contains and "watched" in found.leaves)


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_the_second_level_needs_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in levels.jail.why_not.__wrapped__()[0]


def test_the_filter_names_both_machines_and_refuses_others() -> None:
    assert len(deny_list(sockets=False, machine="x86_64")) > len(deny_list(sockets=True, machine="x86_64"))
    assert len(deny_list(sockets=False, machine="aarch64")) % 8 == 0
    with pytest.raises(KeyError):
        deny_list(sockets=False, machine="riscv64")


def test_boxes_that_a_crash_left_are_removed_a_day_later(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.run(["/bin/sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout.strip()
    names = {"old": f"wisen-kept-{gone}-a", "new": f"wisen-kept-{gone}-b", "ours": f"wisen-kept-{os.getpid()}-c"}
    for name in names.values():
        (tmp_path / name / "below").mkdir(parents=True)
    (tmp_path / names["old"] / "below").chmod(0)
    for name in ("old", "ours"):
        os.utime(tmp_path / names[name], (0, 0))
    box_module._sweep.__wrapped__()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([names["new"], names["ours"]])


def test_a_box_that_nobody_removed_goes_with_its_last_user() -> None:
    box = Box()
    folder = Path(box.folder)
    assert folder.exists()
    del box
    assert not folder.exists()
