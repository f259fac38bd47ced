"""A thread that hangs, for tests of what must then go silent."""
import ctypes
import os

PTRACE_ATTACH, PTRACE_DETACH = 16, 17
WALL_OF_ONE_THREAD = 0x40000000  # __WALL: waitpid takes a thread that is no child


def _ptrace(request, thread):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    assert libc.ptrace(request, thread, 0, 0) == 0, os.strerror(ctypes.get_errno())


class Held:
    """Holds one thread of another process, as nothing inside that process could notice or prevent."""

    def __init__(self, thread):
        self.thread = thread
        _ptrace(PTRACE_ATTACH, thread)
        os.waitpid(thread, WALL_OF_ONE_THREAD)

    def ended(self):
        """Takes note of its end: a traced thread that is dead is there until then."""
        return os.waitpid(self.thread, WALL_OF_ONE_THREAD | os.WNOHANG)[0] == self.thread

    def release(self):
        _ptrace(PTRACE_DETACH, self.thread)
