"""docker-compose.yml, Dockerfile and .dockerignore: what can be known of them without a container engine."""

import configparser
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command
from typer.testing import CliRunner

from tests.support.loopback import Loopback
from tests.support.servers import Chroma, PostgreSQL
from wisen.app.cli import app
from wisen.core.settings import NOT_SETTINGS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LIBPQ = {"PGPASSWORD"}  # PostgreSQL's own client library reads it


def test_every_service_says_how_it_is_and_is_waited_for() -> None:
    assert set(SERVICES) == {"postgres", "chroma", "wisen", "schedule", "vllm"}
    for service in SERVICES.values():
        assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert {name: one["condition"] for name, one in SERVICES["wisen"]["depends_on"].items()} == {
        "postgres": "service_healthy",
        "chroma": "service_healthy",
    }
    assert all(set(service["networks"]) == {"inside"} and "ports" not in service for service in SERVICES.values())


def test_no_password_is_written_down_and_every_variable_is_required_or_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{([^}]*)\}", text)
    assert used and all(re.fullmatch(r"[A-Z_]+:[?-].+", one) for one in used), used
    # Compose fills in the whole file, also for services that are not started.
    assert {one.partition(":")[0] for one in used if ":?" in one} == {"POSTGRES_PASSWORD"}
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert "PASSWORD" not in name or value.startswith("${")
            assert not re.search(r"://[^/@]*:[^/@]*@", str(value)), "a password in a URL"
    example = dict(
        line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if line and line[0] != "#"
    )
    assert example == {one.partition(":")[0]: "" for one in used}
    ignored = subprocess.run(["git", "check-ignore", "-q", ".env"], cwd=ROOT, check=False).returncode
    assert ignored in (0, 128)  # 128: no repository, as in an unpacked archive


def test_images_are_pinned_and_match_what_is_tested() -> None:
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert all(re.search(r":v?\d+\.\d+", image) for image in images.values())
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert images["chroma"].endswith(":" + re.findall(r"^chromadb==([\d.]+)", lock, re.M)[0])
    assert images["wisen"] == f"wisen:{project['version']}"
    major = re.findall(r"postgres:(\d+)", images["postgres"])[0]
    assert f"postgresql-client-{major}" in DOCKERFILE  # an older pg_dump refuses a newer server
    assert re.search(r"^FROM \S+:\d+\.\d+", DOCKERFILE, re.M)
    assert next(one for one in project["dependencies"] if one.startswith("torch")) in DOCKERFILE


def test_volumes_are_declared_and_the_workspace_is_on_one() -> None:
    mounted = {name: [one.split(":")[:2] for one in service["volumes"]] for name, service in SERVICES.items()}
    assert {volume for volumes in mounted.values() for volume, _ in volumes} == set(COMPOSE["volumes"])
    assert f"WORKDIR {mounted['wisen'][0][1]}\n" in DOCKERFILE
    assert SERVICES["chroma"]["command"][-2:] == ["--path", mounted["chroma"][0][1]]


def test_the_schedule_is_the_same_wisen_on_a_profile_and_comes_back() -> None:
    wisen, schedule = SERVICES["wisen"], SERVICES["schedule"]
    own = {"profiles", "restart", "stop_grace_period", "command", "healthcheck"}
    assert {key for key in schedule if schedule[key] != wisen.get(key)} == own
    assert schedule["profiles"] == ["schedule"] and schedule["restart"] == "unless-stopped"
    asked = [one.replace("${SCHEDULE_CRON:-", "").removesuffix("}") for one in schedule["command"]]
    told = CliRunner().invoke(app, [*asked, "--dry-run"])
    assert told.exit_code == 0 and "cron 0 2 * * *" in told.output
    test = schedule["healthcheck"]["test"]
    assert test[:2] == ["CMD", "wisen"] and CliRunner().invoke(app, test[2:]).exit_code == 1  # none is at work here


def test_the_systemd_unit_runs_it_and_lets_it_end_in_good_order() -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string((ROOT / "docs" / "wisen-schedule.service").read_text())
    service = unit["Service"]
    program, *args = shlex.split(service["ExecStart"])
    assert program.endswith("/wisen") and service["Restart"] == "on-failure"
    assert service["SuccessExitStatus"] == str(128 + signal.SIGTERM) and service["RestartPreventExitStatus"] == "2"
    told = CliRunner().invoke(app, [*args, "--dry-run"])
    assert told.exit_code == 0 and "cron 0 2 * * *" in told.output, told.output


def test_the_model_server_is_on_a_profile_and_what_the_client_needs() -> None:
    vllm = SERVICES["vllm"]
    assert vllm["profiles"] == ["vllm"] and "depends_on" not in vllm  # nothing else starts it
    page = (ROOT / "docs" / "models.md").read_text()
    (served,) = re.findall(r"^vllm serve (.*)$", page, re.M)
    told = served.replace(" --", "\n--").splitlines()
    flags = {flag.replace(" ", "=") for flag in told[1:]}
    assert flags | {f"--model=${{VLLM_MODEL:-{told[0]}}}"} == set(vllm["command"])
    for needed in ("--generation-config=vllm", "--logprobs-mode=raw_logprobs", "--enable-lora"):
        assert needed in vllm["command"]
    (runtime,) = vllm["environment"]
    assert f"export {runtime}={vllm['environment'][runtime]}\n" in page
    assert "http://vllm:8000/v1" in page and "--served-model-name=base" in vllm["command"]
    (device,) = vllm["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    # An adapter has the same path on both sides, and cannot be changed by the server.
    assert f"{SERVICES['wisen']['volumes'][0]}:ro" in vllm["volumes"]


def test_the_model_server_s_health_check_tells_a_server_from_none() -> None:
    command = SERVICES["vllm"]["healthcheck"]["test"]
    assert command[:3] == ["CMD", "python3", "-c"]

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    def asked(address: str) -> int:
        script = command[3].replace("http://127.0.0.1:8000", address)
        return subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode

    server = Loopback(Healthy)
    server.start()
    try:
        assert asked(server.url) == 0
    finally:
        server.stop()
    assert asked("http://127.0.0.1:9") != 0


def test_compose_itself_reads_it() -> None:
    """Where Compose is at hand: the profile is its own, and its one variable has a default and can be set."""
    compose = shutil.which("docker-compose")
    if compose is None:
        pytest.skip("there is no docker-compose here")

    def merged(**variables: str) -> dict[str, Any]:
        run = subprocess.run(
            [compose, "-f", str(ROOT / "docker-compose.yml"), "--profile", "vllm", "config"],
            env={"PATH": os.environ["PATH"], "HOME": "/nowhere", "POSTGRES_PASSWORD": "p", **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
        found: dict[str, Any] = yaml.safe_load(run.stdout)["services"]
        return found

    assert merged()["vllm"]["command"][0] == "--model=Qwen/Qwen3-0.6B"
    assert merged(VLLM_MODEL="org/mine")["vllm"]["command"][0] == "--model=org/mine"
    assert merged()["vllm"]["profiles"] == ["vllm"] and "profiles" not in merged()["postgres"]


def test_what_it_sets_is_what_the_code_reads() -> None:
    settings = set(SERVICES["wisen"]["environment"])
    assert settings <= NOT_SETTINGS | LIBPQ and {"WISEN_STORE_URL", "WISEN_INDEX_URL"} <= settings


def test_the_commands_it_names_exist() -> None:
    known = get_command(app).commands  # type: ignore[attr-defined]
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / "docs" / "deploying.md").read_text()
    named = re.findall(r"run --rm wisen (\w+)", text)
    named += [*SERVICES["wisen"]["command"], SERVICES["wisen"]["healthcheck"]["test"][2]]
    assert len(named) > 4 and set(named) <= set(known), set(named) - set(known)


def test_wisen_is_not_root_and_has_its_tools() -> None:
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.M) == ["wisen"]
    for package in ("chromium-headless-shell", "bubblewrap", "python3", "postgresql-client-15"):
        assert package in DOCKERFILE
    assert "whl/cpu torch==" in DOCKERFILE and "--require-hashes" in DOCKERFILE


def test_the_image_is_given_every_package_and_nothing_private() -> None:
    kept = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(project["tool"]["setuptools"]["package-dir"].values()) <= kept
    assert {"pyproject.toml", "README.md", "LICENSE", "requirements.lock"} <= kept
    assert not {".env", ".git", ".wisen", ".venv", "tests"} & kept


def test_chromas_health_check_tells_a_server_from_none(chroma: Chroma) -> None:
    command = SERVICES["chroma"]["healthcheck"]["test"]
    assert command[:3] == ["CMD", "bash", "-c"] and shutil.which("bash")

    def asked(port: str) -> int:
        script = command[3].replace("/127.0.0.1/8000", f"/127.0.0.1/{port}")
        return subprocess.run(["bash", "-c", script], capture_output=True, timeout=5, check=False).returncode

    assert asked(chroma.url.rpartition(":")[2]) == 0
    assert asked("9") != 0


def test_postgresqls_health_check_tells_a_server_from_none(postgres_server: PostgreSQL) -> None:
    command = SERVICES["postgres"]["healthcheck"]["test"][1:]
    program = shutil.which(command[0]) or next(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{command[0]}")), None)
    if program is None:
        pytest.skip("there is no pg_isready here")

    def asked(port: int) -> int:
        there = {**os.environ, "PGHOST": "127.0.0.1", "PGPORT": str(port)}
        return subprocess.run([program, *command[1:]], env=there, capture_output=True, check=False).returncode

    assert asked(postgres_server.port) == 0
    assert asked(9) == 2
