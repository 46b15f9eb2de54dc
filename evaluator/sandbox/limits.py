"""Limits of a program's process, and the system calls that it may make."""

import os
from dataclasses import dataclass
from typing import Self

from evaluator import jail

_TERMINAL_ATTRIBUTES = 0x5401  # TCGETS: Python asks it of each file that it opens
_TEMPORARY_FILE = 0o20000000
_CHANGING = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | os.O_APPEND | _TEMPORARY_FILE
_DUPLICATE_CLOSED, _GET_FLAGS, _SET_FLAGS, _GET_STATUS = 1030, 1, 2, 3

CALLS = """
    access arch_prctl brk clock_getres clock_gettime clock_nanosleep close dup exit exit_group
    faccessat faccessat2 fstat fstatfs futex getcwd getdents64 getegid geteuid getgid getpgrp
    getpid getppid getrandom getrusage gettid gettimeofday getuid lseek lstat madvise mmap mprotect
    mremap munmap nanosleep newfstatat pread64 read readlink readlinkat restart_syscall
    rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield sigaltstack stat statx
    sysinfo time times uname write
"""
"""System calls that a program may make: memory, time, reading files, the channel that it has.

None of them starts a process or a thread, signals one, opens a socket or changes a file.
"""
CONDITIONAL_CALLS: tuple[jail.ConditionalCall, ...] = (
    ("open", ((1, jail.MASKED_EQUAL, _CHANGING, 0),)),
    ("openat", ((2, jail.MASKED_EQUAL, _CHANGING, 0),)),
    ("ioctl", ((1, jail.EQUAL, _TERMINAL_ATTRIBUTES, 0),)),
    *(
        ("fcntl", ((1, jail.EQUAL, command, 0),))
        for command in (_DUPLICATE_CLOSED, _GET_FLAGS, _SET_FLAGS, _GET_STATUS)
    ),
)

_PATIENCE = 6.0
"""Wall time over computing time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one program: of its process, and of the process of its tests.

    Computing time is what decides, so that a busy machine makes no program late.
    """

    seconds: float = 60.0
    """Wall time, from the fork to the end: for programs that wait."""
    cpu_seconds: float = 10.0
    """Computing time, rounded up to whole seconds."""
    memory: int = 512 << 20
    """Bytes of address space."""

    @classmethod
    def of_computing(cls, seconds: float, memory: int = 512 << 20) -> Self:
        """Return limits of so many seconds of computing, and of wall time that suits them."""
        return cls(_PATIENCE * seconds, seconds, memory)
