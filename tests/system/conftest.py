"""The real binaries, real clients, loopback only."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "harness"))
pytest.register_assert_rewrite("xcomcan_cases")
from processes import Daemon  # noqa: E402


def simulated_config(folder, text):
    path = pathlib.Path(folder) / "lab.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def start(tmp_path):
    """start(config_text or path) → a running Daemon; all are stopped at the end."""
    running = []

    def run(config, **kwargs):
        path = config if isinstance(config, pathlib.Path) else simulated_config(tmp_path, config)
        daemon = Daemon(path, kwargs.pop("state", tmp_path / "state"), **kwargs)
        running.append(daemon)
        return daemon

    yield run
    for daemon in running:
        if daemon.popen.poll() is None:
            daemon.stop()
