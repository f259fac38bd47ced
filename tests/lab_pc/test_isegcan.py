"""isegcan from PyPI, a client that nobody here wrote, drives canhub-sim through every command that it
has; and canhubd agrees with it on the state of the same module."""
import math
import struct

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


def leave(resource):
    """What Resource.__del__ does, when we want it."""
    resource._unregister_module()
    resource._notifier.stop()
    resource._bus.shutdown()
    # It does so once more when the object goes, and would send on a closed socket.
    resource._unregister_module = lambda: None


def connect(address):
    """isegcan gives the module 0.3 s to tell its number of channels; after that it asks for the firmware
    name and trips over the answer (facts, section 19). The lab PC's one CPU is sometimes slower."""
    for _ in range(4):
        try:
            return Resource(address, channel="vcan0")
        except struct.error:
            pass
    return Resource(address, channel="vcan0")


@pytest.fixture
def module(sim):
    sim(f"sim_nominal_voltage={NOMINAL_V:g} V", "sim_channels=16")
    resource = connect(2)
    yield resource
    leave(resource)


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


# What each command is given to set. Several values where a register's bits matter.
SETTINGS = {
    "module_event_mask": [0x6474],
    "module_voltage_ramp_speed": [10.0],
    "channel_event_mask": [0xF020],
    "channel_delayed_trip_time": [250],
    "channel_delayed_trip_type": [2],
    "channel_external_inhibit": [1],
    "channel_voltage_ramp_priority": [2],
    "channel_set_voltage": [1500.0, 0.0],
    "channel_set_current": [0.00005],
    "channel_voltage_bounds": [30.0],
    "channel_current_bounds": [0.000001],
    "channel_voltage_bottom": [50.0],
    "channel_vct_coefficient": [0.5],
    "channel_resistor_external": [1e6],
    "channel_voltage_ramp_speed_up": [120.0],
    "channel_voltage_ramp_speed_down": [130.0],
    "channel_output_mode": [2],
    "channel_output_polarity": [-1],
}
# Writable in isegcan's list, but no setting that reads back: EDCP facts, sections 10 to 12.
NO_SETTING = {
    "register": "log-on and log-off have no answer",
    "module_status": "a status", "channel_status": "a status",
    "module_control": "does things and reads back its switches: test_it_controls_a_module",
    "channel_control": "switches: test_its_user_commands",
    "module_event_status": "ones clear: test_its_user_commands", "channel_event_status": "ones clear",
    "module_event_channel_status": "ones clear",
    "module_event_channel_mask": "isegcan's number is that of the status (facts, section 19)",
    "module_event_group_mask": "isegcan's number is that of the status (facts, section 19)",
    "module_event_group_status": "ones clear; isegcan has it at another number (facts, section 19)",
    "channel_temperature_external": "a measurement",
    "channel_voltage_ramp_speed_min": "a property", "channel_voltage_ramp_speed_max": "a property",
    "channel_current_ramp_speed_min": "a property", "channel_current_ramp_speed_max": "a property",
    "channel_power_set": "no simulated model has it", "channel_group_number": "no simulated model has it",
}
# Models whose items together are all that isegcan can set.
MODELS = ["E16C1", "E08F2", "N04C2", "E12B0"]


def ask(module, command, address):
    """isegcan's own request; the answer taken from its reader, since its table confuses commands that
    share a DATA_ID. None: answered without data, the model does not have it."""
    module._flush()
    module._command(command, None, address, is_write=False)
    while (message := module._reader.get_message(timeout=1.0)) is not None:
        data = bytes(message.data)
        if message.arbitration_id == module.can_id and data.startswith(command.bytes):
            value = data[2 + (1 if command.addr_t else 0):]
            return struct.unpack(">" + command.val_t, value)[0] if len(value) == struct.calcsize(
                ">" + command.val_t) else None
    raise AssertionError(f"{command.command}: no answer")


def test_what_it_sets_it_reads_back(sim):
    commands = [c for c in _edcp_definitions.command_list if c.is_writable]
    assert {c.command for c in commands} == SETTINGS.keys() | NO_SETTING.keys()
    proven = {}
    for number, model in enumerate(MODELS):
        sim(f"sim_model={model}", address=8 + number, identifier=f"hv{number}")
        module = connect(8 + number)
        for command in commands:
            if command.command in NO_SETTING or command.command in proven:
                continue
            address = 0 if "event_channel" in command.command else 1 if command.addr_t else None
            if ask(module, command, address) is None:
                continue
            for value in SETTINGS[command.command]:
                module._command(command, value, address, is_write=True)
                read = ask(module, command, address)
                assert math.isclose(read, value, rel_tol=1e-6), (model, command.command, value, read)
            proven[command.command] = model
        leave(module)
    assert set(SETTINGS) - set(proven) == set()


def test_it_controls_a_module(module):
    module.set_module_control(0x5800, None)  # kill, fine adjustment, big-endian: facts, row 19
    module._flush()
    assert module.query_module_control(None, None) & 0x5000 == 0x5000
    assert module.module_status_query(None, None) & 0x8001 == 0x8001
    module.set_module_control(0x1840, None)  # row 18: clear; the bit reads back 0
    module._flush()
    assert module.query_module_control(None, None) & 0x4040 == 0
    assert module.module_status_query(None, None) & 0x8000 == 0


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
    module = connect(2)
    try:
        module.ramp_speed(300.0, None)
        module.voltage_set(100.0, 3)
        module.state(1, 3)
        wait_for("100 V", lambda: abs(module.voltage_out_query(None, 3) - 100) < 5)
        process.command("inject", "hv0", "trip", "channel=3")
        wait_for("the trip", lambda: module.query_channel_event_status(None, 3) & 0x2000)
        wait_for("the channel to be off", lambda: not module.channel_status_query(None, 3) & 0x0008)
        assert module.reset_trip(None, 3) & 0x2000 == 0
    finally:
        leave(module)


def test_canhubd_agrees_with_it(sim, daemon):
    """One after the other: isegcan knows no multiple-channel answers and raises on canhubd's polling."""
    sim(f"sim_nominal_voltage={NOMINAL_V:g} V", "sim_channels=16")
    module = connect(2)
    module.voltage_set(321.0, 5)
    module.current_set(0.0005, 5)
    module.ramp_speed(150.0, None)
    leave(module)

    hub = daemon()
    hub.wait_ready()

    def number(name):
        return hub.json("get", name, "--max-age", "0ms")["readings"][0]["value"]["number"]

    assert number("hv0/ch5.voltage_set") == pytest.approx(321.0)
    assert number("hv0/ch5.current_set") == pytest.approx(0.0005)
    assert number("hv0/voltage_ramp_speed") == pytest.approx(5.0)
    hub.ctl("--timeout", "30s", "set", "hv0/ch6.voltage_set", "654")
    hub.ctl("--timeout", "30s", "set", "hv0/ch6.delayed_trip_time", "300")
    status = hub.json("get", "hv0/status", "--max-age", "0ms")["readings"][0]["value"]["integer"]
    assert hub.stop(seconds=40) == 0

    module = connect(2)
    assert module.voltage_set_query(None, 6) == pytest.approx(654.0)
    assert module.query_channel_delayed_trip_time(None, 6) == 300
    assert module.module_status_query(None, None) == int(status) & 0xFFFF
    leave(module)
