"""asyncio: the descriptor and the running loop, no thread."""

import asyncio
import gc

import numpy as np
import pytest

import lava

LONG = 60.0


def run(work) -> None:
    asyncio.run(asyncio.wait_for(work, LONG), debug=True)


def test_async_iteration(pair):
    async def main() -> None:
        both = pair()

        async def send() -> None:
            for number in range(100):
                both.producer.send(np.full(50, number))
                if number % 7 == 0:
                    await asyncio.sleep(0.001)
            both.producer.close()

        sending = asyncio.create_task(send())
        got = [int(np.asarray(frame)[0]) async for frame in both.consumer]
        await sending
        assert got == list(range(100))
        both.consumer.close()

    run(main())


def test_many_channels_in_one_loop(context):
    async def main() -> None:
        producers = [lava.Producer(context, f"many/{number}") for number in range(50)]
        consumers = [lava.Consumer(context, f"many/{number}") for number in range(50)]

        async def receive(consumer: lava.Consumer) -> list[bytes]:
            return [frame.tobytes() async for frame in consumer]

        tasks = [asyncio.create_task(receive(consumer)) for consumer in consumers]
        for turn in range(20):
            for number, producer in enumerate(producers):
                producer.send(bytes([number, turn]))
            await asyncio.sleep(0)
        for producer in producers:
            producer.close()
        for number, task in enumerate(tasks):
            assert await task == [bytes([number, turn]) for turn in range(20)]

    run(main())


def test_cancelling_loses_no_frame(pair):
    async def main() -> None:
        both = pair()
        for number in range(50):
            waiting = asyncio.create_task(both.consumer.receive_async())
            await asyncio.sleep(0)
            both.producer.send(bytes([number]))
            if number % 2:
                # The descriptor has told, or has not: the task does not know of the frame yet.
                await asyncio.sleep(0 if number % 4 == 1 else 0.001)
            waiting.cancel()
            try:
                frame = await waiting
            except asyncio.CancelledError:
                frame = await both.consumer.receive_async()
            assert frame.tobytes() == bytes([number])
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(both.consumer.receive_async(), 0.01)
        both.producer.send(b"last")
        assert both.consumer.receive(LONG).tobytes() == b"last"

    run(main())


def test_a_task_that_ends_passes_its_turn_on(pair):
    """It was woken for a frame and is cancelled before it runs: the frame is the next task's."""

    async def main() -> None:
        both = pair()
        first, second = (asyncio.create_task(both.consumer.receive_async()) for _ in range(2))
        await asyncio.sleep(0)
        both.producer.send(b"1")
        # What the loop does when the descriptor is readable.
        both.consumer._wake()
        first.cancel()
        assert (await second).tobytes() == b"1"
        with pytest.raises(asyncio.CancelledError):
            await first

    run(main())


def test_awaiting_is_a_coroutine(pair):
    async def main() -> None:
        both = pair()
        assert asyncio.iscoroutine(both.consumer.receive_async())
        left = both.consumer.receive_async()
        left.send(None)
        left.close()
        both.producer.send(b"1")
        assert (await both.consumer.receive_async()).tobytes() == b"1"
        with pytest.raises(ZeroDivisionError):
            both.consumer.receive_async().throw(ZeroDivisionError())
        with pytest.raises(RuntimeError, match="loop"):
            # Awaited outside of any loop.
            await asyncio.to_thread(both.consumer.receive_async().send, None)

    run(main())


def test_several_tasks_share_a_consumer(pair):
    async def main() -> None:
        both = pair(capacity=16)
        tasks = [asyncio.create_task(both.consumer.receive_async()) for _ in range(10)]
        await asyncio.sleep(0)
        for number in range(10):
            both.producer.send(bytes([number]))
        frames = await asyncio.gather(*tasks)
        assert sorted(frame.tobytes()[0] for frame in frames) == list(range(10))

    run(main())


def test_the_end_and_losses_reach_the_task(pair):
    async def main() -> None:
        both = pair()
        waiting = asyncio.create_task(both.consumer.receive_async())
        await asyncio.sleep(0)
        both.producer.close()
        with pytest.raises(lava.ClosedError):
            await waiting
        assert [frame async for frame in both.consumer] == []

    run(main())


def test_closing_wakes_the_task(pair):
    async def main() -> None:
        both = pair()
        waiting = asyncio.create_task(both.consumer.receive_async())
        await asyncio.sleep(0)
        both.consumer.close()
        with pytest.raises(ValueError, match="closed"):
            await waiting

    run(main())


def test_one_consumer_in_one_loop_after_another(pair):
    both = pair()

    async def receive() -> bytes:
        waiting = asyncio.create_task(both.consumer.receive_async())
        await asyncio.sleep(0)
        both.producer.send(b"here")
        return (await waiting).tobytes()

    for _ in range(3):
        assert asyncio.run(receive()) == b"here"


def test_a_loop_without_waiters_is_idle(pair):
    """A readable descriptor that nobody waits for must not keep the loop busy."""

    async def main() -> None:
        both = pair()
        waiting = asyncio.create_task(both.consumer.receive_async())
        await asyncio.sleep(0)
        both.producer.send_many([b"1", b"2", b"3", b"4"])
        assert (await waiting).tobytes() == b"1"
        turns = 0
        loop = asyncio.get_running_loop()
        select = loop._selector.select  # type: ignore[attr-defined]

        def counted(timeout: float | None = None) -> object:
            nonlocal turns
            turns += 1
            return select(timeout)

        loop._selector.select = counted  # type: ignore[attr-defined]
        await asyncio.sleep(0.1)
        assert turns < 10
        assert [both.consumer.try_receive().tobytes() for _ in range(3)] == [b"2", b"3", b"4"]

    run(main())


def test_consumers_go_with_their_loop(context):
    import weakref

    async def main() -> weakref.ref:
        with lava.Producer(context, "loop") as producer:
            consumer = lava.Consumer(context, "loop")
            producer.send(b"x")
            async for _ in consumer:
                break
            consumer.close()
            return weakref.ref(consumer)

    reference = asyncio.run(main())
    gc.collect()
    assert reference() is None
