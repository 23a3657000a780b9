"""A camera: pictures of 480 x 640, 30 a second, to whoever watches. Old ones give way to new ones.

    python camera.py [SECONDS]
"""

import sys
import time

import numpy as np

import lava


def expose(picture: np.ndarray, moment: float) -> None:
    """Stands for a camera's driver that writes where it is told: a bright spot that goes round."""
    rows, columns = np.ogrid[:480, :640]
    y, x = 240 + 150 * np.sin(moment), 320 + 200 * np.cos(moment)
    spot = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 800)
    np.multiply(spot[..., np.newaxis], (255, 200, 80), out=picture, casting="unsafe")


def main(seconds: float) -> None:
    with lava.Context() as context, lava.Producer(context, "camera", policy="drop_oldest", capacity=4) as producer:
        start = time.monotonic()
        while (moment := time.monotonic() - start) < seconds:
            try:
                with producer.loan((480, 640, 3), "uint8") as frame:
                    frame.tag = round(moment * 1000)
                    expose(np.asarray(frame), moment)
            except lava.WouldBlockError:
                pass  # All slots are being looked at: this picture is lost.
            time.sleep(1 / 30)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 10)
