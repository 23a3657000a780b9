"""PyTorch on the CPU, where it is installed; on a GPU: `gpu_cuda.py`."""

import subprocess
import sys

import numpy as np
import pytest

import lava

torch = pytest.importorskip("torch", reason="PyTorch is not installed", exc_type=ImportError)

LONG = 60.0
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2]
DTYPES += [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool, torch.complex64, torch.complex128]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_tensors_go_and_come(pair, dtype):
    both = pair()
    sent = (torch.arange(60).reshape(3, 20) % 2).to(dtype)
    assert both.producer.send(sent) == 1
    with both.producer.loan((3, 20), dtype) as loan:
        torch.from_dlpack(loan).copy_(sent)
    for _ in range(2):
        frame = both.consumer.receive(LONG)
        assert frame.dtype == str(dtype).removeprefix("torch.")
        got = torch.from_dlpack(frame)
        assert got.dtype == dtype and got.shape == sent.shape
        assert torch.equal(got.view(torch.uint8), sent.view(torch.uint8))
        # Sent on as it came.
        assert both.producer.send(got) == 1
        assert both.consumer.receive(LONG).tobytes() == frame.tobytes()


def test_a_tensor_keeps_the_frame(pair):
    both = pair(capacity=1)
    both.producer.send(torch.arange(100))
    tensor = torch.from_dlpack(both.consumer.receive(LONG))
    with pytest.raises(lava.WouldBlockError):
        both.producer.loan(100, timeout=0)
    both.close()
    assert tensor.sum() == 4950
    del tensor


def test_what_cannot_be_sent_is_told(pair):
    both = pair()
    with pytest.raises(BufferError, match="grad"):
        both.producer.send(torch.ones(3, requires_grad=True))
    assert both.producer.send(torch.arange(6).reshape(2, 3).T) == 1
    assert np.array_equal(np.asarray(both.consumer.receive(LONG)), np.arange(6).reshape(2, 3).T)


def test_training_from_another_process(context, tmp_path):
    """Batches of one process are fitted by another, in place."""
    program = """
import sys, torch, lava
weight = torch.zeros(3, requires_grad=True)
with lava.Context() as context, lava.Consumer(context, "batches", timeout=60) as consumer:
    for frame in consumer:
        with frame:
            batch = torch.from_dlpack(frame)
            loss = ((batch[:, :3] @ weight - batch[:, 3]) ** 2).mean()
            loss.backward()
            del batch
        with torch.no_grad():
            weight -= 0.2 * weight.grad
            weight.grad = None
print(*weight.tolist())
"""
    wanted = torch.tensor([1.0, -2.0, 3.0])
    with lava.Producer(context, "batches") as producer:
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
        try:
            producer.wait_consumers(1, LONG)
            for _ in range(200):
                with producer.loan((32, 4), "float32", timeout=LONG) as loan:
                    batch = torch.from_dlpack(loan)
                    batch[:, :3] = torch.randn(32, 3)
                    batch[:, 3] = batch[:, :3] @ wanted
            producer.close()
            output, _ = child.communicate(timeout=LONG)
        finally:
            child.kill()
            child.wait()
    assert torch.allclose(torch.tensor([float(text) for text in output.split()]), wanted, atol=1e-3)
