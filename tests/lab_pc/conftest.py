"""Inside the lab PC: real SocketCAN on vcan0. Everything runs with one slow CPU, so times are generous."""
import os
import pathlib
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
pytest.register_assert_rewrite("xcomcan_cases")
from cable import Witness, run as shell  # noqa: E402
from processes import BIN, Daemon, Process  # noqa: E402
from processes import wait_for_in_lab as wait_for  # noqa: E402

CONFIG = """
listen: [127.0.0.1:0]
buses:
  can0: {type: socketcan, interface: vcan0, bitrate: 125000}
devices:
  hv0: {driver: iseg, bus: can0, address: 2}
"""


def pytest_collection_modifyitems(items):
    for item in items:
        wanted = "systemd" if "service" in item.path.parent.parts[-1:] else "plain"
        if os.environ.get("LAB_PC") != wanted:
            raise pytest.UsageError(f"{item.path.name} runs inside the lab PC ({wanted}) only: "
                                    "scripts/test --only lab_pc")


class Candump(Process):
    """A witness that is not ours. Lines as candump -L writes them."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self._file = self.path.open("w")
        # -x marks frames by direction where the version knows it; -L is the log format.
        self.popen = subprocess.Popen(["stdbuf", "-oL", "candump", "-L", "vcan0"], stdout=self._file)
        self.name = "candump"

    def frames(self):
        """(seconds, "210#…") of every complete line."""
        frames = []
        for line in self.path.read_text().splitlines():
            parts = line.split()
            if len(parts) >= 3:
                frames.append((float(parts[0].strip("()")), parts[2]))
        return frames

    def stop(self, *_):
        self.popen.terminate()
        self.popen.wait()
        self._file.close()


@pytest.fixture
def candump(tmp_path):
    witness = Candump(tmp_path / "candump.log")
    import time
    time.sleep(0.5)  # until it listens; it says nothing when it does
    yield witness
    witness.stop()


class Simulator(Process):
    """canhub-sim with one device."""

    def __init__(self, arguments):
        super().__init__([BIN / "canhub-sim", *arguments, "--stdin"], "canhub-sim", stdin=subprocess.PIPE)

    def command(self, *words):
        """command("inject", "hv0", "trip", "channel=3"), carried out when it returns."""
        answered = len(self.lines)
        self.popen.stdin.write(" ".join(words) + "\n")
        self.popen.stdin.flush()
        answer = wait_for(f"an answer to {words}", lambda: [line for line in self.lines[answered:]
                                                            if line == "ok" or line.startswith("error: ")])
        assert answer == ["ok"], f"{words}: {answer}"


@pytest.fixture
def sim():
    """sim("sim_channels=16", …) → canhub-sim as iseg module 2 on vcan0; or another family's device."""
    running = []

    def run(*settings, driver="iseg", address=2, identifier="hv0", interface="vcan0"):
        arguments = ["--bus", f"socketcan:{interface}", "--driver", driver, "--id", identifier]
        for setting in [*settings, *([] if address is None else [f"address={address}"])]:
            arguments += ["--set", setting]
        process = Simulator(arguments)
        running.append(process)
        process.wait_for_line(r"^ready$", 60)
        return process

    yield run
    for process in running:
        process.stop(seconds=30)


@pytest.fixture
def cable():
    """cable("can0", "line0"): two interfaces joined like the ends of a cable. With the daemon on one and
    the modules on the other, the kernel tells who sent a frame."""
    made = []

    def lay(near, far):
        shell(f"ip link add dev {near} type vxcan peer name {far} && ip link set {near} up && ip link set {far} up")
        made.append(near)

    yield lay
    for near in made:
        subprocess.run(["ip", "link", "del", near], check=False)


@pytest.fixture
def witness(tmp_path):
    """witness("can0") → candump of it."""
    running = []

    def watch(interface):
        running.append(Witness(interface, tmp_path / f"{interface}.candump"))
        return running[-1]

    yield watch
    for one in running:
        one.stop()


@pytest.fixture
def daemon(tmp_path):
    running = []

    def run(config=CONFIG):
        path = tmp_path / "lab.yaml"
        path.write_text(config)
        process = Daemon(path, tmp_path / "state")
        running.append(process)
        return process

    yield run
    for process in running:
        if process.popen.poll() is None:
            process.stop(seconds=40)


@pytest.fixture
def pack():
    """Battery modules on vcan0, by python-can and cantools."""
    from pack import Pack
    pack = Pack()
    pack.start()
    yield pack
    pack.stop()
