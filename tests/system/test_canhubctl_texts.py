"""What canhubctl says when something was mistyped."""
import re

import pytest

from processes import ROOT, Daemon

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
