"""Child processes for the system and lab PC tests: the real binaries, loopback only.

CANHUB_BIN names the folder of the binaries; the default is the dev preset's.
"""
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("CANHUB_BIN", ROOT / "build/dev/bin"))


def wait_for(what, condition, seconds=20.0, period=0.05):
    """Polls until the condition is true; fails naming what was awaited."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(period)


def wait_for_in_lab(what, condition):
    """The lab PC has one slow CPU."""
    return wait_for(what, condition, seconds=60.0, period=0.2)


class Process:
    """A child whose output is collected line by line."""

    def __init__(self, arguments, name, **kwargs):
        self.name = name
        self.lines = []
        self._new = queue.Queue()
        self.popen = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, bufsize=1, **kwargs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.popen.stdout:
            self.lines.append(line.rstrip("\n"))
            self._new.put(None)
        self._new.put(None)

    def output(self):
        return "\n".join(self.lines)

    def wait_for_line(self, pattern, seconds=20.0):
        expression = re.compile(pattern)
        end = time.monotonic() + seconds
        seen = 0
        while True:
            while seen < len(self.lines):
                if match := expression.search(self.lines[seen]):
                    return match
                seen += 1
            if self.popen.poll() is not None and seen >= len(self.lines) and not self._reader.is_alive():
                raise AssertionError(f"{self.name} ended ({self.popen.returncode}) before {pattern!r}:\n{self.output()}")
            if time.monotonic() > end:
                raise AssertionError(f"{self.name} did not print {pattern!r}:\n{self.output()}")
            try:
                self._new.get(timeout=0.2)
            except queue.Empty:
                pass

    def stop(self, signal_number=signal.SIGTERM, seconds=20.0):
        if self.popen.poll() is None:
            self.popen.send_signal(signal_number)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.name} did not end within {seconds} s:\n{self.output()}")
        self._reader.join(5)
        return self.popen.returncode


class Client:
    """canhubctl, for a daemon at self.address."""

    def ctl(self, *arguments, check=True, timeout=60, env=None):
        """canhubctl's exit status and output; JSON output is parsed."""
        done = subprocess.run([str(BIN / "canhubctl"), "--address", self.address, *map(str, arguments)],
                              capture_output=True, text=True, timeout=timeout,
                              env={**os.environ, **(env or {})})
        if check:
            assert done.returncode == 0, f"canhubctl {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    def json(self, *arguments, **kwargs):
        return json.loads(self.ctl("--json", *arguments, **kwargs).stdout)

    def wait_ready(self):
        return self.ctl("wait-ready", "--timeout", "30s")


class Daemon(Process, Client):
    """canhubd on a port of its own choosing."""

    def __init__(self, config, state, listen="127.0.0.1:0", extra=(), **kwargs):
        self.state = pathlib.Path(state)
        self.state.mkdir(parents=True, exist_ok=True)
        super().__init__([BIN / "canhubd", "--config", config, "--state-dir", self.state, "--listen", listen, *extra],
                         "canhubd", **kwargs)
        self.address = self.wait_for_line(r"^listening on (.*)$").group(1)


def grpcurl_path():
    found = shutil.which("grpcurl") or ROOT / "build/tools/bin/grpcurl"
    if not pathlib.Path(found).exists():
        pytest.skip("grpcurl is not installed: Go could not install it (scripts/setup test says why)")
    return str(found)
