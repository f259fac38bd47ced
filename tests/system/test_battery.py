"""A pack of battery modules, and a device that only a DBC describes, through the real binaries."""
import subprocess

from processes import BIN, ROOT, wait_for

LAB = """
listen: [127.0.0.1:0]
buses:
  pack: {type: simulated, bitrate: 500000}
  aux: {type: simulated, bitrate: 250000}
devices:
  bat0: {driver: battery-module, bus: pack, simulate: true, sim_modules: 4, expected_modules: 4}
  pump0: {driver: dbc, bus: aux, simulate: true, dbc: %s, messages: PumpStatus, writable: PumpCommand, send: periodic}
""" % (ROOT / "config/pump.dbc")


def reading(daemon, item):
    return daemon.json("get", item)["readings"][0]


def number(daemon, item):
    value = reading(daemon, item)["value"]
    return float(value.get("number", value.get("integer", "nan")))


def test_a_pack_is_counted_and_judged(start):
    daemon = start(LAB)
    daemon.wait_ready()
    assert number(daemon, "bat0/pack.module_count") == 4
    assert number(daemon, "bat0/pack.level") == 0
    cells = daemon.json("get", "bat0/module*.cell*_voltage")["readings"]
    assert len(cells) == 15 * 12
    assert sum(r["quality"] == "QUALITY_GOOD" for r in cells) == 4 * 12
    daemon.ctl("sim", "inject", "bat0", "heat", "module=3", "degrees=55")
    wait_for("danger", lambda: number(daemon, "bat0/pack.level") == 2)
    wait_for("the alarm", lambda: "module3.temperature_high_dangerous" in daemon.ctl("alarms").stdout)


def test_canhubctl_shows_packs_modules_and_changes(start):
    daemon = start(LAB)
    daemon.wait_ready()
    battery, = daemon.json("battery", "status")["batteries"]
    assert (battery["device_id"], battery["level"], battery["module_count"]) == ("bat0", "BATTERY_LEVEL_NORMAL", 4)
    assert battery["limits"]["cell_dangerous_high_v"] == 4.2
    modules = daemon.json("battery", "modules", "bat0")["modules"]
    assert [len(module["cells"]) for module in modules] == [12] * 4
    assert "temperature_release" in daemon.ctl("battery", "status", "bat0").stdout
    daemon.ctl("sim", "inject", "bat0", "heat", "module=3", "degrees=55")
    lines = daemon.ctl("battery", "watch", "--interval", "100ms", "--duration", "2s").stdout.splitlines()
    assert 2 <= len(lines) <= 22
    assert "dangerous" in lines[-1] and "55 degC" in lines[-1]
    assert daemon.ctl("battery", "status", "pump0", check=False).returncode == 4
    assert daemon.ctl("battery", "modules", "bat0", "16", check=False).returncode == 3
    assert daemon.ctl("battery", "detect", "bat0", check=False).returncode == 3  # the role is operator


def test_a_module_that_falls_silent_is_stale_and_the_pack_no_smaller(start):
    daemon = start(LAB)
    daemon.wait_ready()
    daemon.ctl("sim", "inject", "bat0", "silence", "module=2")
    wait_for("stale", lambda: number(daemon, "bat0/module2.presence") == 2)
    assert number(daemon, "bat0/pack.module_count") == 4
    assert reading(daemon, "bat0/pack.voltage")["quality"] == "QUALITY_STALE"


def test_signals_of_a_dbc_are_read_and_written(start):
    daemon = start(LAB)
    daemon.wait_ready()
    assert reading(daemon, "pump0/PumpStatus.Speed")["quality"] == "QUALITY_GOOD"
    refused = daemon.ctl("set", "pump0/PumpCommand.SetSpeed", "1200", check=False)
    assert refused.returncode == 3 and "PumpCommand needs Enable" in refused.stderr
    daemon.ctl("set", "pump0/PumpCommand.SetSpeed", "1200", "pump0/PumpCommand.Enable", "1")
    assert number(daemon, "pump0/PumpCommand.SetSpeed") == 1200
    frames = daemon.ctl("bus", "watch", "aux", "--filter", "200:7FF", "--count", "3").stdout
    assert frames.count("200#60090100") == 3
    beyond = daemon.ctl("set", "pump0/PumpCommand.SetSpeed", "3001", check=False)
    assert beyond.returncode == 3 and "3000 rpm" in beyond.stderr


def test_a_watch_of_a_bus_is_decoded(start, tmp_path):
    daemon = start(LAB)
    daemon.wait_ready()
    frames = daemon.ctl("bus", "watch", "pack", "--filter", "181:7FF", "--count", "2").stdout
    decoded = subprocess.run([BIN / "canhubctl", "dbc", "decode", ROOT / "drivers/battery-module/battery-module.dbc"],
                             input=frames, capture_output=True, text=True, timeout=20)
    assert decoded.returncode == 0, decoded.stderr
    assert decoded.stdout.count("BMU01_pdo1:") == 2 and "CMA_Voltage=" in decoded.stdout


def test_a_wrong_dbc_does_not_start(tmp_path):
    (tmp_path / "bad.dbc").write_text('BO_ 1 M: 8 N\n SG_ A : 60|8@1+ (1,0) [0|0] "" N\n')
    path = tmp_path / "lab.yaml"
    path.write_text(LAB.replace(str(ROOT / "config/pump.dbc"), "bad.dbc").replace("PumpStatus", "M").replace(
        "PumpCommand", "M"))
    done = subprocess.run([BIN / "canhubd", "--check", path], capture_output=True, text=True, timeout=20)
    assert done.returncode == 3
    assert "bad.dbc:2: M.A: found start bit 60" in done.stderr
