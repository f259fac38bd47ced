"""What the lab PC's tests see of a CAN line: candump, a witness that is not ours."""
import pathlib
import re
import socket
import struct
import subprocess
from typing import NamedTuple

from processes import Process, wait_for

ERROR_FRAME = 0x20000000
BUS_OFF, RESTARTED, CONTROLLER = 0x40, 0x100, 0x04  # error classes, linux/can/error.h
# Data byte 1 of a CONTROLLER error.
PASSIVE, ACTIVE = 0x30, 0x40

LOG_ON = bytes.fromhex("D801")
LOG_OFF = bytes.fromhex("D800")


class Frame(NamedTuple):
    time: float  # of the kernel, wall clock
    own: bool  # sent by this end of the cable: with vxcan, by the daemon
    identifier: int
    data: bytes

    @property
    def text(self):
        return f"{self.identifier:03X}#{self.data.hex().upper()}"


class Witness(Process):
    """candump of one interface, error frames too; it stays when the interface goes down (-D)."""

    LINE = re.compile(r"\(([\d.]+)\)\s+\S+\s+(TX|RX)\s+\S+\s+\S+\s+([0-9A-F]+)\s+\[\d+\]\s?((?: [0-9A-F]{2})*)")

    def __init__(self, interface, path):
        self.path = pathlib.Path(path)
        self._file = self.path.open("w")
        before = receivers_of_all(interface)
        self.name = "candump"
        self.popen = subprocess.Popen(["stdbuf", "-oL", "candump", "-D", "-t", "a", "-x", f"{interface},0:0,#FFFFFFFF"],
                                      stdout=self._file)
        # It says nothing when it listens: the kernel's list of receivers does.
        wait_for("candump to listen", lambda: receivers_of_all(interface) > before)

    def frames(self, since=0.0):
        """The frames of every complete line."""
        frames = []
        for line in self.path.read_text().splitlines(keepends=True):
            match = self.LINE.search(line)
            if match and line.endswith("\n") and float(match[1]) >= since:
                frames.append(Frame(float(match[1]), match[2] == "TX", int(match[3], 16), bytes.fromhex(match[4])))
        return frames

    def stop(self, *_):
        self.popen.terminate()
        self.popen.wait()
        self._file.close()


def receivers_of_all(interface):
    """How many sockets receive every frame of the interface."""
    return len(re.findall(rf"^\s+{interface}\s+0+\s", pathlib.Path("/proc/net/can/rcvlist_all").read_text(), re.M))


def acts(frames, address):
    """What the daemon sent to an EDCP module that sets something: writes, but for log-on and log-off. On
    one end of a cable, where the module's answers on the same identifier are not its own."""
    write = 0x200 | address << 3
    return [f for f in frames if f.own and f.identifier == write and f.data not in (LOG_ON, LOG_OFF)]


def reads(frames, address):
    return [f for f in frames if f.own and f.identifier == 0x201 | address << 3]


def send_error_frame(interface, error_class, data=bytes(8)):
    """As the kernel delivers what a controller tells it."""
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as out:
        out.bind((interface,))
        out.send(struct.pack("=IB3x8s", ERROR_FRAME | error_class, 8, data))


def controller(state):
    return bytes([0, state, 0, 0, 0, 0, 0, 0])


def run(command):
    subprocess.run(command, shell=True, check=True)


def thread_id(pid, name):
    """Of the thread of that name."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    raise AssertionError(f"{pid} has no thread {name}: "
                         + " ".join((t / "comm").read_text().strip() for t in pathlib.Path(f"/proc/{pid}/task").iterdir()))


def resident_kilobytes(pid):
    return int(re.search(r"VmRSS:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())[1])
