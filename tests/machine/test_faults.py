"""Faults of the GPU are known by their words, explained, and sorted by what helps."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magistral_mlx.errors import DeviceError, DeviceLostError
from magistral_mlx.machine.faults import FaultKind, is_out_of_memory, recognise

METAL = "[METAL] Command buffer execution failed: "
TEXTS = {
    "[malloc] Unable to allocate 17179869184 bytes.": FaultKind.OUT_OF_MEMORY,
    "[metal::malloc] Attempting to allocate 209715200000 bytes which is greater than the maximum allowed "
    "buffer size of 22613000192 bytes.": FaultKind.OUT_OF_MEMORY,
    METAL
    + "Insufficient Memory (00000008:kIOGPUCommandBufferCallbackErrorOutOfMemory)": FaultKind.OUT_OF_MEMORY,
    "cudaMallocAsync(&data, size, stream) failed: out of memory": FaultKind.OUT_OF_MEMORY,
    "std::bad_alloc": FaultKind.OUT_OF_MEMORY,
    METAL + "Impacting Interactivity (0000000e:kIOGPUCommandBufferCallbackErrorImpactingInteractivity)": (
        FaultKind.WATCHDOG
    ),
    METAL + "Ignored (for causing prior/excessive GPU errors) "
    "(00000004:kIOGPUCommandBufferCallbackErrorSubmissionsIgnored)": FaultKind.REFUSED,
    METAL + "Caused GPU Timeout Error (00000002:kIOGPUCommandBufferCallbackErrorTimeout)": FaultKind.TIMEOUT,
    METAL + "Caused GPU Hang Error (00000003:kIOGPUCommandBufferCallbackErrorHang)": FaultKind.TIMEOUT,
    METAL + "Caused GPU Address Fault Error (0000000b:kIOGPUCommandBufferCallbackErrorPageFault)": (
        FaultKind.BAD_ADDRESS
    ),
    METAL + "Discarded (victim of GPU error/recovery) "
    "(00000005:kIOGPUCommandBufferCallbackErrorInnocentVictim)": FaultKind.VICTIM,
    METAL + "Something new (000000ff:kIOGPUCommandBufferCallbackErrorSomethingNew)": FaultKind.OTHER,
}


@pytest.mark.parametrize(("text", "kind"), TEXTS.items())
def test_known_by_its_words(text: str, kind: FaultKind) -> None:
    fault = recognise(RuntimeError(text))
    assert fault is not None
    assert fault.kind is kind
    assert fault.remedy
    assert is_out_of_memory(RuntimeError(text)) == (kind is FaultKind.OUT_OF_MEMORY)


def test_a_refusal_that_quotes_its_cause_is_a_refusal() -> None:
    text = METAL + "Impacting Interactivity, then kIOGPUCommandBufferCallbackErrorSubmissionsIgnored"
    fault = recognise(RuntimeError(text))
    assert fault is not None
    assert fault.kind is FaultKind.REFUSED


@pytest.mark.parametrize(("text", "kind"), TEXTS.items())
def test_what_helps(text: str, kind: FaultKind) -> None:
    fault = recognise(RuntimeError(text))
    assert fault is not None
    assert fault.smaller_step_helps == (
        kind in {FaultKind.OUT_OF_MEMORY, FaultKind.WATCHDOG, FaultKind.TIMEOUT, FaultKind.VICTIM}
    )
    assert isinstance(fault.error(), DeviceLostError) == (kind in {FaultKind.REFUSED, FaultKind.BAD_ADDRESS})
    again = pickle.loads(pickle.dumps(fault.error()))
    assert isinstance(again, DeviceError)
    assert (again.problem, again.remedy) == (fault.problem, fault.remedy)


def test_python_runs_out_of_memory_too() -> None:
    assert is_out_of_memory(MemoryError())


@given(st.text(max_size=60))
def test_defects_are_no_faults(text: str) -> None:
    assert recognise(ValueError(text)) is None
    for words in ("There is no Stream(gpu, 1) in current thread.", "[matmul] Last dimension 5"):
        assert recognise(RuntimeError(words)) is None
