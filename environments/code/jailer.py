"""Level 2 from the inside: becomes another user, closes the file system and most of the kernel, runs one program.

Runs as a script of its own, as root, under the system's Python, and imports nothing of wisen. Its one argument is JSON:
see `jail.command`. The jailer stays outside, as the parent of all that the program starts: when the program ends, or a
SIGTERM comes, or wisen dies, it kills every process of the borrowed user and collects it, so that neither left-over
processes nor zombies count against the next run. Exit code: the program's, 128 + n after signal n, 125 when there was
no jail.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import sys

_PDEATHSIG, _SECCOMP, _SUBREAPER, _NO_NEW_PRIVS = 1, 22, 36, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on all machines
OLDEST_ABI = 3  # before it files could be truncated anywhere
_FILE_RIGHTS = 0b111 | 1 << 14 | 1 << 15  # execute, write, read, truncate, ioctl
_READ, _EXECUTE = 0b1100, 0b1101  # read a file, list a folder, execute

_libc = ctypes.CDLL(None, use_errno=True)


class _FilterProgram(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


def _checked(result: int, what: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def landlock_abi() -> int:
    """0 where the kernel has none, or has it switched off."""
    return max(0, _libc.syscall(_CREATE_RULESET, None, 0, 1))


def _landlock(box: str, read_only: bool, folders: list[str]) -> None:
    abi = landlock_abi()
    if abi < OLDEST_ABI:
        raise OSError(0, f"the kernel's Landlock is too old: ABI {abi}, needs {OLDEST_ABI}")
    every = (1 << (16 if abi >= 5 else 15)) - 1
    ruleset = _Ruleset(every, 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0)
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    made = _checked(_libc.syscall(_CREATE_RULESET, ctypes.byref(ruleset), size, 0), "landlock")
    rules = [(folder, _EXECUTE) for folder in folders]
    rules += [("/dev/null", 0b110), ("/dev/zero", 0b100), ("/dev/urandom", 0b100), ("/dev/random", 0b100)]
    rules += [(box, _EXECUTE if read_only else every)]
    for path, rights in rules:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = _PathBeneath(rights if os.path.isdir(path) else rights & _FILE_RIGHTS, parent)
        _checked(_libc.syscall(_ADD_RULE, made, 1, ctypes.byref(rule), 0), f"landlock {path}")
        os.close(parent)
    _checked(_libc.syscall(_RESTRICT_SELF, made, 0), "landlock")
    os.close(made)


def _seccomp(program: bytes) -> None:
    kept = ctypes.create_string_buffer(program, len(program))
    given = _FilterProgram(len(program) // 8, ctypes.cast(kept, ctypes.c_void_p))
    _checked(_libc.prctl(_SECCOMP, 2, ctypes.byref(given), 0, 0), "seccomp")


def _lease(folder: str, first: int, last: int) -> int:
    """A user that no other jailer has: the lock lasts as long as this process."""
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        found = os.lstat(folder)
        if found.st_uid != 0 or found.st_mode & 0o170777 != 0o040700:
            raise OSError(0, f"{folder} is not root's own") from None
    count = last - first
    for turn in range(count):
        uid = first + (os.getpid() + turn) % count
        lock = os.open(f"{folder}/{uid}", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return uid
        except BlockingIOError:
            os.close(lock)
    raise OSError(0, f"all {count} users are taken")


def _own(folder: str, uid: int) -> None:
    """Give all in the folder to the user; links are not followed, and nobody else is in there now. (A walk in Python
    would fail in a folder that somebody made a thousand levels deep.)"""
    if os.spawnv(os.P_WAIT, "/bin/chown", ["chown", "-RhP", f"{uid}:{uid}", "--", folder]) != 0:
        raise OSError(0, f"{folder} cannot be given to user {uid}")


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    try:  # noqa: SIM105 (contextlib takes milliseconds to import)
        os.kill(-1, signal.SIGKILL)  # all of this user but the caller, whatever was left over
    except ProcessLookupError:
        pass


def _kill_all(uid: int) -> None:
    child = os.fork()
    if child == 0:
        try:
            _become(uid)
        finally:
            os._exit(0)
    try:
        while True:
            os.waitpid(-1, 0)
    except ChildProcessError:
        pass


def _inside(config: dict, uid: int, jailer: int) -> None:
    os.setsid()
    _become(uid)
    _libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != jailer:
        os._exit(125)
    for name, value in config["rlimits"].items():
        resource.setrlimit(getattr(resource, name), tuple(value))
    _checked(_libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _landlock(config["box"], config["read_only"], config["folders"])
    os.umask(0o077)
    os.chdir(config["cwd"])
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    os.set_inheritable(config["status_fd"], False)
    _seccomp(bytes.fromhex(config["seccomp"]))
    os.write(config["status_fd"], b"started")
    os.execve(config["program"][0], config["program"], config["env"])


def _run(config: dict) -> int:
    _checked(_libc.prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0), "pdeathsig")
    if os.getppid() != config["parent"]:
        return 125
    _checked(_libc.prctl(_SUBREAPER, 1, 0, 0, 0), "subreaper")
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])
    uid = _lease(config["locks"], *config["uids"])
    if config["fresh"]:
        os.mkdir(config["box"], 0o700)
        os.chown(config["box"], uid, uid)
    else:
        _own(config["box"], uid)
    jailer = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            _inside(config, uid, jailer)
        except BaseException as error:
            os.write(2, f"the jail did not close: {error}\n".encode(errors="replace"))
        finally:
            os._exit(125)
    code = 128 + signal.SIGKILL
    running = True
    while running and signal.sigwait([signal.SIGTERM, signal.SIGCHLD]) == signal.SIGCHLD:
        while True:
            try:
                ended, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if ended == 0:
                break
            if ended == child:
                code = os.waitstatus_to_exitcode(status)
                code = code if code >= 0 else 128 - code
                running = False
    _kill_all(uid)
    if config["fresh"]:
        try:
            os.rmdir(config["box"])
        except OSError:
            os.spawnv(os.P_WAIT, "/bin/rm", ["rm", "-rf", "--one-file-system", "--", config["box"]])
    return code


if __name__ == "__main__":
    try:
        _code = _run(json.loads(sys.argv[1]))
    except OSError as _error:
        sys.stderr.write(f"{_error.strerror or _error}\n")
        _code = 125
    sys.stderr.flush()
    os._exit(_code)
