"""The pages in docs/ are run as a stranger would: files copied under their names, commands given as they stand."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tests.support.fake_openai import KEY, FakeOpenAI, reply
from tests.support.lora import build_adapter
from tests.support.serving import TOKEN, served
from tests.support.talker import build_talker
from wisen.app.cli import app
from wisen.core.errors import StoreError

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
WISEN = str(Path(sys.executable).with_name("wisen"))
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
pytestmark = pytest.mark.timeout(300)  # fresh processes that import torch, on a machine that may be busy
ELSEWHERE = {"embedded.py", "desk.py"}  # from an installed wheel, in tests/project/test_embedding.py
SETTINGS = {"gate.md": "[gate]", "schedule.md": "[schedule]"}
TRIED = {
    "ask_choice.py",
    "own_model.py",
    "doors.py",
    "errands.py",
    "twice.py",
    "walk.py",
    "test_contract.py",
    "pyproject.toml",
    "refunds.py",
    "helpdesk.py",
    "remembering.py",
    *SETTINGS.values(),
} | ELSEWHERE


def fences(page: Path, language: str) -> list[str]:
    return [text for tag, text in FENCE.findall(page.read_text(encoding="utf-8")) if tag == language]


def files(page: Path) -> dict[str, str]:
    """Python and TOML blocks by the name in their first line."""
    return {text.splitlines()[0].removeprefix("# "): text for text in fences(page, "python") + fences(page, "toml")}


def commands(page: Path) -> list[list[str]]:
    """Shell lines as words, comments left out."""
    lines = [line for text in fences(page, "sh") for line in text.splitlines()]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def the_command(page: str, *start: str) -> list[str]:
    """The first command of a page that begins so, with the `wisen` of this installation."""
    found = next(words for words in commands(ROOT / "docs" / page) if words[: len(start)] == list(start))
    return [WISEN, *found[1:]]


def copied(page: str, to: Path) -> Path:
    for name, text in files(ROOT / "docs" / page).items():
        (to / name).write_text(text, encoding="utf-8")
    return to


def ran(command: list[str], at: Path, **environment: str) -> str:
    run = subprocess.run(
        command, cwd=at, env={**os.environ, **environment}, capture_output=True, text=True, timeout=280, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    return run.stdout


def test_every_block_of_code_is_tried_here() -> None:
    assert {name for page in PAGES for name in files(page)} == TRIED


@pytest.mark.parametrize(("page", "block"), SETTINGS.items())
def test_settings_are_read_from_the_file_that_holds_them(
    page: str, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("wisen.toml").write_text(files(ROOT / "docs" / page)[block], encoding="utf-8")
    resolved = CliRunner().invoke(app, ["evolve", "--dry-run"])
    assert resolved.exit_code == 0 and block in resolved.output, resolved.output
    assert resolved.output != CliRunner().invoke(app, ["evolve", "--dry-run", "--config", os.devnull]).output


def test_the_index_names_every_page_and_links_lead_somewhere() -> None:
    for page in PAGES:
        links = {target for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()) if "://" not in target}
        assert not [target for target in links if not (page.parent / target).exists()], page.name
        if page.name == "README.md":
            assert links == {other.name for other in PAGES} - {"README.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_and_their_settings_exist(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(page):
        if words[0] != "wisen":
            continue
        # What would play, serve or need a package stops after its options were read.
        dry = {"evolve": ["--dry-run"], "run": ["--dry-run"], "env": ["--help"], "doctor": ["--help"]}.get(words[1], [])
        if words[:3] == ["wisen", "models", "serve"] and len(words) > 3:
            dry = ["--help"]  # it would go on to load what it names
        if words[:2] == ["wisen", "schedule"] and "status" not in words:
            dry = ["--dry-run"]  # it would wait for the night
        if words[:3] == ["wisen", "memory", "serve"]:
            dry = ["--help"]  # it would serve; how, is in tests/app/test_memory_server.py
        result = CliRunner().invoke(app, [*words[1:], *dry])
        # Commands that look into a workspace get as far as to find none; a wrong option or setting fails before that.
        # The memory's page makes its own, and each of its commands does what it says.
        found_none = page.stem != "memory" and (
            isinstance(result.exception, StoreError)
            or any(said in str(result.exception) for said in ("has no report", "holds no release"))
        )
        assert result.exit_code == 0 or found_none, (words, result.output, result.exception)


@pytest.mark.browser
def test_own_model(tmp_path: Path) -> None:
    told = ran([sys.executable, "own_model.py"], copied("your-model.md", tmp_path)).splitlines()
    assert len(told) == 6
    assert sum(" True [" in line for line in told) >= 3  # words in common solve most of these pages


@pytest.mark.browser
def test_remote_model(tmp_path: Path) -> None:
    """The command as it stands, but for the address, and on one family."""
    command = the_command("models.md", "wisen", "run", "--model", "openai/my-model")
    with FakeOpenAI(reply(None, tool_calls=[("1", "click", '{"element": "button \\"ONE\\""}')])) as server:
        command[command.index("--api-base") + 1] = server.url
        told = ran([*command, "-s", 'suite_options.families=["click-test-2"]'], tmp_path, OPENAI_API_KEY=KEY)
    assert "openai/my-model: 100 % of 1 tasks solved" in told
    assert server.requests[0]["model"] == "my-model"
    assert {tool["function"]["name"] for tool in server.requests[0]["tools"]} == {"click", "type", "select"}


def test_models_are_found_asked_and_changed_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """models.md against our own server, which stands in for the others: every name and address of it is looked for as
    `wisen doctor` does and asked with that command's settings; the adapter's calls as they stand, but for address, key
    and folder."""
    from wisen.app.doctor_remote import check_remote
    from wisen.core.errors import FaultKind, ModelFault
    from wisen.core.records import Message, ModelRequest, Purpose, Role, Span, SpanKind
    from wisen.core.settings import load, nested
    from wisen.evolution.settings import RunSettings
    from wisen.models.local import LocalModel
    from wisen.models.remote import LiteLLMModel

    said = Message(role=Role.USER, spans=(Span(kind=SpanKind.TASK, text="go"),))
    asked = ModelRequest(purpose=Purpose.ACT, messages=(said,), max_tokens=5, seed=1)
    folder = build_talker(tmp_path / "weights")
    adapter = build_adapter(folder, tmp_path / "shop-1", seed=1)
    model = LocalModel.load(str(folder), name="base", threads=1)
    names = ("base", "my-model", "llama3.2")
    lines = commands(ROOT / "docs" / "models.md")
    for provider in ("OPENAI", "HOSTED_VLLM", "OLLAMA_CHAT"):
        monkeypatch.setenv(f"{provider}_API_KEY", TOKEN)
    with served(dict.fromkeys(names, model), runtime_adapters=True) as base:

        def local(url: str) -> str:
            return re.sub(r"^http://localhost:\d+(/v1)?", lambda found: base if found[1] else base[: -len("/v1")], url)

        def ask(words: list[str]) -> Any:
            given = nested([words[at + 1] for at, word in enumerate(words) if word == "--set"])
            settings = load(RunSettings, overrides=given).remote.model_dump()
            name = words[words.index("--model") + 1]
            remote = LiteLLMModel(name, **settings | {"api_base": base, "retries": 0})
            return asyncio.run(remote.call(asked))

        checked = [words for words in lines if words[:2] == ["wisen", "doctor"] and "--api-base" in words]
        assert {words[3].partition("/")[2] for words in checked} == set(names)
        for words in checked:
            found = check_remote(words[3], words[3], api_base=local(words[5]))
            assert found.ok, found
            assert check_remote(f"{words[3]}-not", "x", api_base=local(words[5])).ok is False
        (plain,) = (words for words in lines if words[:4] == ["wisen", "run", "--model", "openai/my-model"])
        assert ask(plain).text and ask(plain).tokens is None
        (kept,) = (words for words in lines if words[:4] == ["wisen", "run", "--model", "hosted_vllm/base"])
        assert ask(kept).tokens.logprobs
        (shop,) = (words for words in lines if words[:4] == ["wisen", "run", "--model", "hosted_vllm/shop-1"])
        for curl, there in zip((words for words in lines if words[0] == "curl"), (True, False), strict=True):
            body = curl[-1].replace("/adapters/shop-1", str(adapter))
            command = [curl[0], local(curl[1]), *curl[2:-1], body, "-H", f"Authorization: Bearer {TOKEN}"]
            if shutil.which("curl") is None:
                pytest.skip("there is no curl here")
            assert ran([*command, "--silent", "--show-error"], tmp_path).startswith("Success")
            if there:
                assert ask(shop).text
            else:
                with pytest.raises(ModelFault) as gone:
                    ask(shop)
                assert gone.value.kind is FaultKind.NOT_FOUND


@pytest.mark.parametrize(
    ("model", "variable"),
    [("openai/gpt-4o-mini", "OPENAI_API_KEY"), ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY")],
)
def test_providers_keys_are_those_that_the_page_names(
    model: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wisen.app.doctor_remote import check_remote

    page = (ROOT / "docs" / "models.md").read_text()
    assert f"export {variable}=" in page and f"wisen run --model {model}\n" in page
    monkeypatch.delenv(variable, raising=False)
    missing = check_remote(model, model)
    assert missing.ok is None and variable in missing.found
    monkeypatch.setenv(variable, "any")
    assert check_remote(model, model).ok is True


def test_a_served_model_is_asked(tmp_path: Path) -> None:
    """The page's curl line and its script as they stand, but for the address. What `wisen models serve` itself prints
    is in tests/app/test_serve.py."""
    from wisen.models.local import LocalModel

    model = LocalModel.load(str(build_talker(tmp_path / "weights")), name="r3", threads=1)
    at = copied("serving.md", tmp_path)
    (curl,) = (words for words in commands(ROOT / "docs" / "serving.md") if words[0] == "curl")
    with served({"r3": model}) as base:
        told = ran([sys.executable, "ask_choice.py"], at, OPENAI_BASE_URL=base, OPENAI_API_KEY=TOKEN)
        curl[1] = curl[1].replace("http://127.0.0.1:8000/v1", base)
        curl = [word.replace("$OPENAI_API_KEY", TOKEN) for word in curl]
        if shutil.which("curl"):
            assert '"role":"assistant"' in ran([*curl, "--silent", "--show-error"], at)
    assert re.fullmatch(r"click (Submit|Cancel) -\d+\.\d+\n", told)


@pytest.fixture(scope="module")
def errands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's package, installed into a folder `site` beside it. Without network: its one dependency is here."""
    at = copied("your-environment.md", tmp_path_factory.mktemp("errands"))
    assert ["pip", "install", "."] in commands(ROOT / "docs" / "your-environment.md")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q"]
    ran([*pip, "--no-index", "--no-deps", "--no-build-isolation", "--target", "site", "."], at)
    return at


def test_own_suite_is_listed_and_played(errands: Path) -> None:
    told = ran([WISEN, "env", "list"], errands, PYTHONPATH=str(errands / "site"))
    assert re.search(r"^errands +From wisen-errands: errands:ErrandSuite$", told, re.MULTILINE)
    told = ran([WISEN, "env", "play", "doors"], errands, PYTHONPATH=str(errands / "site"))
    assert "left after 0 steps" in told and told.count("open door") == 3


def test_thirty_lines_are_thirty_lines() -> None:
    lines = files(ROOT / "docs" / "your-environment.md")["doors.py"].splitlines()[1:]
    code = [line for line in lines if line.strip() and not line.startswith(("import", "from"))]
    assert len(code) <= 30


@pytest.mark.parametrize("name", ["errands", "doors"])
def test_own_suite_keeps_the_contract(errands: Path, name: str) -> None:
    _, *command = the_command("your-environment.md", "python", "-m", "pytest")
    contract = errands / f"test_contract_{name}.py"
    contract.write_text((errands / "test_contract.py").read_text().replace('"errands"', f'"{name}"'))
    command[-1] = str(contract)
    told = ran([sys.executable, *command, "-p", "no:cacheprovider"], ROOT, PYTHONPATH=str(errands / "site"))
    assert re.search(r"\n=* ?\d\d passed, \d skipped", told), told
    assert ("has no oracle" in told) is (name == "doors")


def test_the_contract_notices_a_suite_that_breaks_it(errands: Path, tmp_path: Path) -> None:
    """The page's way to run the contract can fail: here success is said before the end."""
    broken = (errands / "site" / "errands.py").read_text()
    (tmp_path / "errands.py").write_text(
        broken.replace("StepResult(observation=self._seen())", "StepResult(observation=self._seen(), success=False)")
    )
    assert (tmp_path / "errands.py").read_text() != broken
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "pyproject.toml", "-p", "no:cacheprovider",
         str(errands / "test_contract.py")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{errands / 'site'}"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )  # fmt: skip
    assert run.returncode == 1
    assert "FAILED" in run.stdout and "success_is_said_only_at_the_end" in run.stdout


def test_ours_in_gymnasium(tmp_path: Path) -> None:
    told = ran([sys.executable, "walk.py"], copied("plugs.md", tmp_path))
    assert re.fullmatch(r"household/\S+ (True|False|None)\n", told), told


def test_an_episode_is_gone_on_with_again_and_again(tmp_path: Path) -> None:
    told = ran([sys.executable, "twice.py"], copied("environments.md", tmp_path))
    assert told.startswith("You carry nothing.") and told.count("You are at the middle of the ") == 2, told


def test_own_suite_evolves(errands: Path) -> None:
    command = the_command("your-environment.md", "wisen", "evolve", "--suite", "errands", "--workspace", "try")
    told = ran(command, errands, PYTHONPATH=str(errands / "site"))
    assert "wisen evolve on errands, seed 0" in told
    assert list((errands / "try" / "runs").glob("evolve-*/report.html"))
