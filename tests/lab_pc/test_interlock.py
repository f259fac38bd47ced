"""An interlock on real SocketCAN: python-can and cantools play a battery and canhub-sim the converter that
charges it; canhubd stops the converter."""
import time

import pytest

from pack import CELLS, MODULES, healthy
from processes import wait_for_in_lab as wait_for

STOP = "180FFAB4#0000000000000000"  # PCS facts, section 18, row 19
START = "180FFAB4#0100000000000000"  # row 18

CONFIG = f"""
listen: [127.0.0.1:0]
access: {{default: engineer}}
buses:
  can0: {{type: socketcan, interface: vcan0, bitrate: 500000}}
devices:
  bat0: {{driver: battery-module, bus: can0, expected_modules: {MODULES}}}
  pcs1: {{driver: ystech-pcs, bus: can0, address: 0xFA}}
levels:
  cells:
    items: bat0/module*.cell*_voltage
    count: {MODULES * CELLS}
    dangerous_low: 2.7 V
    warning_low: 2.8 V
    warning_high: 4.1 V
    dangerous_high: 4.2 V
    hysteresis: 20 mV
    samples_to_warning: 2
    samples_to_dangerous: 2
interlocks:
  battery_danger:
    when: [level cells is dangerous, bat0/pack.level is dangerous]
    unknown_for: 1 s
    do:
      - {{act: pcs1/stop, until: abs(pcs1/dc_current) <= 2 A, within: 2 s}}
    verify: [pcs1/is_running is false, abs(pcs1/dc_current) <= 2 A]
    refuse: [pcs1/start]
"""


@pytest.fixture
def hub(pack, sim, daemon):
    """The converter charges with 50 A."""
    sim("sim_noise=0", "sim_battery_voltage=380 V", "sim_battery_capacity=1000000 Ah", driver="ystech-pcs",
        address=250, identifier="pcs1")
    hub = daemon(CONFIG)
    hub.wait_ready()
    wait_for("the interlock to be clear", lambda: state(hub) == "INTERLOCK_STATE_CLEAR")
    start(hub)
    return hub


def interlock(hub):
    return hub.json("interlock", "list")["interlocks"][0]


def state(hub):
    return interlock(hub)["state"]


def start(hub):
    hub.ctl("--timeout", "60s", "pcs", "set", "pcs1", "cccv", "400", "-50", "5")
    hub.ctl("--timeout", "60s", "pcs", "enable", "pcs1")


def running(hub):
    return hub.json("get", "pcs1/is_running")["readings"][0].get("value", {}).get("flag", False)


def after(frames, begin, text):
    """Seconds from `begin` to the first such frame after it; None without."""
    return next((when - begin for when, frame in frames if when > begin and frame == text), None)


def test_a_cell_too_high_stops_the_converter(pack, hub, candump):
    assert running(hub)
    pack.set(3, Cell_7_Voltage=4.20, Max_Cell_Voltage=4.20)
    wait_for("the trip", lambda: state(hub) == "INTERLOCK_STATE_TRIPPED")
    wait_for("all that it does to be verified", lambda: interlock(hub).get("complete"))
    assert not running(hub)

    frames = candump.frames()
    # 4.20 V is 200 counts of 10 mV above 2.2 V (battery facts, section 4.3); the second reading makes the level.
    dangerous = [when for when, frame in frames if frame.startswith("383#") and frame[4 + 12:4 + 14] == "C8"]
    took = after(frames, dangerous[1], STOP)
    assert took is not None, "no stop"
    assert took < 0.1
    assert not [f for when, f in frames if f == STOP and when < dangerous[1]]

    # Refused, and nothing of it on the bus, while the cell is where it is and afterwards, until it is acknowledged.
    refused = hub.ctl("pcs", "enable", "pcs1", check=False)
    assert refused.returncode != 0
    assert "battery_danger" in refused.stderr and "module3.cell7_voltage" in refused.stderr
    assert hub.ctl("interlock", "ack", "battery_danger", check=False).returncode != 0
    pack.set(3, **{name: healthy(3)[name] for name in ("Cell_7_Voltage", "Max_Cell_Voltage")})
    wait_for("the end of the condition", lambda: state(hub) == "INTERLOCK_STATE_LATCHED")
    assert hub.ctl("pcs", "enable", "pcs1", check=False).returncode != 0
    assert after(candump.frames(), dangerous[1], START) is None

    wait_for("every level to be normal", lambda: hub.ctl("interlock", "ack", "battery_danger", check=False).returncode == 0)
    start(hub)
    wait_for("the converter to run again", lambda: running(hub))


def test_a_module_that_falls_silent_stops_the_converter(pack, hub, candump):
    pack.silent.add(2)
    silent = time.time()
    wait_for("the trip", lambda: state(hub) == "INTERLOCK_STATE_TRIPPED")
    wait_for("the stop", lambda: after(candump.frames(), silent, STOP))
    wait_for("the converter to stand still", lambda: not running(hub))
    assert any("module2" in str(cause) for cause in interlock(hub)["causes"])
