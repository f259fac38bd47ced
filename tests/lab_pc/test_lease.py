"""A client that vanishes in the middle of a ramp."""
import datetime
import signal
import subprocess
import time

from cable import acts
from processes import BIN, Process

CONFIG = """
listen: [127.0.0.1:0]
buses:
  can0: {type: socketcan, interface: can0, bitrate: 125000}
devices:
  hv0: {driver: iseg, bus: can0, address: 2, on_lease_lost: ramp_down}
"""
# Long enough to ask, after the client is dead, when its lease will lapse.
WINDOW_S = 10.0


def test_s05_the_safe_action_is_on_the_wire_within_the_window_and_50_ms(cable, sim, daemon, witness, record_property):
    cable("can0", "line0")
    sim("sim_channels=4", interface="line0")
    hub = daemon(CONFIG)
    hub.wait_ready()
    hub.ctl("--timeout", "30s", "hv", "ramp", "hv0", "20")
    hub.ctl("--timeout", "30s", "set", "hv0/ch1.voltage_set", "1000")
    client = Process([BIN / "canhubctl", "--address", hub.address, "lease", "acquire", "hv0", "--window",
                      f"{WINDOW_S:g}s", "--keep"], "canhubctl", stdin=subprocess.DEVNULL)
    lease = client.wait_for_line(r"^export CANHUB_LEASE=(\w+)$").group(1)
    hub.ctl("--timeout", "30s", "hv", "on", "hv0", "1", env={"CANHUB_LEASE": lease})
    line = witness("can0")
    time.sleep(1.5 * WINDOW_S)
    assert not acts(line.frames(), 2), "nothing is sent while the lease is kept alive"
    client.stop(signal.SIGKILL)
    killed = time.time()
    [held] = hub.json("lease", "list")["leases"]
    lapses = datetime.datetime.fromisoformat(held["expire_time"].replace("Z", "+00:00")).timestamp()
    assert lapses <= killed + WINDOW_S, "the client's last sign of life is what counts"
    time.sleep(WINDOW_S + 1)

    sent = acts(line.frames(), 2)
    # EDCP facts: channel 1's control, or all channels' at once, with setON cleared.
    assert sent and sent[0].data[:2] == bytes.fromhex("4001") and not sent[0].data[-1] & 0x08, [f.text for f in sent]
    late_ms = (sent[0].time - lapses) * 1e3
    record_property("safe_action_after_lapse_ms", round(late_ms, 1))
    assert 0 <= late_ms <= 50
    record = hub.json("audit", "--device", "hv0")["entries"]
    assert any(e["kind"] == "safe_action" and "ramp_down" in e["text"] for e in record), record
    is_on = hub.json("get", "hv0/ch1.is_on", "--max-age", "0ms")["readings"][0]["value"]
    assert is_on["flag"] is False
