"""A simulated line served over the socketcand protocol, used by python-can from PyPI, and canhubd as
client of another canhubd's line: two machines without kernel CAN."""
import struct

import can

from processes import wait_for

SERVED = """
listen: [127.0.0.1:0]
buses:
  lab: {type: simulated, bitrate: 125000, serve: 127.0.0.1:0}
devices:
  hv0: {driver: iseg, bus: lab, address: 2, simulate: true}
"""


def served_port(daemon):
    return int(daemon.wait_for_line(r"serv\w+ .*127\.0\.0\.1:(\d+)").group(1))


def receive(bus, identifier, prefix, seconds=5.0):
    import time
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        message = bus.recv(0.5)
        if message and message.arbitration_id == identifier and bytes(message.data).startswith(prefix):
            return message
    raise AssertionError(f"no {identifier:03X} {prefix.hex()}")


def test_python_can_reads_a_simulated_module(start):
    daemon = start(SERVED)
    daemon.wait_ready()
    with can.Bus(interface="socketcand", host="127.0.0.1", port=served_port(daemon), channel="lab") as bus:
        bus.send(can.Message(arbitration_id=0x211, data=bytes.fromhex("410603"), is_extended_id=False))
        answer = receive(bus, 0x210, bytes.fromhex("410603"))
        nominal, = struct.unpack(">f", bytes(answer.data)[3:7])
        assert nominal == daemon.json("get", "hv0/ch3.voltage_nominal")["readings"][0]["value"]["number"]


def test_python_can_sees_what_a_client_sets(start):
    daemon = start(SERVED)
    daemon.wait_ready()
    with can.Bus(interface="socketcand", host="127.0.0.1", port=served_port(daemon), channel="lab") as bus:
        daemon.ctl("set", "hv0/ch3.voltage_set", "1500")
        # EDCP facts, section 21, row 29.
        assert receive(bus, 0x210, bytes.fromhex("41000344BB8000"))


def test_a_foreign_master_is_noticed(start):
    daemon = start(SERVED)
    daemon.wait_ready()
    with can.Bus(interface="socketcand", host="127.0.0.1", port=served_port(daemon), channel="lab") as bus:
        bus.send(can.Message(arbitration_id=0x211, data=bytes.fromhex("1000"), is_extended_id=False))
        wait_for("the alarm", lambda: any("foreign_master" in a["code"]
                                          for a in daemon.json("alarms").get("alarms", [])))


def test_a_second_hub_on_the_served_line(start, tmp_path):
    first = start(SERVED.replace("devices:\n  hv0: {driver: iseg, bus: lab, address: 2, simulate: true}\n",
                                 "devices:\n  hv9: {driver: iseg, bus: lab, address: 9, simulate: true}\n"))
    second = start("\n".join([
        "listen: [127.0.0.1:0]",
        "buses:",
        f"  pi: {{type: socketcand, address: '127.0.0.1:{served_port(first)}', interface: lab, bitrate: 125000}}",
        "devices:",
        "  hv9: {driver: iseg, bus: pi, address: 9}"]), state=tmp_path / "second")
    second.wait_ready()
    second.ctl("set", "hv9/ch0.voltage_set", "123")
    wait_for("the first hub to read it", lambda: first.json("get", "hv9/ch0.voltage_set", "--max-age", "0ms")
             ["readings"][0]["value"]["number"] == 123)
