"""The guide's programs and the examples run as they stand there."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
GUIDE = ROOT / "doc/guide_python.md"
EXAMPLES = ROOT / "python/examples"
LONG = 60.0


def blocks() -> dict[str, str]:
    """The guide's programs, by what their first line says."""
    found = re.findall(r"```python\n# ([^\n]*)\n(.*?)```", GUIDE.read_text(), re.S)
    assert len(found) == GUIDE.read_text().count("```python"), "a program without a first line that names it"
    return dict(found)


def start(*command: str, **environment: str) -> subprocess.Popen:
    command = (sys.executable, "-X", "dev", "-W", "error", *command)
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
    )


def finish(*processes: subprocess.Popen) -> list[str]:
    try:
        results = [process.communicate(timeout=LONG) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.communicate()
    assert all(process.returncode == 0 for process in processes), results
    return [output for output, _ in results]


@pytest.mark.parametrize("name", [name for name in blocks() if name not in ("producer", "consumer")])
def test_a_program_of_the_guide(name):
    if name.startswith("not run"):
        compile(blocks()[name], str(GUIDE), "exec")
        pytest.skip(name)
    finish(start("-c", blocks()[name]))


def test_the_two_processes_of_the_guide():
    finish(start("-c", blocks()["producer"]), start("-c", blocks()["consumer"]))


def test_camera_and_model():
    _, told = finish(start(str(EXAMPLES / "camera.py"), "3"), start(str(EXAMPLES / "model.py")))
    assert re.match(r"picture \d+ at \d+ ms: the spot is at \d+, \d+\n", told), told


def test_workers():
    (told,) = finish(start(str(EXAMPLES / "workers.py")))
    assert "1.9e+08" in told


def test_plot(tmp_path):
    finish(start(str(EXAMPLES / "plot.py"), str(tmp_path / "plot.svg")))
    assert "<svg" in (tmp_path / "plot.svg").read_text()


def test_render_without_cuda():
    """On whatever GPU there is; without CUDA the picture is copied to the host."""
    renderer = start(str(EXAMPLES / "render.py"), "render", "3", LAVA_VULKAN="cpu")
    viewer = start(str(EXAMPLES / "render.py"), "view", LAVA_VULKAN="cpu")
    _, told = finish(renderer, viewer)
    assert told.count("mean") == 3, told


def test_the_readme_shows_a_program_that_runs():
    text = (ROOT / "README.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", text, re.S)
    send = start("-c", program, "send")
    _, told = finish(send, start("-c", program))
    assert "mean" in told
