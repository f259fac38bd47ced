"""The vendor's own client, xcomcan from PyPI, against the simulated gateway of a canhubd that polls the
same plant: over socketcand, so that it needs no CAN in the kernel."""
import can
import pytest
from xcomcan.client import StuCanPublicClient
from xcomcan.node import StuCanPublicError

from processes import wait_for

PLANT = """
listen: [127.0.0.1:0]
buses:
  solar: {type: simulated, bitrate: 125000, serve: 127.0.0.1:0}
devices:
  xcom1: {driver: studer, bus: solar, unit: gateway, simulate: true}
  xt1: {driver: studer, bus: solar, unit: xtender}
  vt1: {driver: studer, bus: solar, unit: variotrack}
"""
XT1, XT9, VT1, ALL_XTENDERS = 101, 109, 301, 100
FLASH, MINIMUM, MAXIMUM, RAM = 0, 1, 2, 4
# The daemon is client 0.
OWN_ADDRESS = 1


@pytest.fixture
def lab(start):
    daemon = start(PLANT)
    daemon.wait_ready()
    return daemon


@pytest.fixture
def client(lab, monkeypatch):
    port = int(lab.wait_for_line(r"serv\w+ .*127\.0\.0\.1:(\d+)").group(1))
    # The client leaves the choice of the interface to the library's configuration.
    monkeypatch.setattr(can, "rc", {"interface": "socketcand", "channel": "solar", "host": "127.0.0.1", "port": port})
    with StuCanPublicClient(OWN_ADDRESS, 125000) as client:
        yield client


def test_it_reads_infos(client):
    assert client.read_user_info(XT1, 3021) == 230
    assert client.read_user_info(VT1, 11000) == pytest.approx(client.read_user_info(XT1, 3000), abs=0.5)


def test_it_reads_all_four_parts(client):
    assert [client.read_parameter(XT1, 1286, part) for part in (FLASH, MINIMUM, MAXIMUM, RAM)] == [230, 110, 280, 230]


def test_it_writes_ram_and_canhub_sees_what_follows(client, lab):
    client.write_parameter(XT1, 1286, RAM, 225.0)
    assert client.read_parameter(XT1, 1286, FLASH) == 230
    assert client.read_user_info(XT1, 3021) == 225
    wait_for("the voltage in canhub", lambda: lab.json("get", "xt1/output_voltage")["readings"][0]
             .get("value", {}).get("number") == 225, 20)


def test_canhub_writes_and_it_sees_what_follows(client, lab):
    lab.ctl("studer", "set", "xt1", "1286", "220")
    assert client.read_user_info(XT1, 3021) == 220


@pytest.mark.parametrize("call, name", [
    (lambda c: c.read_user_info(XT1, 9999), "OBJECT_ID_NOT_FOUND"),
    (lambda c: c.read_user_info(XT9, 3000), "DEVICE_NOT_FOUND"),
    (lambda c: c.write_parameter(XT1, 1286, RAM, 300.0), "DATA_TOO_BIG"),
    (lambda c: c.write_parameter(XT1, 1286, RAM, 10.0), "DATA_TOO_SMALL"),
    (lambda c: c.read_user_info(ALL_XTENDERS, 3000), "MULTICAST_READ_NOT_SUPPORTED"),
])
def test_it_understands_errors(client, call, name):
    with pytest.raises(StuCanPublicError) as error:
        call(client)
    assert name in str(error.value)


def test_it_gets_messages(client, lab):
    lab.ctl("sim", "inject", "xcom1", "message", "message=16", "unit=101")
    wait_for("the message", lambda: client.messages(), 10)
    source, message = client.messages()[-1]
    assert (source, message.message_id, message.value) == (XT1, 16, 0)
