"""Arrays there and back between two ranks of an MPI job, on one host or two.

mpirun -n 2 python mpi_ping_pong.py [COUNT]

mpi4py has initialised MPI here; lava attaches to the communicator and sends on one of its own. Without mpi4py,
`lava.Context()` does the same: lava then initialises MPI itself.
"""

import sys
import time

import numpy as np
from mpi4py import MPI

import lava

WORDS = 8192


def send(producer: lava.Producer, number: int) -> None:
    with producer.loan(WORDS, "uint64") as loan:
        np.asarray(loan)[:] = number


def ping(producer: lava.Producer, consumer: lava.Consumer, count: int) -> None:
    start = time.perf_counter()
    for number in range(count):
        send(producer, number)
        with consumer.receive() as frame:
            assert (np.asarray(frame) == number).all(), "another frame came"
    each = (time.perf_counter() - start) / count * 1e6
    print(f"{count} round trips of {WORDS * 8} bytes, {each:.1f} us each: {consumer.describe()['connection']['reason']}")


def pong(producer: lava.Producer, consumer: lava.Consumer) -> None:
    for frame in consumer:
        send(producer, int(np.asarray(frame)[0]))


def main(count: int) -> None:
    if MPI.COMM_WORLD.size < 2:
        sys.exit("start it as `mpirun -n 2 python mpi_ping_pong.py`")
    # Any communicator will do; its ranks are the peers, and all of them meet in `peers`.
    pair = MPI.COMM_WORLD.Split(0 if MPI.COMM_WORLD.rank < 2 else MPI.UNDEFINED)
    if pair == MPI.COMM_NULL:
        return
    with lava.Context(mpi=pair) as context:
        assert len(context.peers(60)) == 2 and context.location.rank == pair.rank
        own, other = ("ping", "pong") if pair.rank == 0 else ("pong", "ping")
        with lava.Producer(context, own) as producer, lava.Consumer(context, other, timeout=60) as consumer:
            if pair.rank == 0:
                ping(producer, consumer, count)
            else:
                pong(producer, consumer)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
