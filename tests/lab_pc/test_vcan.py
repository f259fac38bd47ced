"""canhubd and canhub-sim as two processes on real SocketCAN, with candump as witness."""
import struct
import subprocess

from conftest import CONFIG
from processes import wait_for_in_lab as wait_for


def value(daemon, name):
    reading = daemon.json("get", name)["readings"][0]
    return reading.get("value", {}).get("number")


def test_candump_of_a_set_voltage_is_the_golden_frames(sim, daemon, candump):
    sim()
    hub = daemon()
    hub.wait_ready()
    hub.ctl("--timeout", "30s", "set", "hv0/ch3.voltage_set", "1500")
    frames = [text for _, text in candump.frames()]
    # EDCP facts, section 21, row 29, and its read-back: request DLC 3, answer with the same bytes.
    write = frames.index("210#41000344BB8000")
    after = frames[write + 1:]
    assert "211#410003" in after
    assert "210#41000344BB8000" in after[after.index("211#410003"):]


def test_the_log_on_is_the_golden_frame_and_nothing_sets(sim, daemon, candump):
    sim()
    daemon().wait_ready()
    frames = [text for _, text in candump.frames()]
    assert "210#D801" in frames  # row 3
    written = [f for f in frames if f.startswith("210#") and f != "210#D801"]
    answered = [f for f in frames if f.startswith("211#")]
    assert answered
    # What stands on the write identifier is the module's answer: each follows a read (S01).
    asked = {f[4:8] for f in answered}
    assert {f[4:8] for f in written} <= asked | {f"{int(a, 16) & 0xDFFF:04X}" for a in asked}


def test_channel_on_ramps_and_settles(sim, daemon):
    sim()
    hub = daemon()
    hub.wait_ready()
    hub.ctl("--timeout", "60s", "hv", "ramp", "hv0", "500")
    hub.ctl("--timeout", "60s", "set", "hv0/ch1.voltage_set", "400")
    hub.ctl("--timeout", "60s", "--wait", "settled", "hv", "on", "hv0", "1")
    measured = value(hub, "hv0/ch1.voltage_measure")
    assert abs(measured - 400) < 5, measured
    hub.ctl("--timeout", "60s", "hv", "emergency-off", "hv0")
    wait_for("0 V", lambda: abs(value(hub, "hv0/ch1.voltage_measure") or 99) < 5)


def test_interface_down_and_gone_and_back(sim, daemon, candump):
    sim()
    hub = daemon()
    hub.wait_ready()
    subprocess.run(["ip", "link", "set", "vcan0", "down"], check=True)
    wait_for("the bus to be down", lambda: "DOWN" in hub.json("bus")["buses"][0]["state"])
    done = hub.ctl("set", "hv0/ch3.voltage_set", "100", check=False)
    assert done.returncode == 5, done.stderr
    subprocess.run(["ip", "link", "set", "vcan0", "up"], check=True)
    wait_for("the device to be online",
             lambda: hub.json("device", "hv0")["device"]["link"] == "LINK_STATE_ONLINE")
    subprocess.run(["ip", "link", "del", "vcan0"], check=True)
    wait_for("the bus to be unplugged", lambda: "UNPLUGGED" in hub.json("bus")["buses"][0]["state"])
    subprocess.run("ip link add dev vcan0 type vcan && ip link set vcan0 up", shell=True, check=True)
    wait_for("the bus to be active", lambda: "ACTIVE" in hub.json("bus")["buses"][0]["state"])
    wait_for("the device to be online",
             lambda: hub.json("device", "hv0")["device"]["link"] == "LINK_STATE_ONLINE")
    # The refused command was not kept.
    wait_for("the set value to be read again", lambda: value(hub, "hv0/ch3.voltage_set") is not None)
    assert value(hub, "hv0/ch3.voltage_set") == 0


def test_bus_off_from_the_kernel(sim, daemon):
    sim()
    hub = daemon()
    hub.wait_ready()
    # What a controller's driver sends at bus-off: an error frame of class CAN_ERR_BUSOFF (0x40).
    send_error_frame(0x40, bytes(8))
    wait_for("bus-off to be seen", lambda: hub.json("bus")["buses"][0].get("bus_off_count") == "1")
    # CAN_ERR_RESTARTED (0x100): the controller is back.
    send_error_frame(0x100, bytes(8))
    wait_for("the device to be online",
             lambda: hub.json("device", "hv0")["device"]["link"] == "LINK_STATE_ONLINE")


def send_error_frame(error_class, data):
    """Written to vcan by a socket, as the kernel would deliver it."""
    import socket
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as out:
        out.bind(("vcan0",))
        out.send(struct.pack("=IB3x8s", 0x20000000 | error_class, 8, data))


def test_a_second_master_on_the_interface_is_noticed(sim, daemon):
    sim()
    hub = daemon()
    hub.wait_ready()
    subprocess.run(["cansend", "vcan0", "211#1000"], check=True)
    wait_for("the alarm", lambda: any("foreign_master" in a["code"] for a in hub.json("alarms").get("alarms", [])))


def test_missing_interface_is_said_and_retried(sim, daemon):
    hub = daemon(CONFIG.replace("vcan0", "can7"))
    bus = hub.json("bus")["buses"][0]
    assert "UNPLUGGED" in bus["state"]
    assert "can7" in bus["state_text"]
    subprocess.run("ip link add dev can7 type vcan && ip link set can7 up", shell=True, check=True)
    wait_for("the bus to be active", lambda: "ACTIVE" in hub.json("bus")["buses"][0]["state"])
    subprocess.run(["ip", "link", "del", "can7"], check=True)


def test_a_dcp_only_module_is_recognised(sim, daemon):
    sim("sim_dcp_only=true")
    hub = daemon()
    device = wait_for("the verdict", lambda: (
        lambda d: d if d["link"] == "LINK_STATE_UNSUPPORTED" else None)(hub.json("device", "hv0")["device"]))
    assert "DCP" in device["link_text"]
