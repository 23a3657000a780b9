"""mpi4py and lava in one job, with both MPIs: a communicator handed in, and one process with MPI and without.

`LAVA_PLUGIN_DIR` says where the plug-ins are; without them, mpi4py or a launcher the tests are skipped.
"""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

EXAMPLE = pathlib.Path(__file__).parents[2] / "python/examples/mpi_ping_pong.py"
# Before the tests' own settings take it away.
PLUGINS = os.environ.get("LAVA_PLUGIN_DIR")
# As mpi4py's wheels look for them, and as Debian names them.
LIBRARIES = {"openmpi": ("libmpi.so.40", "libmpi.so.40"), "mpich": ("libmpi.so.12", "libmpich.so.12")}
LONG = 120.0


def known_as(kind: str, directory: pathlib.Path) -> str:
    """A directory in which the library has the name that mpi4py looks for."""
    wanted, name = LIBRARIES[kind]
    listed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    found = [line.split(" => ")[1] for line in listed.splitlines() if line.split()[:1] == [name]]
    if found and wanted != name:
        (directory / wanted).symlink_to(found[0])
    return str(directory)


def launch(kind: str, directory: pathlib.Path, *command: str, **environment: str) -> str:
    """Two ranks of it, and a third that has no part."""
    if importlib.util.find_spec("mpi4py") is None:
        pytest.skip("no mpi4py")
    launcher = shutil.which(f"mpirun.{kind}")
    if PLUGINS is None or launcher is None or not os.path.exists(f"{PLUGINS}/liblava_mpi_{kind}.so"):
        pytest.skip(f"no plug-in or launcher for {kind}: the stage `mpi` of tests/run builds the plug-ins")
    options = ["--oversubscribe", "--bind-to", "none"] if kind == "openmpi" else []
    environment |= {
        "LAVA_PLUGIN_DIR": PLUGINS,
        "MPI4PY_MPIABI": kind,
        "LD_LIBRARY_PATH": f"{known_as(kind, directory)}:{os.environ.get('LD_LIBRARY_PATH', '')}",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "UCX_LOG_FILE": "stderr",
    }
    words = [launcher, "-n", "3", *options, sys.executable, "-X", "dev", "-W", "error", *command]
    # A group of its own: the launcher's helpers and the ranks end with it.
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
        start_new_session=True,
    ) as process:
        try:
            output, errors = process.communicate(timeout=LONG)
        except BaseException:
            os.killpg(process.pid, 9)
            raise
    assert process.returncode == 0, (process.returncode, output, errors)
    return output


@pytest.mark.parametrize(("scope", "how"), [("local", "both map it"), ("remote", "sent by MPI")])
@pytest.mark.parametrize("kind", LIBRARIES)
def test_arrays_on_a_communicator_of_mpi4py(kind, scope, how, tmp_path):
    told = launch(kind, tmp_path, str(EXAMPLE), "100", LAVA_SCOPE=scope)
    assert "100 round trips of 65536 bytes" in told and how in told


FORGOTTEN = """
import sys
from mpi4py import MPI
import lava
context = lava.Context(mpi=MPI.COMM_WORLD, log="debug")
assert len(context.peers(60)) == 3
if MPI.COMM_WORLD.rank == 0:
    producer = lava.Producer(context, "forgotten")
    producer.wait_consumers(2, timeout=60)
    producer.send(b"bytes")
    producer.wait_released(timeout=60)
else:
    consumer = lava.Consumer(context, "forgotten", timeout=60)
    assert bytes(consumer.receive(60)) == b"bytes"
MPI.COMM_WORLD.Barrier()
# Nothing is closed: MPI and the interpreter end before the context does.
sys.stdout.write("end ")
"""


def test_a_context_that_nobody_closed_outlives_mpi_and_the_interpreter(tmp_path):
    assert launch("openmpi", tmp_path, "-c", FORGOTTEN, LAVA_SCOPE="remote").split() == ["end"] * 3
