"""Battery modules and devices that only a DBC describes, on real SocketCAN, with python-can and cantools from
PyPI on the other side: they play the battery and canhubd decodes it; canhub-sim plays it and they decode."""
import time

import can
import cantools
import pytest

from pack import CELLS, DBC, MODULES, REQUEST, SENSOR_REQUEST, SYNC, healthy, vcan
from processes import ROOT
from processes import wait_for_in_lab as wait_for

CONFIG = f"""
listen: [127.0.0.1:0]
access: {{default: engineer}}
buses:
  can0: {{type: socketcan, interface: vcan0, bitrate: 500000}}
devices:
  bat0: {{driver: battery-module, bus: can0, expected_modules: {MODULES}}}
"""

# Signals of pdo1 to pdo6 and the items that show them (battery facts, section 4.3).
ITEMS = {"CMA_Current": "current", "CMA_Voltage": "voltage", "Min_Cell_Voltage": "reported_cell_min",
         "Max_Cell_Voltage": "reported_cell_max", "CMA_Min_Temp": "temperature_min", "CMA_Max_Temp": "temperature_max",
         "CMA_Status": "status", "SOC": "soc", "SOH": "soh", "CellBalancingStatus": "balancing",
         "Charge_Ah_from_BMU": "charge", "Discharge_Ah_from_BMU": "discharge",
         **{f"Cell_{k}_Voltage": f"cell{k}_voltage" for k in range(1, CELLS + 1)},
         **{f"CMA_Temp{k}": f"temperature{k}" for k in range(1, 8)}}


def as_shown(values):
    """Items as canhub shows them, of physical values by signal: current is positive on the bus when it charges (4.7)."""
    return {ITEMS[name]: -value if name == "CMA_Current" else value for name, value in values.items() if name in ITEMS}


class Hub:
    """What canhubd shows of the pack."""

    def __init__(self, daemon, config):
        self.daemon = daemon(config)
        self.daemon.wait_ready()

    def readings(self, pattern):
        return {r["name"].removeprefix("bat0/"): r for r in self.daemon.json("get", f"bat0/{pattern}")["readings"]}

    def values(self, pattern):
        """Of those that are good."""
        return {name: float(next(iter(r["value"].values()))) for name, r in self.readings(pattern).items() if "value" in r}

    def value(self, item):
        return self.values(item).get(item)

    def alarms(self):
        return {alarm["code"] for alarm in self.daemon.json("alarms").get("alarms", []) if alarm["device_id"] == "bat0"}


@pytest.fixture
def hub(daemon):
    return lambda: Hub(daemon, CONFIG)


# ---------------------------------------------------------------- cantools plays the battery


def test_it_counts_the_modules(pack, hub):
    hub = hub()
    assert hub.value("pack.module_count") == MODULES
    assert hub.value("pack.modules_good") == MODULES
    assert [hub.value(f"module{n}.presence") for n in range(1, MODULES + 2)] == [1] * MODULES + [0]
    assert hub.value("pack.level") == 0
    assert hub.alarms() == set()


def test_it_decodes_what_cantools_encodes(pack, hub):
    hub = hub()
    for module in range(1, MODULES + 1):
        wait_for("the sensors", lambda m=module: hub.value(f"module{m}.temperature7") is not None)
        shown = hub.values(f"module{module}.*")
        wanted = as_shown(pack.values(module))
        assert {name: shown[f"module{module}.{name}"] for name in wanted} == pytest.approx(wanted, rel=1e-12)
        # Positions that are not fitted are no cells.
        assert f"module{module}.cell13_voltage" not in shown


def test_its_pack_values_are_those_of_the_modules(pack, hub):
    hub = hub()
    modules = [pack.values(n) for n in range(1, MODULES + 1)]
    cells = [(m[f"Cell_{k}_Voltage"], n, k) for n, m in enumerate(modules, 1) for k in range(1, CELLS + 1)]
    wanted = {"voltage": sum(m["CMA_Voltage"] for m in modules), "cell_voltage_min": min(cells)[0],
              "cell_voltage_min_module": min(cells)[1], "cell_voltage_min_cell": min(cells)[2],
              "cell_voltage_max": max(cells)[0], "cell_voltage_max_module": max(cells)[1],
              "cell_voltage_max_cell": max(cells)[2], "cell_voltage_sum": sum(c[0] for c in cells),
              "current_mean": -sum(m["CMA_Current"] for m in modules) / MODULES,
              "temperature_max": max(m["CMA_Max_Temp"] for m in modules)}
    shown = hub.values("pack.*")
    assert {name: shown[f"pack.{name}"] for name in wanted} == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("signal, within, at, alarm", [
    # At the bound is beyond it (battery facts, section 5.4); 2.80 V is the one that doubles miss.
    ("Cell_7_Voltage", 4.09, 4.10, "module3.cell_high_warning"),
    ("Cell_12_Voltage", 4.19, 4.20, "module3.cell_high_dangerous"),
    ("Cell_7_Voltage", 2.81, 2.80, "module3.cell_low_warning"),
    ("Cell_1_Voltage", 2.71, 2.70, "module3.cell_low_dangerous"),
    ("CMA_Voltage", 47.99, 48.00, "module3.voltage_high_warning"),
    ("CMA_Voltage", 33.01, 33.00, "module3.voltage_low_dangerous"),
    ("CMA_Max_Temp", 39, 40, "module3.temperature_high_warning"),
    ("CMA_Max_Temp", 49, 50, "module3.temperature_high_dangerous"),
])
def test_it_warns_at_the_bound_and_not_before(pack, hub, signal, within, at, alarm):
    hub = hub()
    item = f"module3.{ITEMS[signal]}"
    level = 2 if alarm.endswith("dangerous") else 1
    pack.set(3, **{signal: within})
    wait_for("the value within", lambda: hub.value(item) == pytest.approx(within))
    time.sleep(1)  # ten answers to SYNC; two would be enough
    assert alarm not in hub.alarms()
    assert hub.value("module3.level") == level - 1
    pack.set(3, **{signal: at})
    wait_for(alarm, lambda: alarm in hub.alarms())
    assert hub.value("module3.level") == hub.value("pack.level") == level
    assert not {a for a in hub.alarms() if a.startswith(("module1.", "module2.", "module4."))}
    pack.set(3, **{signal: healthy(3)[signal]})
    wait_for("the level to end", lambda: hub.value("pack.level") == 0)


def test_a_silent_module_is_stale_and_the_pack_no_smaller(pack, hub):
    hub = hub()
    last = hub.value("module2.voltage")
    pack.silent.add(2)
    wait_for("stale", lambda: hub.value("module2.presence") == 2)
    assert "module2.stale" in hub.alarms()
    voltage = hub.readings("module2.voltage")["module2.voltage"]
    assert voltage["quality"] == "QUALITY_STALE" and "value" not in voltage
    assert voltage["last_good_value"]["number"] == pytest.approx(last)
    assert hub.value("pack.module_count") == MODULES
    assert hub.value("pack.voltage") is None  # the missing one may be the extreme
    assert hub.value("module1.voltage") is not None
    wait_for("danger", lambda: {"module2.stale_dangerous"} <= hub.alarms())
    assert hub.value("pack.data_level") == 2
    pack.silent.clear()
    wait_for("good again", lambda: hub.value("module2.presence") == 1 and hub.value("pack.level") == 0)
    assert hub.value("pack.voltage") is not None


def test_nothing_of_a_pack_that_is_not_there_is_good(pack, hub):
    hub = hub()
    pack.silent |= set(range(1, MODULES + 1))
    wait_for("all stale", lambda: "pack.all_stale" in hub.alarms())
    good = {name for name in hub.values("module*.*_voltage")} | set(hub.values("pack.*voltage*"))
    assert {name for name in good if not name.endswith("level")} == set()
    assert hub.value("pack.level") == 2


def test_frames_that_cannot_be_are_counted_and_change_nothing(pack, hub):
    hub = hub()
    before = hub.values("module4.cell*_voltage")
    with vcan() as bus:
        for data in (bytes(7), bytes(3), b""):
            bus.send(can.Message(arbitration_id=0x384, data=data, is_extended_id=False))
        for _ in range(3):
            bus.send(can.Message(arbitration_id=0x384, data=b"\xff" * 8, is_extended_id=True))
            bus.send(can.Message(arbitration_id=0x7FF, data=b"\xff" * 8, is_extended_id=False))
    wait_for("the count", lambda: hub.daemon.json("device", "bat0")["counters"]["bad_frames"].get("wrong_length") == "3")
    assert hub.values("module4.cell*_voltage") == before
    assert hub.alarms() == set()


# ---------------------------------------------------------------- canhub-sim plays it


@pytest.fixture
def simulated(sim):
    return sim(f"sim_modules={MODULES}", "sim_soc=60 %", "sim_current=20 A", driver="battery-module", address=None,
               identifier="bat0")


def decode_newest(bus, database, seconds):
    """By module and signal what came last."""
    newest = {}
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        frame = bus.recv(left)
        if frame is None or frame.is_extended_id:
            continue
        try:
            message = database.get_message_by_frame_id(frame.arbitration_id)
        except KeyError:
            continue
        if message.name.startswith("BMU") and message.name[6:] in [f"pdo{n}" for n in range(1, 7)]:
            assert len(frame.data) == message.length
            newest.setdefault(int(message.name[3:5]), {}).update(message.decode(bytes(frame.data), decode_choices=False))
    return newest


def poll(bus, seconds):
    """As a host does; what the modules answer."""
    database = cantools.database.load_file(DBC)
    bus.send(can.Message(arbitration_id=SYNC, data=b"\xff", is_extended_id=False))
    for module in range(1, 16):
        bus.send(can.Message(arbitration_id=REQUEST + module, data=SENSOR_REQUEST, is_extended_id=False))
    return decode_newest(bus, database, seconds)


def test_cantools_decodes_what_canhub_sim_plays(simulated):
    with vcan() as bus:
        modules = poll(bus, 2)
    assert sorted(modules) == list(range(1, MODULES + 1))
    for values in modules.values():
        cells = [values[f"Cell_{k}_Voltage"] for k in range(1, CELLS + 1)]
        assert all(3.0 < cell < 4.2 for cell in cells)
        assert values["CMA_Voltage"] == pytest.approx(sum(cells), abs=0.005 * CELLS + 0.01)
        assert values["Min_Cell_Voltage"] == pytest.approx(min(cells), abs=1e-9)
        assert values["Max_Cell_Voltage"] == pytest.approx(max(cells), abs=1e-9)
        assert values["CMA_Current"] == pytest.approx(-20, abs=0.1)  # 20 A of discharge: negative on the bus
        assert values["CMA_Min_Temp"] <= values["CMA_Temp1"] <= values["CMA_Max_Temp"]


def test_what_canhub_sim_is_told_cantools_reads(simulated):
    wanted = {name: value for name, value in healthy(2).items() if name in ITEMS}
    for signal, value in wanted.items():
        simulated.command("inject", "bat0", "force", "module=2", f"signal={signal}", f"value={value}")
    with vcan() as bus:
        read = poll(bus, 2)[2]
    assert {name: read[name] for name in wanted} == pytest.approx(wanted, rel=1e-9)


def test_canhubd_and_cantools_agree_on_what_canhub_sim_plays(simulated, hub):
    hub = hub()
    simulated.command("inject", "bat0", "freeze")
    database = cantools.database.load_file(DBC)
    with vcan() as bus:
        decode_newest(bus, database, 3)  # what was sent before the freeze is through
        modules = decode_newest(bus, database, 3)
    assert sorted(modules) == list(range(1, MODULES + 1))
    for module, values in modules.items():
        shown = hub.values(f"module{module}.*")
        wanted = as_shown(values)
        assert wanted.keys() == set(ITEMS.values())
        assert {name: shown[f"module{module}.{name}"] for name in wanted} == pytest.approx(wanted, rel=1e-12, abs=1e-12)


# ---------------------------------------------------------------- any device with a DBC

PUMP = f"""
listen: [127.0.0.1:0]
buses:
  can0: {{type: socketcan, interface: vcan0, bitrate: 250000}}
devices:
  pump0: {{driver: dbc, bus: can0, dbc: {ROOT}/config/pump.dbc, messages: PumpStatus, writable: PumpCommand, send: periodic}}
"""


def test_a_device_of_a_dbc_is_read_and_written(daemon):
    database = cantools.database.load_file(ROOT / "config/pump.dbc")
    status, command = database.get_message_by_name("PumpStatus"), database.get_message_by_name("PumpCommand")
    hub = daemon(PUMP)
    with vcan() as bus:
        playing = bus.send_periodic(can.Message(arbitration_id=status.frame_id, is_extended_id=False, data=status.encode(
            {"Speed": 1234.5, "Temperature": -12.3, "State": "running"})), 0.1)
        hub.wait_ready()
        shown = {r["name"]: r["value"] for r in hub.json("get", "pump0/PumpStatus.*")["readings"]}
        assert shown == {"pump0/PumpStatus.Speed": {"number": 1234.5}, "pump0/PumpStatus.Temperature": {"number": -12.3},
                         "pump0/PumpStatus.State": {"integer": "1"}}

        hub.ctl("set", "pump0/PumpCommand.SetSpeed", "1200.5", "pump0/PumpCommand.Enable", "1")
        received = []
        while len(received) < 5:
            frame = bus.recv(10)
            assert frame is not None, "nothing on the bus"
            if frame.arbitration_id == command.frame_id:
                received.append(frame)
        assert all(database.decode_message(f.arbitration_id, f.data) == {"SetSpeed": 1200.5, "Enable": 1} for f in received)
        # Sent again with its GenMsgCycleTime of 100 ms, by the daemon.
        gaps = [b.timestamp - a.timestamp for a, b in zip(received[1:], received[2:])]
        assert sum(gaps) / len(gaps) == pytest.approx(0.1, abs=0.05)

        playing.stop()
        wait_for("stale", lambda: hub.json("get", "pump0/PumpStatus.Speed")["readings"][0]["quality"] == "QUALITY_STALE")
