"""What a sandboxed run may use, what it is given, and how it went: the records that all levels share."""

from typing import Literal

from wisen.core.records import Record

MIB = 1 << 20
MOST_FILES = 5_000  # entries in a folder that a program may write to


class Limits(Record):
    """What one run may use. `memory_mb` holds for each process and, where the kernel lists children, for their sum
    (watched ten times a second); `cpu_s` for each process; `file_mb` for each file. `disk_mb` holds for each of /box
    and /tmp where these are in memory, and for a folder that is kept it is watched ten times a second."""

    wall_s: float = 10.0
    cpu_s: int = 5
    memory_mb: int = 512
    processes: int = 32
    file_mb: int = 16
    disk_mb: int = 64
    open_files: int = 64
    output_bytes: int = 16_384  # kept of each of stdout and stderr
    flood_bytes: int = 8 * MIB  # past this much output the run is killed


KilledBy = Literal["", "time", "cpu", "memory", "output", "disk"]


class SandboxResult(Record):
    """How a run went. `killed_by` names the limit that ended it ("" if none did). It is for messages and not proof:
    code can print MemoryError itself. `exit_code` is 128 + n after signal n."""

    stdout: str
    stderr: str
    exit_code: int
    timed_out: bool = False
    killed_by: KilledBy = ""


class Mount(Record):
    """A folder of this machine, `source`, seen inside as `target`."""

    source: str
    target: str
    writable: bool = False


class Job(Record):
    """A program with what it is given. `box` is a folder that is kept between runs and seen as the working folder
    `box_at`; without one the working folder is fresh and goes with the run. `mounts` and another place for the box need
    level 1."""

    program: tuple[str, ...]
    box: str = ""
    box_at: str = "/box"
    read_only: bool = False  # the box
    mounts: tuple[Mount, ...] = ()
    env: dict[str, str] = {}
