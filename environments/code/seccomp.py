"""The system calls that no sandboxed program may make, as a BPF program for the kernel (seccomp(2), filter mode).

A list of what is forbidden, and short: namespaces and Landlock are the walls, this closes what they leave open. Memory
that no process maps (memfd, System V segments) would escape the count of memory, io_uring opens sockets past any
filter, and without namespaces a socket reaches all that this machine reaches.
"""

import platform
import struct

_EPERM, _ENOSYS = 1, 38
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _FIRST_ARGUMENT_AT = 0, 4, 16  # struct seccomp_data
_X32 = 0x40000000
_NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, -CGROUP, -UTS, -IPC, -USER, -PID, -NET

_AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_CLONE = {"x86_64": 56, "aarch64": 220}
_CLONE3 = 435  # takes its flags by pointer, which a filter cannot read: libc falls back to clone
_SOCKETS = {"x86_64": (41, 53), "aarch64": (198, 199)}  # socket, socketpair: a pair of datagram sockets may sendto()
# ptrace, process_vm_readv, process_vm_writev, mount, umount2, pivot_root, chroot, unshare, setns, bpf, perf_event_open,
# add_key, request_key, keyctl, userfaultfd, memfd_create, shmget, msgget, semget, mq_open, name_to_handle_at,
# open_by_handle_at, kexec_load, init_module, finit_module
_NEVER = {
    "x86_64": (101, 310, 311, 165, 166, 155, 161, 272, 308, 321, 298, 248, 249, 250, 323, 319, 29, 68, 64, 240, 303,
               304, 246, 175, 313),
    "aarch64": (117, 270, 271, 40, 39, 41, 51, 97, 268, 280, 241, 217, 218, 219, 282, 279, 194, 186, 190, 180, 264,
                265, 104, 105, 273),
}  # fmt: skip
# The same number everywhere: io_uring_setup, -enter, -register, open_tree, move_mount, fsopen, fsconfig, fsmount,
# fspick, pidfd_getfd, mount_setattr, memfd_secret
_NEVER_ANYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442, 447)


def supported(machine: str = "") -> bool:
    return (machine or platform.machine()) in _AUDIT


def deny_list(*, sockets: bool, machine: str = "") -> bytes:
    """The filter as an array of `struct sock_filter`. With `sockets` programs may open some (where a network namespace
    makes that harmless). Forbidden calls fail with EPERM; calls of another architecture end the program. Raises
    `KeyError` for a machine whose call numbers are not known here."""
    machine = machine or platform.machine()
    never = (*_NEVER[machine], *_NEVER_ANYWHERE, *(() if sockets else _SOCKETS[machine]))
    code = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, _AUDIT[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
    if machine == "x86_64":  # a second set of numbers for the same calls
        code += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    for number in never:
        code += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | _EPERM)]
    code += [(_EQUAL, 0, 1, _CLONE3), (_RETURN, 0, 0, _ERRNO | _ENOSYS)]
    code += [
        (_EQUAL, 0, 3, _CLONE[machine]),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_ANY_BIT, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
