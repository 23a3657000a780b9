"""Live values from another process, for a notebook: `await collect(100)` in one cell, `draw(values)` in the next.

As a program it starts a process that sends a measurement 200 times a second, collects some, and writes plot.svg.

python plot.py
"""

import asyncio
import multiprocessing
import sys
import time

import numpy as np

import lava


def measure(count: int) -> None:
    """Runs in another process: sends time and value."""
    with lava.Context() as context, lava.Producer(context, "measurements") as producer:
        producer.wait_consumers(1, timeout=60)
        for number in range(count):
            producer.send(np.array([number / 200, np.sin(number / 20) + 0.1 * np.random.randn()]))
            time.sleep(1 / 200)


async def collect(count: int) -> np.ndarray:
    """In the notebook's own event loop, so that other cells stay alive."""
    values = []
    with lava.Context() as context, lava.Consumer(context, "measurements", timeout=60) as consumer:
        async for frame in consumer:
            values.append(np.array(frame))
            if len(values) == count:
                break
    return np.array(values)


def draw(values: np.ndarray):
    """With matplotlib where it is installed, else a plain drawing; notebooks show either."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return Drawing(values)
    figure = Figure(figsize=(8, 3))
    axes = figure.add_subplot()
    axes.plot(*values.T)
    axes.set(xlabel="seconds", ylabel="value")
    return figure


class Drawing:
    """A line, as SVG."""

    def __init__(self, values: np.ndarray) -> None:
        span = np.maximum(np.ptp(values, axis=0), 1e-9)
        points = (values - values.min(axis=0)) / span * (780, -180) + (10, 190)
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.svg = (
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 200" width="800">'
            f'<polyline points="{line}" fill="none" stroke="#c33"/></svg>'
        )

    def _repr_svg_(self) -> str:
        return self.svg

    def savefig(self, path: str) -> None:
        with open(path, "w") as file:
            file.write(self.svg)


def main(path: str) -> None:
    process = multiprocessing.get_context("spawn").Process(target=measure, args=(100,))
    process.start()
    values = asyncio.run(collect(100))
    process.join()
    draw(values).savefig(path)
    print(f"{len(values)} values in {path}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "plot.svg")
