"""Makes the Python modules of canhub.v1 out of proto/ when it is imported; nothing generated is kept."""
import pathlib
import sys
import tempfile

from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"


def generate_stubs():
    """Python modules for all of canhub.v1, in a temporary folder on the import path."""
    folder = tempfile.TemporaryDirectory(prefix="canhub-stubs-")
    files = [str(p.relative_to(PROTO)) for p in [*PROTO.glob("canhub/v1/*.proto"), *PROTO.glob("google/rpc/*.proto")]]
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    if protoc.main(["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={folder.name}",
                    f"--grpc_python_out={folder.name}", *files]) != 0:
        sys.exit("the stubs could not be generated from " + str(PROTO))
    sys.path.insert(0, folder.name)
    return folder  # the folder lives as long as this object


_folder = generate_stubs()
