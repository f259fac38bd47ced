"""Interlocks of config/battery-test.yaml with the real binaries: tripped, latched over a kill, acknowledged, replayed."""
import json
import signal

import pytest

from processes import ROOT, wait_for

CONFIG = ROOT / "config/battery-test.yaml"
TOO_HIGH = ["sim", "inject", "bat0", "force", "module=3", "signal=Cell_7_Voltage", "value=4.25"]


def interlock(daemon):
    return daemon.json("interlock", "list")["interlocks"][0]


def state(daemon):
    return interlock(daemon)["state"].removeprefix("INTERLOCK_STATE_")


def test_a_high_cell_stops_the_converter_until_somebody_acknowledges(start):
    daemon = start(CONFIG)
    daemon.wait_ready()
    daemon.ctl("pcs", "set", "pcs1", "cccv", "410", "-50", "5")
    daemon.ctl("pcs", "enable", "pcs1")
    daemon.ctl(*TOO_HIGH)
    wait_for("the stop", lambda: interlock(daemon).get("complete"))
    assert "standby" in daemon.ctl("pcs", "status", "pcs1").stdout
    refused = daemon.ctl("pcs", "enable", "pcs1", check=False)
    assert refused.returncode == 3
    assert "interlock battery_danger has tripped" in refused.stderr and "4.25 V" in refused.stderr
    assert "its condition still holds" in daemon.ctl("interlock", "ack", "battery_danger", check=False).stderr
    daemon.ctl("sim", "clear", "bat0")
    wait_for("the end of the condition", lambda: state(daemon) == "LATCHED")
    assert "now CLEAR" in daemon.ctl("interlock", "ack", "battery_danger", "--comment", "measured by hand").stdout
    daemon.ctl("pcs", "enable", "pcs1")
    # Who let go of it, and why, is on record.
    assert "battery_danger acknowledged: measured by hand" in daemon.ctl("audit").stdout


def test_kill_9_is_no_acknowledgement(start, tmp_path):
    daemon = start(CONFIG, state=tmp_path / "kept")
    daemon.wait_ready()
    daemon.ctl(*TOO_HIGH)
    wait_for("the trip", lambda: state(daemon) == "TRIPPED")
    # On disk a moment later, by the housekeeping.
    wait_for("the record", lambda: interlock(daemon).get("complete"))
    daemon.ctl("sim", "clear", "bat0")
    wait_for("the end of the condition", lambda: state(daemon) == "LATCHED")
    daemon.stop(signal.SIGKILL)
    again = start(CONFIG, state=tmp_path / "kept")
    again.wait_ready()
    assert state(again) == "LATCHED"
    refused = again.ctl("pcs", "enable", "pcs1", check=False)
    assert refused.returncode == 3 and "4.25 V" in refused.stderr


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    return tmp_path_factory.mktemp("log") / "candump.log"


def test_a_recorded_log_is_replayed(start, log):
    daemon = start(CONFIG)
    daemon.wait_ready()
    daemon.ctl(*TOO_HIGH)
    log.write_text(daemon.ctl("bus", "watch", "modules", "--duration", "3s").stdout)
    shown = daemon.ctl("interlock", "test", CONFIG, log).stdout
    assert "interlock    interlock battery_danger tripped: level cells is dangerous" in shown
    assert "safe_action  pcs1: stop (interlock battery_danger)" in shown
    assert "battery_danger: tripped 1 times" in shown.splitlines()
    lines = [json.loads(line) for line in daemon.ctl("--json", "interlock", "test", CONFIG, log).stdout.splitlines()]
    # The same cell is beyond the bound of the warning.
    assert lines[-1]["trips"] == {"battery_danger": 1, "cells_high": 1, "cells_low": 0} and lines[-1]["frames"] > 500
    assert [line["at_s"] for line in lines[:-1]] == sorted(line["at_s"] for line in lines[:-1])


def test_what_cannot_be_replayed_is_told(start, tmp_path):
    daemon = start(CONFIG)
    wrong = tmp_path / "wrong.log"
    wrong.write_text("nonsense\n")
    assert "line 1: " in daemon.ctl("interlock", "test", CONFIG, wrong, check=False).stderr
    assert "cannot be read" in daemon.ctl("interlock", "test", CONFIG, tmp_path / "none", check=False).stderr
    done = daemon.ctl("interlock", "test", ROOT / "config/battery.yaml", wrong, check=False)
    assert done.returncode == 3 and "found neither levels nor interlocks" in done.stderr
