"""The vendor's own client, xcomcan from PyPI, against the simulated gateway of a canhubd that polls the
same plant: over socketcand, so that it needs no CAN in the kernel."""
import pytest
from xcomcan_cases import GatewayCases, HubCases, connected

PLANT = """
listen: [127.0.0.1:0]
buses:
  solar: {type: simulated, bitrate: 125000, serve: 127.0.0.1:0}
devices:
  xcom1: {driver: studer, bus: solar, unit: gateway, simulate: true}
  xt1: {driver: studer, bus: solar, unit: xtender}
  vt1: {driver: studer, bus: solar, unit: variotrack}
"""


@pytest.fixture
def hub(start):
    daemon = start(PLANT)
    daemon.wait_ready()
    return daemon


@pytest.fixture
def client(hub, monkeypatch):
    port = int(hub.wait_for_line(r"serv\w+ .*127\.0\.0\.1:(\d+)").group(1))
    with connected(monkeypatch, interface="socketcand", channel="solar", host="127.0.0.1", port=port) as client:
        yield client


@pytest.fixture
def inject(hub):
    return lambda *fault: hub.ctl("sim", "inject", "xcom1", *fault)


@pytest.fixture
def clear(hub):
    return lambda fault: hub.ctl("sim", "clear", "xcom1", fault)


class TestOverSocketcand(GatewayCases, HubCases):
    pass
