"""Real servers for tests, on sockets and ports of their own: PostgreSQL where this machine has it, and Chroma."""

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

GIVEN = "WISEN_TEST_POSTGRES"  # a URL with {database} in it: a server to use instead of one that is started
USER = "wisen"


class PostgreSQL:
    """A server in a temporary folder. By its socket everybody is let in, by TCP only with the password."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="wisen-pg-"))  # not tmp_path: the path of a socket must be short
        self._data = str(self._folder / "data")
        self._as: dict[str, str] = {}
        self.port = free_port()
        self.password = secrets.token_hex(8)

    def make(self) -> None:
        if os.geteuid() == 0:  # the server refuses to run as root
            try:
                os.chown(self._folder, pwd.getpwnam("postgres").pw_uid, -1)
            except KeyError:
                pytest.skip("PostgreSQL does not run as root, and there is no user 'postgres'")
            self._as = {"user": "postgres"}
        secret = self._folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        auth = ["--auth-local=trust", "--auth-host=scram-sha-256", f"--pwfile={secret}"]
        self._run("initdb", "-D", self._data, *auth, "-N", "-U", USER)
        self.start()

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses=127.0.0.1 -c port={self.port} -c fsync=off"
        # Its output goes to a file: a pipe would stay open as long as the server lives.
        self._run("pg_ctl", "-D", self._data, "-w", "-o", options, "-l", str(self._folder / "log"), "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop")

    def remove(self) -> None:
        with suppress(subprocess.CalledProcessError):
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """By the socket; with {database} in it."""
        return f"postgresql://{USER}@:{self.port}/{{database}}?host={self._folder}"

    def tcp(self, database: str, password: str | None = None) -> str:
        return f"postgresql://{USER}:{password or self.password}@127.0.0.1:{self.port}/{database}"

    def _run(self, *command: str) -> None:
        program = str(self._programs / command[0])
        subprocess.run([program, *command[1:]], check=True, capture_output=True, cwd=self._folder, **self._as)  # type: ignore[call-overload]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def new_database(server: str) -> Iterator[str]:
    """The URL of a database of its own on the server (a URL with {database} in it)."""
    import psycopg

    name = f"wisen_test_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server.format(database="postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield server.format(database=name)
    with psycopg.connect(server.format(database="postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


class Chroma:
    """`chroma run` on a folder. Quick to stop and to start again."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self, seconds: float = 60) -> None:
        chroma = Path(sys.executable).with_name("chroma")
        command = [str(chroma), "run", "--path", str(self._folder), "--host", "127.0.0.1", "--port", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(OSError), urlopen(f"{self.url}/api/v2/heartbeat", timeout=5) as answer:
                if answer.status == 200:
                    return
            time.sleep(0.1)
        raise TimeoutError(f"Chroma did not answer within {seconds:g} s")

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


# Fixtures: tests/conftest.py offers them to all.


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgreSQL]:
    """A server of these tests' own, which they may stop."""
    pytest.importorskip("psycopg", reason="the PostgreSQL driver (psycopg) is not installed")
    places = [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        Path(shutil.which("initdb") or "").parent,
    ]
    programs = next((folder for folder in places if (folder / "initdb").exists()), None)
    if programs is None:
        pytest.skip(f"no PostgreSQL server at hand (set {GIVEN} or install one)")
    server = PostgreSQL(programs)
    try:
        server.make()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest) -> str:
    """A server's URL with {database} in it: the one in WISEN_TEST_POSTGRES, or one started for these tests alone."""
    pytest.importorskip("psycopg", reason="the PostgreSQL driver (psycopg) is not installed")
    return os.environ.get(GIVEN) or request.getfixturevalue("postgres_server").url


@pytest.fixture(scope="session")
def postgres_database(postgres: str) -> Iterator[str]:
    """A database of these tests' own, for the session: making one takes longer than most tests."""
    with new_database(postgres) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """The database, emptied."""
    import psycopg

    with psycopg.connect(postgres_database, autocommit=True) as database:
        database.execute("DROP SCHEMA public CASCADE")
        database.execute("CREATE SCHEMA public")
    return postgres_database


@pytest.fixture(scope="session")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chroma]:
    """A Chroma server. Whoever stops it starts it again."""
    server = Chroma(tmp_path_factory.mktemp("chroma-server"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB, where mounting is allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("may not mount a small disk here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)
