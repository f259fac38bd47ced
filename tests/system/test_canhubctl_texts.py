"""What canhubctl says when something was mistyped."""
import re

import pytest

from processes import ROOT, Daemon

PUMP = ROOT / "config/pump.dbc"
BROKEN = """
access: {default: engineer}
buses: {lab: {type: simulated, bitrate: 125000}}
devices:
  hv0: {driver: isg, bus: lab, address: 0}
  hv1: {driver: iseg, bus: lap, address: 1}
"""
TWO_LINES = re.compile(r"\]:\n  \S*lab\.yaml:5: .*\n  \S*lab\.yaml:6: [^\n]*\n$")


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    daemon = Daemon(ROOT / "config/demo.yaml", tmp_path_factory.mktemp("state"))
    daemon.wait_ready()
    yield daemon
    daemon.stop()


def error(daemon, *arguments):
    done = daemon.ctl(*arguments, check=False)
    assert done.returncode != 0, done.stdout
    return done.stderr


def test_each_error_of_a_configuration_has_its_line(start, tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(BROKEN.replace("isg", "iseg").replace("lap", "lab"))
    daemon = start(path)
    path.write_text(BROKEN)
    assert TWO_LINES.search(error(daemon, "reload", "--check"))
    assert TWO_LINES.search(error(daemon, "interlock", "test", path, tmp_path / "none.log"))


@pytest.mark.parametrize("command", [["get"], ["items"], ["set"]])
def test_a_pattern_that_matches_nothing_is_named(demo, command):
    value = ["1"] if command == ["set"] else []
    said = error(demo, *command, "hv0/zzz*", *value)
    assert "no item matches hv0/zzz* (canhubctl items hv0 lists what there is)" in said
    assert "no item matches hv9/* (the devices are bat0, crate0, hv0, " in error(demo, *command, "hv9/*", *value)


def test_a_watch_of_nothing_says_so(demo):
    done = demo.ctl("watch", "hv0/zzz*", "hv9/*", "--duration", "1s")
    assert done.stderr.startswith("canhubctl: no item matches hv0/zzz* (canhubctl items hv0 lists what there is) "
                                  "or hv9/* (the devices are bat0, crate0, hv0, ")
    assert done.stderr.endswith("; waiting for one\n")
    assert done.stdout == ""
    assert demo.ctl("watch", "hv0/ch0.voltage_measure", "hv9/*", "--duration", "1s").stderr == ""


def test_what_a_simulated_device_can_have_is_listed(demo):
    assert re.search(r"expected one of silence, .*\btrip\b", error(demo, "sim", "inject", "hv0", "trp", "channel=3"))
    assert re.search(r"expected .*\bchannel\b", error(demo, "sim", "inject", "hv0", "trip", "chanel=3"))


def test_a_decimal_comma_is_named(demo):
    assert "a point as decimal sign" in error(demo, "set", "hv0/ch3.voltage_set", "1,5")


def test_the_signals_of_a_message_are_listed(demo):
    said = error(demo, "dbc", "encode", PUMP, "PumpCommand", "SetSped=1200")
    assert "expected SIGNAL=NUMBER, SIGNAL one of SetSpeed, Enable" in said
