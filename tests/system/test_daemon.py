"""canhubd as a process: start, refusal to start, signals, restart on the same state."""
import signal
import subprocess

from processes import BIN, ROOT, Daemon, wait_for

LAB = """
listen: [127.0.0.1:0]
buses:
  lab: {type: simulated, bitrate: 125000}
devices:
  hv0: {driver: iseg, bus: lab, address: 0, simulate: true, limits: {voltage: 1500 V}}
"""


def audit(daemon, **flags):
    arguments = [x for key, value in flags.items() for x in (f"--{key}", value)]
    return daemon.json("audit", *arguments)["entries"]


def test_set_and_read_back(start):
    daemon = start(LAB)
    daemon.wait_ready()
    daemon.ctl("set", "hv0/ch3.voltage_set", "1000")
    reading = daemon.json("get", "hv0/ch3.voltage_set")["readings"][0]
    assert reading["value"]["number"] == 1000
    assert reading["quality"] == "QUALITY_GOOD"
    assert reading["simulated"] is True


def test_a_limit_refuses_and_says_where_it_stands(start):
    daemon = start(LAB)
    daemon.wait_ready()
    done = daemon.ctl("set", "hv0/ch3.voltage_set", "1501", check=False)
    assert done.returncode == 3
    assert "1501 V" in done.stderr and "1500 V" in done.stderr and "lab.yaml:6" in done.stderr
    assert daemon.json("get", "hv0/ch3.voltage_set")["readings"][0]["value"]["number"] == 0


def test_a_wrong_configuration_does_not_start(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(LAB.replace("voltage: 1500 V", "voltge: 1500 V"))
    done = subprocess.run([BIN / "canhubd", "--config", path], capture_output=True, text=True, timeout=20)
    assert done.returncode == 3
    assert f"{path}:6" in done.stderr and "voltge" in done.stderr and "voltage" in done.stderr
    assert "listening" not in done.stdout


def test_every_example_configuration_is_good():
    files = sorted((ROOT / "config").glob("*.yaml"))
    assert files
    for path in files:
        done = subprocess.run([BIN / "canhubd", "--check", path], capture_output=True, text=True, timeout=20)
        assert done.returncode == 0, done.stderr


def test_kill_9_loses_no_audit_entry_and_sets_nothing_after(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(LAB)
    daemon = Daemon(path, tmp_path / "state")
    daemon.wait_ready()
    for volts in range(100, 120):
        daemon.ctl("set", "hv0/ch0.voltage_set", volts)
    daemon.stop(signal.SIGKILL)
    daemon = Daemon(path, tmp_path / "state")
    daemon.wait_ready()
    texts = [e["text"] for e in audit(daemon, device="hv0") if e["kind"] == "command"]
    for volts in range(100, 120):
        assert sum(f"ch0.voltage_set = {volts} V" in text for text in texts) == 1, (volts, texts)
    # The simulated module lost its set values with the process; nobody set them again.
    assert daemon.json("get", "hv0/ch0.voltage_set")["readings"][0]["value"]["number"] == 0
    assert daemon.stop() == 0


def test_two_daemons_do_not_share_a_state_directory(start, tmp_path):
    start(LAB)
    done = subprocess.run([BIN / "canhubd", "--config", tmp_path / "lab.yaml", "--state-dir", tmp_path / "state"],
                          capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert str(tmp_path / "state") in done.stderr


def test_shutdown_runs_the_configured_action(tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(LAB.replace("limits:", "on_shutdown: ramp_down, limits:"))
    daemon = Daemon(path, tmp_path / "state")
    daemon.wait_ready()
    daemon.ctl("hv", "ramp", "hv0", "1000")
    daemon.ctl("set", "hv0/ch1.voltage_set", "50")
    daemon.ctl("--wait", "settled", "hv", "on", "hv0", "1")
    assert daemon.stop() == 0
    daemon = Daemon(path, tmp_path / "state")
    entries = audit(daemon, device="hv0")
    daemon.stop()
    assert any(e["kind"] == "safe_action" and "ramp_down" in e["text"] for e in entries)


def test_reload_applies_a_tighter_limit(start, tmp_path):
    daemon = start(LAB)
    daemon.wait_ready()
    (tmp_path / "lab.yaml").write_text(LAB.replace("1500 V", "200 V"))
    daemon.popen.send_signal(signal.SIGHUP)
    wait_for("the new limit", lambda: daemon.ctl("set", "hv0/ch3.voltage_set", "300", check=False).returncode == 3)


def test_a_unix_socket_tells_who_calls(start, tmp_path):
    daemon = start(LAB, listen=f"unix:{tmp_path}/canhub.sock")
    info = daemon.json("info")
    assert info["your_identity"].startswith("unix:uid=")
    assert info["your_role"] in ("operator", "engineer")
