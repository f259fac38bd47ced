"""The grpcurl recipes of the README and the documents, executed as written."""
import pathlib
import re
import subprocess

import pytest

from processes import BIN, ROOT, Daemon, grpcurl_path

BLOCK = re.compile(r"<!-- recipe -->\s*(?:<!-- expect: (?P<expect>.*?) -->\s*)?```sh\n(?P<code>.*?)```", re.S)
DOCUMENTS = ["README.md", "docs/api-by-example.md"]


def recipes():
    for document in DOCUMENTS:
        for number, match in enumerate(BLOCK.finditer((ROOT / document).read_text()), 1):
            yield pytest.param(match["code"], match["expect"], id=f"{pathlib.Path(document).stem}-{number}")


def test_there_are_recipes():
    for document in DOCUMENTS:
        assert BLOCK.search((ROOT / document).read_text()), f"no recipe in {document}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """One demo lab for all recipes, at the address that they are written for."""
    grpcurl_path()
    daemon = Daemon(ROOT / "config/demo.yaml", tmp_path_factory.mktemp("state"), listen="127.0.0.1:50051")
    daemon.wait_ready()
    yield daemon
    daemon.stop()


@pytest.mark.parametrize("code, expect", list(recipes()))
def test_recipe(lab, code, expect):
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

