"""Clients that never read: the others, the line and the memory do not notice."""
import signal
import socket
import statistics
import subprocess
import time

from cable import reads, resident_kilobytes
from processes import BIN

CONFIG = """
listen: [127.0.0.1:0]
buses:
  can0: {type: socketcan, interface: can0, bitrate: 125000}
devices:
  hv0: {driver: iseg, bus: can0, address: 2, poll: 200 ms}
"""
STALLED = 10


def polls_per_second(line, seconds):
    begun = time.time()
    time.sleep(seconds)
    return len(reads(line.frames(since=begun), 2)) / seconds


def usual_call(hub):
    """Seconds of a call of another client, the median of some."""
    taken = []
    for _ in range(7):
        begun = time.monotonic()
        hub.ctl("get", "hv0/ch1.voltage_measure")
        taken.append(time.monotonic() - begun)
    return statistics.median(taken)


def watchers(hub, count):
    """canhubctl processes that watch everything and are stopped before they have read much."""
    running = [subprocess.Popen([str(BIN / "canhubctl"), "--address", hub.address, "watch", "hv0/**", "--format", "lines"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(count)]
    time.sleep(5)
    for process in running:
        assert process.poll() is None
        process.send_signal(signal.SIGSTOP)
    return running


def http2_without_reading(port):
    """A connection that asks for everything it can and reads nothing: HTTP/2's preface and settings with the
    largest window, then silence."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    window = bytes.fromhex("000006" "04" "00" "00000000" "0004" "7fffffff")
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + window)
    return connection


def test_s06_clients_that_never_read_delay_nobody(cable, sim, daemon, witness, record_property):
    cable("can0", "line0")
    sim("sim_channels=8", interface="line0")
    hub = daemon(CONFIG)
    hub.wait_ready()
    line = witness("can0")
    polls_before = polls_per_second(line, 10)
    call_before = usual_call(hub)
    stalled = watchers(hub, STALLED)
    port = int(hub.address.rsplit(":", 1)[1])
    connections = [http2_without_reading(port) for _ in range(STALLED)]
    try:
        time.sleep(5)
        memory_before = resident_kilobytes(hub.popen.pid)
        polls = polls_per_second(line, 15)
        call = usual_call(hub)
        grown = resident_kilobytes(hub.popen.pid) - memory_before
    finally:
        for process in stalled:
            process.kill()
            process.wait()
        for connection in connections:
            connection.close()
    record_property("polls_per_second", [polls_before, polls])
    record_property("usual_call_s", [round(call_before, 3), round(call, 3)])
    record_property("grown_kb", grown)
    # The lab PC has one CPU and shares it with its host's other work: without any stalled client both
    # differ by a third from one time to the next. Who waited for a client would stand still.
    assert polls >= 0.5 * polls_before, (polls_before, polls)
    assert call <= 3 * call_before + 0.5, (call_before, call)
    # Kept for ten who do not read, what changes in these seconds would be many megabytes.
    assert grown < 2048
