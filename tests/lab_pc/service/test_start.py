"""Ready, status, the user and the sandbox."""
import pathlib
import re
import subprocess
import time

from unit import UNIT, UNIT_FILE, main_pid, prop, properties
from processes import wait_for_in_lab as wait_for

ONE_MISSING = """
ready_timeout: 8 s
buses:
  can0: {type: socketcan, interface: can0, bitrate: 125000}
devices:
  hv0: {driver: iseg, bus: can0, address: 2}
  hv1: {driver: iseg, bus: can0, address: 3}
"""


def seconds_to_ready():
    times = properties("ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic")
    return (int(times["ActiveEnterTimestampMonotonic"]) - int(times["ExecMainStartTimestampMonotonic"])) / 1e6


def status_of_process(name):
    return re.search(rf"^{name}:\s*(.*)$", pathlib.Path(f"/proc/{main_pid()}/status").read_text(), re.M)[1]


def inside(command, user="root"):
    """A command in what the daemon sees of the file system."""
    return subprocess.run(["nsenter", "--target", str(main_pid()), "--mount", "setpriv", "--reuid", user, "--regid", user,
                           "--clear-groups", "sh", "-c", command], capture_output=True, text=True, check=False)


def test_it_is_active_when_every_device_has_been_polled(lab):
    lab().start()
    assert prop("ActiveState") == "active"
    # A device whose first poll is under way would be named.
    assert prop("StatusText") == "2 of 2 devices online"
    assert seconds_to_ready() < 60, "not by the time-out"


def test_while_a_device_is_missing_it_serves_and_is_not_active(service, cable, sim):
    cable("can0", "line0")
    sim("sim_channels=4", interface="line0")
    service.configure(ONE_MISSING)
    service.start(wait=False)
    service.wait_serving()
    assert prop("ActiveState") == "activating"
    assert re.fullmatch(r"starting: [01] of 2 devices polled; .*hv1: searching, looking for a device at address 3",
                        prop("StatusText"))


def test_after_the_ready_timeout_it_is_active_and_names_who_is_missing(service, cable, sim):
    cable("can0", "line0")
    sim("sim_channels=4", interface="line0")
    service.configure(ONE_MISSING)
    service.start()
    assert prop("ActiveState") == "active"
    assert prop("StatusText") == "1 of 2 devices online; hv1: searching, looking for a device at address 3"
    assert 8 <= seconds_to_ready() < 11


def test_the_start_may_take_longer_than_the_units_own_time(service, cable):
    """TimeoutStartSec= is extended as long as everything turns."""
    cable("can0", "line0")
    service.configure(ONE_MISSING.replace("8 s", "20 s"))
    drop_in = pathlib.Path(f"/run/systemd/system/{UNIT}.d/short.conf")
    drop_in.parent.mkdir(parents=True)
    drop_in.write_text("[Service]\nTimeoutStartSec=10s\n")
    try:
        subprocess.run(["systemctl", "daemon-reload"], check=True)
        service.start()
        assert prop("ActiveState") == "active"
        assert seconds_to_ready() >= 20
    finally:
        drop_in.unlink()
        drop_in.parent.rmdir()
        subprocess.run(["systemctl", "daemon-reload"], check=True)


def test_the_status_follows_a_device_that_goes_silent_and_comes_back(lab, sim):
    service = lab()
    service.start()
    subprocess.run(["ip", "link", "set", "line0", "down"], check=True)
    wait_for("the status", lambda: prop("StatusText").startswith("0 of 2 devices online; hv0: "))
    subprocess.run(["ip", "link", "set", "line0", "up"], check=True)
    wait_for("the status", lambda: prop("StatusText") == "2 of 2 devices online")


def test_it_runs_as_its_own_user_without_any_right(lab):
    lab().start()
    user = subprocess.run(["id", "-u", "canhub"], check=True, capture_output=True, text=True).stdout.strip()
    assert status_of_process("Uid").split() == [user] * 4
    assert {status_of_process(name) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status_of_process("NoNewPrivs") == "1"
    assert status_of_process("Seccomp") == "2"


def test_it_can_write_its_state_and_its_socket_folder_only(lab):
    lab().start()
    for folder in ("/var/lib/canhub", "/run/canhub", "/tmp"):
        done = inside(f"touch {folder}/here && rm {folder}/here", "canhub")
        assert done.returncode == 0, (folder, done.stderr)
    for folder in ("/", "/etc", "/etc/canhub", "/usr/bin", "/var/lib"):
        done = inside(f"touch {folder}/here")
        assert "Read-only file system" in done.stderr, (folder, done.stdout, done.stderr)
    for folder in ("/run", "/dev/shm", "/var/tmp/.."):
        done = inside(f"touch {folder}/here", "canhub")
        assert "Permission denied" in done.stderr or "Read-only" in done.stderr, (folder, done.stdout, done.stderr)


def test_it_sees_no_home_no_devices_no_foreign_temporary_files(lab, tmp_path):
    assert list(tmp_path.parent.iterdir())
    lab().start()
    assert inside("ls -A /root /home").stdout.split() in ([], ["/root:", "/home:"], ["/home:", "/root:"])
    assert not inside("ls -A /tmp").stdout
    assert inside("ls /dev/mem /dev/kmsg").returncode != 0


def test_its_files_are_for_itself_and_its_socket_is_for_its_group(lab):
    service = lab()
    service.start()
    service.wait_serving()
    modes = {path: oct(pathlib.Path(path).stat().st_mode & 0o777)
             for path in ("/var/lib/canhub", "/var/lib/canhub/state.db", "/run/canhub", "/run/canhub/canhub.sock")}
    assert list(modes.values()) == ["0o700", "0o600", "0o750", "0o660"], modes
    assert pathlib.Path("/run/canhub/canhub.sock").group() == "canhub"


def test_real_time_priority_is_permitted_by_the_unit(lab):
    service = lab()
    service.configure("realtime: {priority: 50, lock_memory: true}\n" + pathlib.Path("/etc/canhub/canhub.yaml").read_text())
    service.start()
    threads = subprocess.run(["ps", "-L", "-o", "cls=,rtprio=,comm=", "-p", str(main_pid())], check=True,
                             capture_output=True, text=True).stdout
    for name in ("hv0", "hv1", "can0", "leases"):
        assert re.search(rf"^\s*FF\s+50 {name}$", threads, re.M), threads
    assert int(status_of_process("VmLck").split()[0]) > 0


def test_a_wrong_configuration_is_not_tried_again(service):
    service.configure("buses: {}\n")
    assert subprocess.run(["systemctl", "start", UNIT], check=False).returncode != 0
    time.sleep(2)
    assert properties("ActiveState", "NRestarts", "ExecMainStatus") == {
        "ActiveState": "failed", "NRestarts": "0", "ExecMainStatus": "3"}


def test_the_unit_is_well_formed():
    done = subprocess.run(["systemd-analyze", "verify", str(UNIT_FILE)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_its_exposure_stays_low(record_property):
    """systemd's own measure, 0 to 10. What is left is the network that it serves, CAN among it."""
    done = subprocess.run(["systemd-analyze", "security", "--no-pager", "--threshold=17", UNIT],
                          capture_output=True, text=True, check=False)
    record_property("exposure", done.stdout.splitlines()[-1])
    assert done.returncode == 0, done.stdout
