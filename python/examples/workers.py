"""Two worker processes of multiprocessing sum up arrays that the parent makes in place.

python workers.py
"""

import multiprocessing

import numpy as np

import lava

ARRAYS = 20


def work(number: int, results) -> None:
    """Every worker gets every frame; this one takes its share."""
    total = 0.0
    with lava.Context() as context, lava.Consumer(context, "work") as consumer:
        for frame in consumer:
            if frame.sequence % 2 == number:
                total += float(np.asarray(frame).sum())
    results.put(total)


def main() -> None:
    # Not fork: a forked child would inherit a context that is its parent's.
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    workers = [spawn.Process(target=work, args=(number, results)) for number in range(2)]
    with lava.Context() as context, lava.Producer(context, "work", max_frame_size=1 << 23) as producer:
        for worker in workers:
            worker.start()
        producer.wait_consumers(2, timeout=60)
        for number in range(ARRAYS):
            with producer.loan((1000, 1000), "float64") as frame:
                np.asarray(frame)[...] = number
    total = results.get() + results.get()
    for worker in workers:
        worker.join()
    assert total == 1e6 * sum(range(ARRAYS))
    print(f"the sum of {ARRAYS} arrays of 8 MB, none of which was copied: {total:g}")


if __name__ == "__main__":
    main()
