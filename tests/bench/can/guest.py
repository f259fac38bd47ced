"""Runs inside the lab PC: the cases of a plan, one JSON record each in $RESULTS/records.jsonl.

Nothing is judged here and no CPU time is measured: in-guest accounting is by ticks. The host
samples the machine's own CPU time (run) and cuts it by the begin and end that stand here.
"""
import glob
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import time

RESULTS = pathlib.Path(os.environ["RESULTS"])
PLAN = json.loads((RESULTS / "plan.json").read_text())
BIN = pathlib.Path(PLAN["bin"])
SOCKET = "/run/hub.sock"
MODULES = glob.glob("/usr/lib/uml/modules/*/kernel")[0]
# As in syscount.cc.
CALLS = ["recvmmsg", "recvmsg", "recv", "ppoll", "poll", "epoll_wait", "read", "write", "pread", "send", "sendmsg",
         "getsockopt", "setsockopt", "clock_gettime", "nanosleep", "futex", "other", "epoll_ctl"]
SLOT_WORDS = 32
SLOTS = 512


def run(*command):
    subprocess.run(command, check=True)


def load_modules():
    run("rmmod", "vcan")
    # A burst on 16 lines is more than the 1000 packets that wait between interface and sockets.
    pathlib.Path("/proc/sys/net/core/netdev_max_backlog").write_text("20000")
    # echo=1: frames pass the shaper, and every one comes back to its sender's interface.
    run("insmod", f"{MODULES}/drivers/net/can/vcan.ko", "echo=1")
    loaded = {line.split()[0] for line in pathlib.Path("/proc/modules").read_text().splitlines()}
    for module in {"sch_tbf", "sch_prio"} - loaded:
        run("insmod", f"{MODULES}/net/sched/{module}.ko")


def make_lines(count, bitrate, shaped):
    """vc0 … as slow as a line of `bitrate` with frames of 8 bytes: 16 bytes stand for a frame.

    In front of the line, as arbitration would have it, canhubd's frames go before the module's
    answers and those before what fills the line; nothing overtakes the frame under way."""
    links, queues = [], []
    for old in glob.glob("/sys/class/net/vc*"):
        if not old.endswith("vcan0"):
            links.append(f"link del {os.path.basename(old)}")
    for i in range(count):
        links += [f"link add dev vc{i} type vcan", f"link set vc{i} txqueuelen 512", f"link set vc{i} up"]
        if shaped:
            queues += [f"qdisc add dev vc{i} root handle 1: tbf rate {144 * bitrate // 125000}kbit burst 32b limit 160b",
                       f"qdisc add dev vc{i} parent 1:1 handle 2: prio bands 3 priomap " + " ".join("0122222222222222")]
    for tool, lines in (("ip", links), ("tc", queues)):
        if lines:
            subprocess.run([tool, "-batch", "-"], input="\n".join(lines), text=True, check=True)
    return [f"vc{i}" for i in range(count)]


class Generator:
    def __init__(self, lines, *options):
        self.popen = subprocess.Popen([BIN / "canhub-cangen", *lines, *options], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True, bufsize=1)

    def start(self, command):
        self.popen.stdin.write(command + "\n")

    def wait(self):
        return json.loads(self.popen.stdout.readline())

    def do(self, command):
        self.start(command)
        return self.wait()

    def end(self):
        self.popen.stdin.close()
        totals = self.wait()
        self.popen.wait()
        return totals


class Hub:
    """canhubd with one device per line: an iseg module, or a pack of 15 battery modules."""

    def __init__(self, lines, bitrate, counted=False, realtime=0, battery=False):
        config = [f"listen: [unix:{SOCKET}]", f"realtime: {{priority: {realtime}}}", "buses:"]
        for line in lines:
            config.append(f"  b{line[2:]}: {{type: socketcan, interface: {line}, bitrate: {bitrate}, max_load: 80 %}}")
        config.append("devices:")
        for line in lines:
            if battery:
                config.append(f"  d{line[2:]}: {{driver: battery-module, bus: b{line[2:]}, expected_modules: 15}}")
                continue
            # One request for all 48 channels, as often as the share allows.
            config.append(f"  d{line[2:]}: {{driver: iseg, bus: b{line[2:]}, address: 2, short_form: true, poll: 10 ms, "
                          "slow_poll: 30 s, verify_poll: 300 s}")
        pathlib.Path("/tmp/lab.yaml").write_text("\n".join(config) + "\n")
        run("rm", "-rf", "/tmp/state")
        os.mkdir("/tmp/state")
        environment = dict(os.environ)
        self.table = "/tmp/syscount"
        if counted:
            pathlib.Path(self.table).unlink(missing_ok=True)
            environment |= {"LD_PRELOAD": str(BIN / "canhub-syscount.so"), "SYSCOUNT_FILE": self.table}
        self.log = open("/tmp/hub.log", "w")
        self.popen = subprocess.Popen([BIN / "canhubd", "--config", "/tmp/lab.yaml", "--state-dir", "/tmp/state"],
                                      env=environment, stdout=self.log, stderr=subprocess.STDOUT)
        self.lines = lines

    def ctl(self, *arguments):
        done = subprocess.run([BIN / "canhubctl", "--address", SOCKET, *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"canhubctl {arguments}: {done.stdout}{done.stderr}\n"
                               + pathlib.Path("/tmp/hub.log").read_text()[-4000:])
        return done.stdout

    def wait_ready(self):
        end = time.monotonic() + 60
        while not os.path.exists(SOCKET) and time.monotonic() < end:
            time.sleep(0.1)
        self.ctl("wait-ready", "--timeout", "80s")

    def counters(self):
        buses = json.loads(self.ctl("--json", "bus"))["buses"]
        devices = [json.loads(self.ctl("--json", "device", f"d{line[2:]}"))["counters"] for line in self.lines]
        total = {name: sum(int(bus.get(name, 0)) for bus in buses)
                 for name in ("frames_received", "frames_sent", "receive_drops", "error_frames")}
        for name in ("mailbox_overflows", "timeouts"):
            total[name] = sum(int(device.get(name, 0)) for device in devices)
        total["refused_by_driver"] = sum(int(n) for device in devices for n in device.get("bad_frames", {}).values())
        return total

    def calls(self):
        """Per thread: name and counters."""
        data = pathlib.Path(self.table).read_bytes()
        threads = {}
        for slot in range(SLOTS):
            words = struct.unpack_from(f"={SLOT_WORDS}Q", data, slot * SLOT_WORDS * 8)
            if words[0] == 0:
                continue
            try:
                name = pathlib.Path(f"/proc/{self.popen.pid}/task/{words[0]}/comm").read_text().strip()
            except OSError:
                continue
            threads[words[0]] = {"name": name, "calls": dict(zip(CALLS, words[1:])), "frames": words[1 + len(CALLS)]}
        return threads

    def stop(self):
        self.popen.send_signal(signal.SIGTERM)
        self.popen.wait(60)
        self.log.close()


def backlog_drops():
    """Packets that the kernel threw away before any socket saw them, since the machine started."""
    return sum(int(line.split()[1], 16) for line in pathlib.Path("/proc/net/softnet_stat").read_text().splitlines())


def difference(before, after):
    result = []
    for thread, now in after.items():
        then = before.get(thread, {"calls": {}, "frames": 0})
        calls = {name: n - then["calls"].get(name, 0) for name, n in now["calls"].items()}
        result.append({"name": now["name"], "calls": {name: n for name, n in calls.items() if n},
                       "frames": now["frames"] - then["frames"]})
    return result


def traffic(case):
    if case.get("burst"):
        return f"burst {case['burst']} {case['seconds']}"
    return f"{case.get('traffic', 'flood')} {case['seconds']}"


def run_generator(case, lines):
    generator = Generator(lines)
    window = generator.do(traffic(case))
    generator.end()
    return {"window": window}


def run_candump(case, lines):
    generator = Generator(lines)
    with open("/dev/null", "w") as null:
        candump = subprocess.Popen(["candump", *lines], stdout=null)
        time.sleep(0.5)  # until it listens; it says nothing when it does
        window = generator.do(traffic(case))
        candump.terminate()
        candump.wait()
    generator.end()
    return {"window": window}


def run_reader(case, lines):
    generator = Generator(lines)
    reader = subprocess.Popen([BIN / "canhub-canread", *lines], stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    window = generator.do(traffic(case))
    generator.end()
    time.sleep(0.3)
    reader.terminate()
    counted = json.loads(reader.communicate()[0])
    return {"window": window, "reader": counted}


def run_hub(case, lines):
    battery = case.get("battery", False)
    generator = Generator(lines, *["--battery"] * battery)
    hub = Hub(lines, case["bitrate"], counted=case.get("counted", False), battery=battery)
    record = {"windows": []}
    try:
        if not battery:  # its modules do not send yet
            hub.wait_ready()
        time.sleep(0.5)
        for _ in range(case.get("windows", 1)):
            before = hub.calls() if case.get("counted") else {}
            counters = hub.counters() if case.get("counters") else {}
            window = generator.do(traffic(case))
            if case.get("counted"):
                window["threads"] = difference(before, hub.calls())
            if case.get("counters"):
                after = hub.counters()
                window["counters"] = {name: after[name] - counters[name] for name in after}
            record["windows"].append(window)
        generator.do("quiet 0.3")
        totals = generator.end()
        time.sleep(0.3)  # what is still on the line
        record |= {"totals": totals, "counters": hub.counters(), "backlog_drops": backlog_drops()}
    finally:
        hub.stop()
    return record


def run_urgent(case, lines):
    generator = Generator(lines)
    hub = Hub(lines, case["bitrate"], realtime=case.get("realtime", 0))
    record = {"windows": []}
    try:
        hub.wait_ready()
        for _ in range(case["windows"]):
            seconds = case["calls"] * 0.042 + 6
            generator.start(f"{case['traffic']} {seconds}")
            done = subprocess.run([BIN / "canhub-canset", SOCKET, lines[0], "d0", "--calls", str(case["calls"])],
                                  stdout=subprocess.PIPE, text=True, check=True)
            window = generator.wait()
            window["sets"] = json.loads(done.stdout)
            record["windows"].append(window)
        generator.end()
    finally:
        hub.stop()
    return record


KINDS = {"generator": run_generator, "candump": run_candump, "reader": run_reader, "hub": run_hub,
         "urgent": run_urgent}


def main():
    load_modules()
    made = None
    with (RESULTS / "records.jsonl").open("w") as out:
        for case in PLAN["cases"]:
            wanted = (case["lines"], case["bitrate"], case.get("shaped", True))
            if wanted != made:
                lines = make_lines(*wanted)
                made = wanted
            begin = time.time()
            try:
                record = KINDS[case["kind"]](case, lines)
            except Exception as error:  # the other cases are worth having
                record = {"error": f"{type(error).__name__}: {error}"}
            record |= {"case": case, "begin": begin, "end": time.time()}
            out.write(json.dumps(record) + "\n")
            out.flush()
            print(case["kind"], case["lines"], case["bitrate"], record.get("error", "ok"), flush=True)


if __name__ == "__main__":
    sys.exit(main())
