"""A model that looks at camera.py's pictures, in place: tells where the spot is, until the camera ends.

python model.py
"""

import numpy as np

import lava


def find_spot(picture: np.ndarray) -> tuple[int, int]:
    """Stands for a model: the brightest row and column."""
    brightness = picture[..., 0]
    row, column = np.unravel_index(np.argmax(brightness), brightness.shape)
    return int(row), int(column)


def main() -> None:
    with lava.Context() as context, lava.Consumer(context, "camera") as consumer:
        for frame in consumer:
            with frame:
                row, column = find_spot(np.asarray(frame))
                print(f"picture {frame.sequence} at {frame.tag} ms: the spot is at {row}, {column}")


if __name__ == "__main__":
    main()
