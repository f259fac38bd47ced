"""kill -9, a hang, a stop: what systemd does, and what is on the line meanwhile."""
import os
import pathlib
import signal
import subprocess
import sys
import time

from cable import LOG_OFF, LOG_ON, acts, reads, thread_id
from held import Held
from unit import journal, main_pid, prop, properties, wall
from processes import Process, wait_for_in_lab as wait_for

# A client that is there already: starting one would take the lab PC's one CPU from the daemon. Until
# somebody listens it asks the socket itself, because a gRPC channel whose connection was refused waits a
# second or more before it tries again, and channels to one address share that wait.
CALL_UNTIL_ANSWERED = """
import grpc, socket, sys, time
print("ready", flush=True)
sys.stdin.readline()
while True:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(sys.argv[1].removeprefix("unix:"))
            break
        except OSError:
            time.sleep(0.01)
with grpc.insecure_channel(sys.argv[1]) as channel:
    check = channel.unary_unary("/grpc.health.v1.Health/Check", lambda request: request, lambda answer: answer)
    while check(b"", wait_for_ready=True, timeout=10) != bytes.fromhex("0801"):  # SERVING
        time.sleep(0.01)
print("answered at", time.monotonic(), flush=True)
"""


def hold_until_restarted(thread):
    """Returns the moments at which it was held and ended."""
    old = main_pid()
    held_at = time.time()
    held = Held(thread)
    wait_for("the end of the process", held.ended)
    ended_at = time.time()
    wait_for("the restart", lambda: main_pid() not in (0, old) and prop("ActiveState") == "active")
    return held_at, ended_at


def test_kill_9_it_serves_again_within_2_s_of_the_restart(lab, record_property):
    service = lab()
    service.start()
    client = Process([sys.executable, "-c", CALL_UNTIL_ANSWERED, service.address], "client", stdin=subprocess.PIPE)
    client.wait_for_line("^ready$", 60)
    old = main_pid()
    os.kill(old, signal.SIGKILL)
    # Its socket takes connections until it has ended.
    wait_for("the end of the process", lambda: not pathlib.Path(f"/proc/{old}").exists())
    client.popen.stdin.write("go\n")
    client.popen.stdin.flush()
    served = float(client.wait_for_line(r"^answered at ([\d.]+)$", 60).group(1))
    assert prop("NRestarts") == "1"
    started = int(prop("ExecMainStartTimestampMonotonic")) / 1e6
    record_property("serving_after_restart_s", round(served - started, 3))
    assert served - started <= 2


def test_kill_9_s01_nothing_is_sent_that_nobody_asked_for(lab, witness):
    service = lab()
    service.start()
    service.ctl("set", "hv0/ch1.voltage_set", "123", "hv1/ch2.voltage_set", "45")
    line = witness("can0")
    time.sleep(1)
    killed = time.time()
    os.kill(main_pid(), signal.SIGKILL)
    wait_for("the restart", lambda: prop("NRestarts") == "1" and prop("ActiveState") == "active")
    time.sleep(2)
    frames = line.frames(since=killed)
    assert not acts(frames, 2) and not acts(frames, 3)
    # EDCP facts, section 21, row 3: it logs on, then reads.
    assert [f.text for f in frames if f.own and f.identifier in (0x210, 0x218)
            and f.data not in (LOG_ON,)] == []
    assert any(f.text == "210#D801" for f in frames) and reads(frames, 2) and reads(frames, 3)
    # The modules were not touched, and what they have has been read.
    for name, volts in (("hv0/ch1.voltage_set", 123), ("hv1/ch2.voltage_set", 45)):
        assert service.json("get", name)["readings"][0]["value"]["number"] == volts


def test_kill_9_s11_the_audit_record_is_whole(lab):
    service = lab()
    service.start()
    for volts in range(10, 16):
        service.ctl("set", "hv0/ch0.voltage_set", volts)
    os.kill(main_pid(), signal.SIGKILL)
    wait_for("the restart", lambda: prop("NRestarts") == "1")
    service.wait_serving()
    texts = [e["text"] for e in service.json("audit", "--device", "hv0")["entries"] if e["kind"] == "command"]
    for volts in range(10, 16):
        assert sum(f"ch0.voltage_set = {volts} V" in text for text in texts) == 1, (volts, texts)


def test_s04_an_actor_that_hangs_is_restarted_by_the_watchdog(lab, witness, record_property):
    service = lab()
    service.start()
    line = witness("can0")
    held_at, ended_at = hold_until_restarted(thread_id(main_pid(), "hv1"))
    record_property("ended_after_s", round(ended_at - held_at, 1))
    assert prop("NRestarts") == "1"
    assert "hv1: its actor hangs; the watchdog is not fed" in journal()
    assert "Watchdog timeout" in journal()
    # 2 s until it is seen, 5 s of the watchdog, and as long as a slow machine takes.
    assert 5 <= ended_at - held_at < 15
    hanging = [f for f in line.frames(since=held_at + 0.5) if f.time < ended_at - 0.5]
    assert not [f for f in hanging if f.own and f.identifier in (0x218, 0x219)], "nobody polls for it"
    polls = reads(hanging, 2)
    assert len(polls) > 5 * (ended_at - held_at - 1), "the other one is polled on (S09)"
    assert max(b.time - a.time for a, b in zip(polls, polls[1:])) < 1.5
    assert not acts(line.frames(), 2) and not acts(line.frames(), 3), "the restart sets nothing (S01)"


def test_s04_the_status_names_the_actor_that_hangs(lab):
    lab().start()
    held = Held(thread_id(main_pid(), "hv1"))
    wait_for("the status", lambda: prop("StatusText") == "1 of 2 devices online; hv1: its actor hangs")
    wait_for("the end of the process", held.ended)


def test_s04_a_bus_that_hangs_is_restarted_by_the_watchdog(lab, witness):
    lab().start()
    line = witness("can0")
    held_at, ended_at = hold_until_restarted(thread_id(main_pid(), "can0"))
    assert "bus can0 hangs; the watchdog is not fed" in journal()
    assert 5 <= ended_at - held_at < 15
    assert not [f for f in line.frames(since=held_at + 0.5) if f.own and f.time < ended_at - 0.5]


def test_stop_s05_makes_the_devices_safe_before_it_ends(lab, witness):
    service = lab("emergency_off", "ramp_down")
    service.start()
    for device in ("hv0", "hv1"):
        service.ctl("--timeout", "30s", "set", f"{device}/ch1.voltage_set", "100")
        service.ctl("--timeout", "30s", "hv", "on", device, "1")
    line = witness("can0")
    time.sleep(1)
    asked = time.time()
    service.stop()
    ended = wall(prop("ExecMainExitTimestampMonotonic"))
    time.sleep(1)
    sent = [f for f in line.frames(since=asked) if f.own]
    assert sent[-1].time < ended
    # EDCP facts: the control of channel 1 with setEMCY (0x0020), or with setON (0x0008) cleared.
    off = next(i for i, f in enumerate(sent) if f.text == "210#4001010020")
    down = next(i for i, f in enumerate(sent) if f.identifier == 0x218 and f.data[:2] == bytes.fromhex("4001"))
    assert not sent[down].data[-1] & 0x28
    leave = [i for i, f in enumerate(sent) if f.data == LOG_OFF]
    assert len(leave) == 2 and max(off, down) < min(leave), [f.text for f in sent]
    assert properties("Result", "ExecMainStatus", "ActiveState") == {
        "Result": "success", "ExecMainStatus": "0", "ActiveState": "inactive"}


def test_stop_with_hold_sends_nothing_that_acts(lab, witness):
    service = lab()
    service.start()
    line = witness("can0")
    service.stop()
    assert not acts(line.frames(), 2) and not acts(line.frames(), 3)


def test_stop_when_a_device_cannot_be_made_safe_is_a_failure_that_names_it(lab):
    service = lab("ramp_down", "hold")
    service.start()
    subprocess.run(["ip", "link", "set", "line0", "down"], check=True)
    wait_for("the loss", lambda: prop("StatusText").startswith("0 of 2"))
    service.stop()
    assert properties("Result", "ExecMainStatus") == {"Result": "exit-code", "ExecMainStatus": "4"}
    assert "not made safe: hv0: ramp_down" in journal()
