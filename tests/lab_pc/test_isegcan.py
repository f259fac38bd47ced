"""isegcan from PyPI, a client that nobody here wrote, drives canhub-sim through every command that it
has; and canhubd agrees with it on the state of the same module."""
import math

import pytest
from isegcan import _edcp_definitions
from isegcan.can_edcp import Resource

from processes import wait_for_in_lab as wait_for

NOMINAL_V = 3000.0

# Commands that isegcan itself cannot do, and why; each is still sent, and must do no harm.
MALFORMED_IN_ISEGCAN = {
    # It unpacks five characters as a UI4 and prints "Malformed"; it raises.
    "module_firmware_name",
}


@pytest.fixture
def module(sim):
    sim(f"sim_nominal_voltage={NOMINAL_V:g} V", "sim_channels=16")
    resource = Resource(2, channel="vcan0")
    yield resource
    resource._unregister_module()
    resource._notifier.stop()
    resource._bus.shutdown()


def test_it_finds_the_module(module):
    assert module.module_channel_number == 16


def test_every_query_is_answered(module):
    silent = []
    for command in _edcp_definitions.command_list:
        if command.command == "register" or command.command in MALFORMED_IN_ISEGCAN:
            continue
        address = 0 if command.addr_t else None
        module._flush()
        module._command(command, None, address, is_write=False)
        answers = []
        while (message := module._reader.get_message(timeout=0.3)) is not None:
            if message.arbitration_id == 0x210 and bytes(message.data[:2]) == command.bytes:
                answers.append(bytes(message.data))
                break
        if not answers:
            silent.append(command.command)
    assert not silent


WRITES = {
    "module_event_mask": [0x6474],
    "module_voltage_ramp_speed": [10.0],
    "channel_event_mask": [0xF020],
    "channel_delayed_trip_time": [250],
    "channel_delayed_trip_type": [2],
    "channel_set_voltage": [1500.0, 0.0],
    "channel_set_current": [0.00005],
    "channel_voltage_bounds": [30.0],
    "channel_current_bounds": [0.000001],
}


@pytest.mark.parametrize("name", WRITES)
def test_what_it_sets_it_reads_back(module, name):
    command = _edcp_definitions.c_cmd[name]
    address = 3 if command.addr_t else None
    for value in WRITES[name]:
        getattr(module, f"set_{name}")(value, address)
        module._flush()
        read = getattr(module, f"query_{name}")(None, address)
        assert math.isclose(read, value, rel_tol=1e-6), (name, value, read)


def test_its_user_commands(module):
    """Each of Resource.user_commands, as an operator uses them."""
    assert set(Resource.user_commands) == {
        "module_status_query", "channel_status_query", "state", "state_query", "voltage_out_query", "voltage_set",
        "voltage_set_query", "current_out_query", "current_set", "current_set_query", "ramp_speed",
        "ramp_speed_query", "reset_trip"}
    assert module.module_status_query(None, None) & 0x7700 == 0x7700
    assert module.ramp_speed(300.0, None) == pytest.approx(300.0)
    assert module.ramp_speed_query(None, None) == pytest.approx(300.0)
    assert module.current_set(0.001, 3) == pytest.approx(0.001)
    assert module.current_set_query(None, 3) == pytest.approx(0.001)
    assert module.voltage_set(200.0, 3) == pytest.approx(200.0)
    assert module.voltage_set_query(None, 3) == pytest.approx(200.0)
    assert module.state(1, 3)
    assert module.state_query(None, 3)
    wait_for("200 V", lambda: abs(module.voltage_out_query(None, 3) - 200) < 5)
    assert module.channel_status_query(None, 3) & 0x0008
    assert abs(module.current_out_query(None, 3)) < 0.001
    module.state(0, 3)
    wait_for("0 V", lambda: abs(module.voltage_out_query(None, 3)) < 5)
    module.reset_trip(None, 3)
    assert module.query_channel_event_status(None, 3) & 0xF020 == 0


def test_it_resets_a_trip(sim):
    process = sim(f"sim_nominal_voltage={NOMINAL_V:g} V", "sim_channels=16")
    module = Resource(2, channel="vcan0")
    try:
        module.ramp_speed(300.0, None)
        module.voltage_set(100.0, 3)
        module.state(1, 3)
        wait_for("100 V", lambda: abs(module.voltage_out_query(None, 3) - 100) < 5)
        process.popen.stdin.write("inject hv0 trip channel=3\n")
        process.popen.stdin.flush()
        wait_for("the trip", lambda: module.query_channel_event_status(None, 3) & 0x2000)
        wait_for("the channel to be off", lambda: not module.channel_status_query(None, 3) & 0x0008)
        assert module.reset_trip(None, 3) & 0x2000 == 0
    finally:
        module._unregister_module()
        module._notifier.stop()
        module._bus.shutdown()


def test_canhubd_agrees_with_it(sim, daemon):
    sim(f"sim_nominal_voltage={NOMINAL_V:g} V", "sim_channels=16")
    hub = daemon()
    hub.wait_ready()
    module = Resource(2, channel="vcan0")
    try:
        module.voltage_set(321.0, 5)
        module.ramp_speed(150.0, None)

        def number(name):
            return hub.json("get", name, "--max-age", "0ms")["readings"][0]["value"]["number"]

        assert number("hv0/ch5.voltage_set") == pytest.approx(321.0)
        assert number("hv0/voltage_ramp_speed") == pytest.approx(5.0)
        hub.ctl("--timeout", "30s", "set", "hv0/ch6.voltage_set", "654")
        module._flush()
        assert module.voltage_set_query(None, 6) == pytest.approx(654.0)
        hub.ctl("--timeout", "30s", "set", "hv0/ch6.current_set", "0.0005")
        module._flush()
        assert module.current_set_query(None, 6) == pytest.approx(0.0005)
    finally:
        module._unregister_module()
        module._notifier.stop()
        module._bus.shutdown()
