"""The power converter of config/battery-test.yaml with canhubctl, in the words of the Python application."""
import csv
import json

from processes import ROOT, wait_for

CONFIG = ROOT / "config/battery-test.yaml"


def state(daemon):
    return daemon.json("pcs", "status", "pcs1")["converters"][0]


def test_charges_shows_and_stops(start):
    daemon = start(CONFIG)
    daemon.wait_ready()
    assert "standby" in daemon.ctl("pcs", "status").stdout
    daemon.ctl("pcs", "set", "pcs1", "cccv", "410", "-50A", "5")
    assert "settled" in daemon.ctl("pcs", "enable", "pcs1").stdout
    wait_for("the current", lambda: abs(state(daemon)["dc_current_a"] + 50) < 2)
    shown = daemon.ctl("pcs", "status", "pcs1").stdout
    assert "constant_current" in shown and "dc_cc_cv: voltage_setpoint 410 V" in shown
    daemon.ctl("pcs", "set", "pcs1", "cccv", "410", "-30", "5", "--update")
    wait_for("the new current", lambda: abs(state(daemon)["dc_current_a"] + 30) < 2)
    # Another mode needs a stopped converter.
    refused = daemon.ctl("pcs", "set", "pcs1", "cv", "400", check=False)
    assert refused.returncode != 0 and "stop it first" in refused.stderr
    assert "settled" in daemon.ctl("pcs", "disable", "pcs1").stdout
    assert state(daemon)["state_name"] == "standby"


def test_a_mode_by_name_or_code(start):
    daemon = start(CONFIG)
    daemon.wait_ready()
    for word in ("DC_RAMP_VOLTAGE", "0x27", "39"):  # section 13.2 of the PCS facts
        daemon.ctl("pcs", "set", "pcs1", "mode", "idle")
        daemon.ctl("pcs", "set", "pcs1", "mode", word, "300", "400", "60")
        assert "dc_ramp_voltage: start_voltage 300 V" in daemon.ctl("pcs", "status", "pcs1").stdout
    assert 'found "0x30"' in daemon.ctl("pcs", "set", "pcs1", "mode", "0x30", check=False).stderr
    assert "expected one of dc_constant_voltage" in daemon.ctl("pcs", "set", "pcs1", "mode", check=False).stderr
    assert "pcs set ID cv" in daemon.ctl("pcs", "set", "cv", "400", check=False).stderr


def test_one_set_of_protection_parameters(start):
    daemon = start(CONFIG)
    daemon.wait_ready()
    shown = {n: daemon.ctl("pcs", "read-params", "pcs1", "--type", n).stdout for n in (1, 2, 3)}
    assert "max_output_voltage" in shown[1] and "power" not in shown[1] and "frequency" not in shown[1]
    assert "max_charge_power" in shown[2] and "ac_voltage_lower" in shown[2] and "current" not in shown[2]
    assert "ac_frequency_upper" in shown[3] and "voltage" not in shown[3]


def test_limits_and_words_that_are_wrong(start):
    daemon = start(CONFIG)
    daemon.wait_ready()
    above = daemon.ctl("pcs", "set", "pcs1", "cc", "-120", check=False)
    assert above.returncode != 0 and "devices.pcs1.limits.current" in above.stderr
    assert "expected cv, cc, cp, cccv" in daemon.ctl("pcs", "set", "pcs1", "cx", "1", check=False).stderr
    assert "expected 3" in daemon.ctl("pcs", "set", "pcs1", "cccv", "400", check=False).stderr


def test_lists_protection_time_io_and_parallel(start):
    daemon = start(CONFIG)
    daemon.wait_ready()
    assert len(daemon.json("pcs", "modes", "pcs1")["modes"]) == 19
    assert "CAN1" in daemon.ctl("pcs", "dump-faults", "pcs1").stdout
    assert daemon.ctl("pcs", "version", "pcs1").stdout.startswith("ARM Version: HW=")
    daemon.ctl("pcs", "protection", "pcs1", "max_charge_current=80A")
    assert "80 A" in daemon.ctl("pcs", "protection", "pcs1").stdout
    daemon.ctl("pcs", "time", "pcs1", "2026-03-01 14:03:07")
    daemon.ctl("pcs", "io", "pcs1", "io1_output=on", "io2_output=off", "io3_output=off", "io4_output=off")
    assert "io1_output" in daemon.ctl("pcs", "io", "pcs1").stdout
    daemon.ctl("pcs", "parallel", "pcs1", "module", "parallel_role=host", "parallel_modules=3")
    assert "host" in daemon.ctl("pcs", "parallel", "pcs1", "module").stdout


def test_a_fault_is_shown_and_reset(start):
    daemon = start(CONFIG)
    daemon.wait_ready()
    daemon.ctl("sim", "inject", "pcs1", "trip", "code=5")
    wait_for("the fault", lambda: "fault" in state(daemon))
    assert "what to do" in daemon.ctl("pcs", "status", "pcs1").stdout
    daemon.ctl("pcs", "reset-faults", "pcs1")
    assert "fault" not in state(daemon)


def test_records_for_seconds(start, tmp_path):
    daemon = start(CONFIG)
    daemon.wait_ready()
    daemon.ctl("watch", "pcs1/dc_*", "--format", "csv", "--out", tmp_path / "run.csv", "--duration", "2")
    rows = list(csv.DictReader((tmp_path / "run.csv").open()))
    assert {row["name"] for row in rows} >= {"pcs1/dc_voltage", "pcs1/dc_current", "pcs1/dc_power"}
    daemon.ctl("watch", "--format", "jsonl", "--out", tmp_path / "run.jsonl", "--duration", "2")
    rows = [json.loads(line) for line in (tmp_path / "run.jsonl").read_text().splitlines()]
    assert {row["name"] for row in rows} >= {"pcs1/dc_voltage", "pcs1/state", "pcs1/heartbeat_voltage"}
    daemon.ctl("watch", "pcs1/dc_voltage", "--format", "jsonl", "--out", tmp_path / "run.jsonl", "--duration", "2")
    assert json.loads((tmp_path / "run.jsonl").read_text().splitlines()[0])["name"] == "pcs1/dc_voltage"


def test_self_start_is_remembered_over_a_restart(start, tmp_path):
    daemon = start(CONFIG, state=tmp_path / "kept")
    daemon.wait_ready()
    daemon.ctl("pcs", "settings", "pcs1", "self_start", "self_start=on")
    assert daemon.stop() == 0
    again = start(CONFIG, state=tmp_path / "kept")
    again.wait_ready()
    assert "self-start is remembered as true" in again.output()
    reading = again.json("get", "pcs1/self_start")["readings"][0]
    assert reading["quality"] == "QUALITY_STALE" and reading["last_good_value"]["flag"] is True


def test_the_end_of_the_daemon_stops_a_converter_that_runs(start):
    daemon = start(CONFIG)
    daemon.wait_ready()
    daemon.ctl("pcs", "set", "pcs1", "cc", "-20")
    daemon.ctl("pcs", "enable", "pcs1")
    assert daemon.stop() == 0
    assert "not done" not in daemon.output()
