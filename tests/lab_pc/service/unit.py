"""The unit as systemd shows it, and its client."""
import pathlib
import subprocess
import time

from cable import run
from processes import Client, wait_for_in_lab as wait_for

UNIT = "canhubd.service"
CONFIG = pathlib.Path("/etc/canhub/canhub.yaml")
STATE = pathlib.Path("/var/lib/canhub")
UNIT_FILE = pathlib.Path("/usr/lib/systemd/system") / UNIT


def properties(*names):
    """What systemd says of the unit; times in microseconds of the monotonic clock."""
    out = subprocess.run(["systemctl", "show", UNIT, *(f"--property={n}" for n in names)], check=True,
                         capture_output=True, text=True).stdout
    return dict(line.split("=", 1) for line in out.splitlines())


def prop(name):
    return properties(name)[name]


def main_pid():
    return int(prop("MainPID"))


def journal():
    return subprocess.run(["journalctl", "--unit", UNIT, "--no-pager", "--output=cat"], check=True,
                          capture_output=True, text=True).stdout


def wall(monotonic_us):
    """The wall clock's time of a moment that systemd tells, for candump's times."""
    return time.time() - time.monotonic() + int(monotonic_us) / 1e6


class Service(Client):
    """The unit; its client is root at the Unix socket."""

    address = "unix:/run/canhub/canhub.sock"

    def configure(self, text):
        CONFIG.parent.mkdir(exist_ok=True)
        CONFIG.write_text(text)

    def start(self, wait=True):
        run(f"systemctl start {'' if wait else '--no-block'} {UNIT}")

    def stop(self):
        run(f"systemctl stop {UNIT}")

    def serves(self):
        return self.ctl("info", check=False).returncode == 0

    def wait_serving(self):
        wait_for("an answer", self.serves)
