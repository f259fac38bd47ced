"""xcomcan from PyPI, the vendor's own client, on real SocketCAN: against canhub-sim alone, and with a
canhubd that polls the same plant on the same bus."""
import pytest
from xcomcan_cases import GatewayCases, HubCases, connected

CONFIG = """
listen: [127.0.0.1:0]
buses:
  can0: {type: socketcan, interface: vcan0, bitrate: 125000}
devices:
  xcom1: {driver: studer, bus: can0, unit: gateway}
  xt1: {driver: studer, bus: can0, unit: xtender}
  vt1: {driver: studer, bus: can0, unit: variotrack}
"""


@pytest.fixture
def plant(sim):
    return sim("unit=gateway", driver="studer", address=None, identifier="xcom1")


@pytest.fixture
def client(plant, monkeypatch):
    with connected(monkeypatch, interface="socketcan", channel="vcan0") as client:
        yield client


@pytest.fixture
def inject(plant):
    return lambda *fault: plant.command("inject", "xcom1", *fault)


@pytest.fixture
def clear(plant):
    return lambda fault: plant.command("clear", "xcom1", fault)


class TestAlone(GatewayCases):
    pass


class TestBesideCanhubd(GatewayCases, HubCases):
    @pytest.fixture(autouse=True)
    def hub(self, plant, daemon):
        hub = daemon(CONFIG)
        hub.wait_ready()
        return hub
