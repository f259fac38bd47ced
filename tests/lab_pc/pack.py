"""A pack of battery modules on vcan0, as python-can and cantools from PyPI make it by the project's DBC."""
import threading

import can
import cantools

from processes import ROOT

MODULES = 4
CELLS = 12
DBC = ROOT / "drivers/battery-module/battery-module.dbc"
SYNC, REQUEST, ANSWER = 0x080, 0x600, 0x580
SENSOR_REQUEST = bytes.fromhex("2F05180100000000")  # battery facts, section 4.4


def vcan():
    return can.Bus(interface="socketcan", channel="vcan0")


def healthy(module):
    """Physical values by signal: those of modules that nothing is wrong with, and no two alike."""
    cells = [round(3.50 + 0.01 * k + 0.02 * module, 2) for k in range(1, CELLS + 1)]
    return {"CMA_Current": round(-12.3 - module, 1), "CMA_Voltage": round(sum(cells), 2),
            "Min_Cell_Voltage": min(cells), "Max_Cell_Voltage": max(cells), "CMA_Min_Temp": 18 + module,
            "CMA_Max_Temp": 22 + module, "CMA_Status": 3, "SOC": 50.5 + module, "SOH": 90 + module,
            "CellBalancingStatus": 1 << module, "Charge_Ah_from_BMU": 4_000_000_000 + module,
            "Discharge_Ah_from_BMU": 3_000_000 + module,
            **{f"Cell_{k}_Voltage": volt for k, volt in enumerate(cells, 1)},
            "Cell_13_Voltage": 2.2, "Cell_14_Voltage": 2.2, **{f"CMA_Temp{k}": 15 + k + module for k in range(1, 8)}}


class Pack(threading.Thread):
    """Modules 1 … MODULES as python-can and cantools make them: they answer SYNC and the request for sensors."""

    def __init__(self):
        super().__init__(daemon=True)
        self._database = cantools.database.load_file(DBC)
        self._bus = vcan()
        self._running = True
        self._values = {}
        self._frames = {}
        self.silent = set()
        for module in range(1, MODULES + 1):
            self.set(module, **healthy(module))

    def set(self, module, **values):
        known = self._values.setdefault(module, {})
        known.update(values)
        frames = []
        for pdo in range(1, 7):
            message = self._database.get_message_by_name(f"BMU{module:02}_pdo{pdo}")
            data = message.encode({signal.name: known[signal.name] for signal in message.signals})
            frames.append(can.Message(arbitration_id=message.frame_id, data=data, is_extended_id=False))
        self._frames[module] = frames

    def values(self, module):
        return dict(self._values[module])

    def run(self):
        while self._running:
            frame = self._bus.recv(0.1)
            if frame is None or frame.is_extended_id:
                continue
            for module in range(1, MODULES + 1):
                if module in self.silent:
                    continue
                if frame.arbitration_id == SYNC:
                    for answer in self._frames[module][:5]:
                        self._bus.send(answer)
                elif frame.arbitration_id == REQUEST + module and bytes(frame.data) == SENSOR_REQUEST:
                    self._bus.send(can.Message(arbitration_id=ANSWER + module, data=bytes.fromhex("6005180100000000"),
                                               is_extended_id=False))
                    self._bus.send(self._frames[module][5])

    def stop(self):
        self._running = False
        self.join()
        self._bus.shutdown()
