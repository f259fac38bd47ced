"""What canhubctl says when something was mistyped."""
import re

BROKEN = """
access: {default: engineer}
buses: {lab: {type: simulated, bitrate: 125000}}
devices:
  hv0: {driver: isg, bus: lab, address: 0}
  hv1: {driver: iseg, bus: lap, address: 1}
"""
TWO_LINES = re.compile(r"\]:\n  \S*lab\.yaml:5: .*\n  \S*lab\.yaml:6: [^\n]*\n$")


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
