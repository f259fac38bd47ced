"""What the vendor's own client, xcomcan from PyPI, must find at a simulated gateway, whatever carries the frames.
A test inherits the cases and has the fixtures `client` and `inject`, and for HubCases `hub`."""
import contextlib

import can
import pytest
from xcomcan.client import StuCanPublicClient
from xcomcan.node import MessageNotification, StuCanPublicError, error_identifier_dictionary

from processes import wait_for_in_lab as wait_for

XT1, XT2, XT9, VT1, BSP, ALL_XTENDERS = 101, 102, 109, 301, 601, 100
FLASH, MINIMUM, MAXIMUM, RAM = 0, 1, 2, 4
# The daemon is client 0.
OWN_ADDRESS = 1


@contextlib.contextmanager
def connected(monkeypatch, **interface):
    """The client on a line that python-can reaches."""
    # The client leaves the choice of the interface to the library's configuration.
    monkeypatch.setattr(can, "rc", interface)
    # One list for all clients there ever were.
    MessageNotification.messages.clear()
    with StuCanPublicClient(OWN_ADDRESS, 125000) as client:
        yield client


class GatewayCases:
    """Two Xtenders, a VarioTrack and a BSP, fresh for each test. inject("message", "unit=101") tells the simulator."""

    def test_it_reads_infos(self, client):
        assert client.read_user_info(XT1, 3021) == 230
        assert client.read_user_info(VT1, 11000) == pytest.approx(client.read_user_info(XT1, 3000), abs=0.5)
        assert 0 < client.read_user_info(BSP, 7002) <= 100

    def test_it_reads_all_four_parts(self, client):
        assert [client.read_parameter(XT1, 1286, part) for part in (FLASH, MINIMUM, MAXIMUM, RAM)] == [230, 110, 280, 230]

    def test_what_it_writes_to_ram_ends_with_a_restart(self, client, inject):
        assert client.write_parameter(XT1, 1286, RAM, 225.0) == 1286
        assert client.read_user_info(XT1, 3021) == 225
        assert client.read_parameter(XT1, 1286, FLASH) == 230
        # Reading RAM gives flash (Studer facts, section 3.1).
        assert client.read_parameter(XT1, 1286, RAM) == 230
        inject("restart", "unit=101")
        assert client.read_user_info(XT1, 3021) == 230

    def test_what_it_writes_to_flash_survives_a_restart(self, client, inject):
        assert client.write_parameter(XT1, 1286, FLASH, 220.0) == 1286
        inject("restart", "unit=101")
        assert client.read_parameter(XT1, 1286, FLASH) == 220
        assert client.read_user_info(XT1, 3021) == 220

    def test_a_write_to_the_group_reaches_every_unit(self, client):
        client.write_parameter(ALL_XTENDERS, 1286, RAM, 215.0)
        assert [client.read_user_info(unit, 3021) for unit in (XT1, XT2)] == [215, 215]

    @pytest.mark.parametrize("call, name", [
        (lambda c: c.read_user_info(XT1, 9999), "OBJECT_ID_NOT_FOUND"),
        (lambda c: c.read_user_info(XT1, 7002), "OBJECT_ID_NOT_FOUND"),
        (lambda c: c.read_parameter(VT1, 1286, FLASH), "OBJECT_ID_NOT_FOUND"),
        (lambda c: c.read_parameter(XT1, 1286, 3), "INVALID_SERVICE_ARGUMENT"),
        (lambda c: c.read_user_info(XT9, 3000), "DEVICE_NOT_FOUND"),
        (lambda c: c.write_parameter(XT1, 1286, MAXIMUM, 250.0), "PROPERTY_IS_READ_ONLY"),
        (lambda c: c.write_parameter(XT1, 1286, RAM, 300.0), "DATA_TOO_BIG"),
        (lambda c: c.write_parameter(XT1, 1286, RAM, 10.0), "DATA_TOO_SMALL"),
        (lambda c: c.read_user_info(ALL_XTENDERS, 3000), "MULTICAST_READ_NOT_SUPPORTED"),
    ])
    def test_it_understands_errors(self, client, call, name):
        with pytest.raises(StuCanPublicError) as error:
            call(client)
        assert name in str(error.value)

    def test_it_understands_every_error_code_that_it_knows(self, client, inject, clear):
        told = {}
        for code in error_identifier_dictionary:
            inject("error", f"code={code}", "unit=102")
            with pytest.raises(StuCanPublicError) as error:
                client.read_user_info(XT2, 3000)
            told[code] = error.value.identifier
            clear("error")
        assert told == error_identifier_dictionary

    def test_it_gets_messages(self, client, inject):
        inject("message", "message=16", "unit=101", "value=5")
        wait_for("the message", client.messages)
        source, message = client.messages()[-1]
        assert (source, message.message_id, message.value) == (XT1, 16, 5)


class HubCases:
    """The same line also carries what a canhubd asks and is answered; its xt1 is Xtender 1."""

    def test_it_writes_ram_and_canhub_sees_what_follows(self, client, hub):
        client.write_parameter(XT1, 1286, RAM, 225.0)
        wait_for("the voltage in canhub", lambda: hub.json("get", "xt1/output_voltage")["readings"][0]
                 .get("value", {}).get("number") == 225)

    def test_canhub_writes_and_it_sees_what_follows(self, client, hub):
        hub.ctl("--timeout", "30s", "studer", "set", "xt1", "1286", "220")
        assert client.read_user_info(XT1, 3021) == 220

    def test_both_get_a_message(self, client, hub, inject):
        inject("message", "message=16", "unit=101")
        wait_for("the message at the client", client.messages)
        wait_for("the message in canhub", lambda: "fan fault" in hub.ctl("studer", "messages", "xt1").stdout)

    def test_neither_takes_the_others_answers(self, client, hub):
        """Both ask at once, one info after the other, and each gets its own."""
        def polled():
            return hub.json("get", "xt1/battery_voltage")["readings"][0]["read_time"]

        before = polled()
        for _ in range(100):
            assert client.read_user_info(XT1, 3021) == 230
            assert client.read_parameter(XT1, 1286, MAXIMUM) == 280
        wait_for("a poll of canhub's", lambda: polled() != before)
        for device in ("xcom1", "xt1", "vt1"):
            found = hub.json("device", device)
            # An answer that comes when its question has timed out is late, nobody else's.
            unexpected = found["counters"]["bad_frames"].pop("unexpected_answer", 0)
            assert int(unexpected) <= int(found["counters"].get("timeouts", 0)), found
            assert found["counters"]["bad_frames"] == {}, found
