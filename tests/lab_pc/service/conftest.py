"""canhubd as it is installed, under systemd as process 1."""
import shutil
import subprocess

import pytest
from cable import run
from processes import BIN
from unit import STATE, UNIT, Service


@pytest.fixture(scope="session", autouse=True)
def installed():
    """By the same rules as for a user."""
    run(f"cmake --install {BIN.parent} --prefix /usr >/dev/null && systemd-sysusers && systemctl daemon-reload")


@pytest.fixture
def service():
    shutil.rmtree(STATE, ignore_errors=True)
    yield Service()
    subprocess.run(["systemctl", "stop", UNIT], check=False)
    subprocess.run(["systemctl", "reset-failed", UNIT], check=False, stderr=subprocess.DEVNULL)


@pytest.fixture
def lab(service, cable, sim):
    """lab(on_shutdown0, on_shutdown1): hv0 and hv1 at addresses 2 and 3 of one cable, four channels each."""

    def make(first="hold", second="hold"):
        cable("can0", "line0")
        sim("sim_channels=4", interface="line0", address=2, identifier="hv0")
        sim("sim_channels=4", interface="line0", address=3, identifier="hv1")
        service.configure(f"""
ready_timeout: 60 s
buses:
  can0: {{type: socketcan, interface: can0, bitrate: 125000}}
devices:
  hv0: {{driver: iseg, bus: can0, address: 2, poll: 200 ms, on_shutdown: {first}}}
  hv1: {{driver: iseg, bus: can0, address: 3, poll: 200 ms, on_shutdown: {second}}}
""")
        return service

    return make
