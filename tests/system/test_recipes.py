"""The grpcurl recipes of the README and the documents, executed as written."""
import pathlib
import re
import subprocess

import pytest

from processes import BIN, ROOT, Daemon, grpcurl_path

BLOCK = re.compile(r"<!-- recipe -->\s*(?:<!-- expect: (?P<expect>.*?) -->\s*)?```sh\n(?P<code>.*?)```", re.S)
# Each with the demo that it is written for.
DOCUMENTS = {
    "README.md": "config/demo.yaml",
    "docs/api-by-example.md": "config/demo.yaml",
    "docs/power-converters.md": "config/battery-test.yaml",
    "docs/interlocks.md": "config/battery-test.yaml",
    "docs/studer.md": "config/solar.yaml",
    "docs/batteries.md": "config/battery.yaml",
}


def recipes():
    for document, config in DOCUMENTS.items():
        for number, match in enumerate(BLOCK.finditer((ROOT / document).read_text()), 1):
            yield pytest.param(config, match["code"], match["expect"], id=f"{pathlib.Path(document).stem}-{number}")


def test_there_are_recipes():
    for document in DOCUMENTS:
        assert BLOCK.search((ROOT / document).read_text()), f"no recipe in {document}"


@pytest.fixture(scope="module")
def lab_of(tmp_path_factory):
    """The lab of a configuration, at the address that recipes are written for: the one that runs, if it is that."""
    grpcurl_path()
    running = {}

    def lab(config):
        if config not in running:
            for daemon in running.values():
                daemon.stop()
            running.clear()
            running[config] = Daemon(ROOT / config, tmp_path_factory.mktemp("state"), listen="127.0.0.1:50051")
            running[config].wait_ready()
        return running[config]

    yield lab
    for daemon in running.values():
        daemon.stop()


@pytest.mark.parametrize("config, code, expect", list(recipes()))
def test_recipe(lab_of, config, code, expect):
    lab = lab_of(config)
    path = f"{pathlib.Path(grpcurl_path()).parent}:{BIN}:/usr/local/bin:/usr/bin:/bin"
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", code], capture_output=True, text=True, timeout=90,
                          cwd=ROOT, env={"PATH": path, "HOME": "/nonexistent", "CANHUB_ADDRESS": lab.address})
    output = done.stdout + done.stderr
    if expect and expect.startswith("fails "):
        assert done.returncode != 0, output
        expect = expect.removeprefix("fails ")
    else:
        assert done.returncode == 0, output
    if expect:
        assert re.search(expect, output, re.S), f"expected {expect!r} in:\n{output}"

