"""docker-compose.yml, Dockerfile and .dockerignore: what can be known of them without a container engine."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from tests.support.servers import Chroma, PostgreSQL
from wisen.app.cli import app
from wisen.core.settings import NOT_SETTINGS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LIBPQ = {"PGPASSWORD"}  # PostgreSQL's own client library reads it


def test_every_service_says_how_it_is_and_is_waited_for() -> None:
    assert set(SERVICES) == {"postgres", "chroma", "wisen"}
    for service in SERVICES.values():
        assert {"test", "interval", "timeout", "retries"} <= set(service["healthcheck"])
    assert {name: one["condition"] for name, one in SERVICES["wisen"]["depends_on"].items()} == {
        "postgres": "service_healthy",
        "chroma": "service_healthy",
    }
    assert all(set(service["networks"]) == {"inside"} and "ports" not in service for service in SERVICES.values())


def test_no_password_is_written_down_and_every_variable_is_required() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{([^}]*)\}", text)
    assert used and all(re.fullmatch(r"[A-Z_]+:\?.+", one) for one in used), used
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
    assert all(re.search(r":\d+\.\d+", image) for image in images.values())
    lock = (ROOT / "requirements.lock").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert images["chroma"].endswith(":" + re.findall(r"^chromadb==([\d.]+)", lock, re.M)[0])
    assert images["wisen"] == f"wisen:{project['version']}"
    major = re.findall(r"postgres:(\d+)", images["postgres"])[0]
    assert f"postgresql-client-{major}" in DOCKERFILE  # an older pg_dump refuses a newer server
    assert re.search(r"^FROM \S+:\d+\.\d+", DOCKERFILE, re.M)
    assert next(one for one in project["dependencies"] if one.startswith("torch")) in DOCKERFILE


def test_volumes_are_declared_and_the_workspace_is_on_one() -> None:
    mounted = {name: [one.split(":") for one in service["volumes"]] for name, service in SERVICES.items()}
    assert {volume for volumes in mounted.values() for volume, _ in volumes} == set(COMPOSE["volumes"])
    assert f"WORKDIR {mounted['wisen'][0][1]}\n" in DOCKERFILE
    assert SERVICES["chroma"]["command"][-2:] == ["--path", mounted["chroma"][0][1]]


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
