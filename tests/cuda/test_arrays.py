"""Arrays on the device: taken from other libraries, and given to them."""

from __future__ import annotations

import ctypes
import gc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from edgevae.cuda import arrays, dlpack
from edgevae.cuda.arrays import DeviceArray, as_device_array, stream_handle
from edgevae.errors import InputError

CUDA, CUDA_HOST, CPU = 2, 3, 1


class Producer:
    """An object with `__dlpack__`, whose tensor is written with ctypes as its library would.

    Args:
        versioned: Use the layout with a version and flags.
        strides: In elements; None for none.
    """

    def __init__(
        self,
        *,
        shape=(2, 3, 4),
        strides=None,
        kind=(2, 32),
        device=CUDA,
        versioned=True,
        flags=0,
        major=1,
        offset=0,
    ):
        self.device, self.versioned, self.streams = device, versioned, []
        self._shape = (ctypes.c_int64 * len(shape))(*shape)
        self._strides = (ctypes.c_int64 * len(shape))(*strides) if strides else None
        layout = dlpack._DLManagedTensorVersioned if versioned else dlpack._DLManagedTensor
        self.managed = layout()
        if versioned:
            self.managed.major, self.managed.flags = major, flags
        tensor = self.managed.dl_tensor
        tensor.data, tensor.byte_offset, tensor.ndim = 0x10000, offset, len(shape)
        tensor.device_type, tensor.device_id = device, 1
        (tensor.code, tensor.bits), tensor.lanes = kind, 1
        pointer = ctypes.POINTER(ctypes.c_int64)
        tensor.shape = ctypes.cast(self._shape, pointer)
        if self._strides is not None:
            tensor.strides = ctypes.cast(self._strides, pointer)

    def __dlpack_device__(self):
        return (self.device, 1)

    def __dlpack__(self, *, stream, **options):
        if not self.versioned and options:
            raise TypeError("__dlpack__() got an unexpected keyword argument 'max_version'")
        self.streams.append(stream)
        new = ctypes.pythonapi.PyCapsule_New
        new.restype = ctypes.py_object
        new.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        name = b"dltensor_versioned" if self.versioned else b"dltensor"
        return new(ctypes.addressof(self.managed), name, None)


def described(**changes):
    """Return an object with only a `__cuda_array_interface__`."""
    interface = {"shape": (2, 3), "typestr": "<f2", "data": (0x10000, False), "version": 3}
    return SimpleNamespace(__cuda_array_interface__=interface | changes)


@pytest.fixture
def on_gpu_3(monkeypatch):
    """The driver says of every address that it is on that GPU."""
    monkeypatch.setattr(arrays, "_device_of", lambda value, address: 3)


@pytest.mark.parametrize("versioned", [False, True])
def test_dlpack_gives_the_memory_in_place(versioned):
    producer = Producer(versioned=versioned, offset=512)
    got = as_device_array(producer, stream=77)
    assert (got.address, got.shape, got.dtype, got.device) == (0x10200, (2, 3, 4), np.float32, 1)
    assert got.nbytes == 96
    assert producer.streams == [77]


def test_the_default_stream_is_1_in_dlpack():
    producer = Producer()
    as_device_array(producer, stream=0)
    assert producer.streams == [1]


def test_the_owner_lives_as_long_as_the_array():
    producer = Producer()
    watch = weakref.ref(producer)
    got = as_device_array(producer, stream=0)
    del producer
    gc.collect()
    assert watch() is not None
    del got
    gc.collect()
    assert watch() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strides": (12, 1, 3)}, r"of shape \[2, 3, 4\] is not C-contiguous"),
        ({"kind": (2, 64)}, "got float64, expected uint8, float16, float32"),
        ({"kind": (4, 16)}, "got bfloat16, expected"),
        ({"kind": (77, 8)}, "got type 77 of 8, expected"),
        ({"offset": 128}, "begins at 0x10080, expected a multiple of 256 bytes"),
        ({"flags": 1}, "is read-only"),
        ({"flags": 2}, "is read-only"),
        ({"major": 2}, "DLPack: got version 2, expected 1 or older"),
    ],
)
def test_what_cannot_be_used_in_place_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        as_device_array(Producer(**options), stream=0, writable=True)


def test_read_only_memory_can_be_read():
    assert as_device_array(Producer(flags=1), stream=0) is not None


def test_strides_of_axes_of_one_do_not_matter():
    got = as_device_array(Producer(shape=(1, 3, 1), strides=(99, 1, 7)), stream=0)
    assert got.shape == (1, 3, 1)


def test_a_capsule_that_somebody_used_is_refused():
    with pytest.raises(InputError, match="expected a capsule that nobody used"):
        dlpack.read(object())


def test_an_owner_that_refuses_is_an_input_error():
    producer = Producer()
    producer.__class__ = type("Refusing", (Producer,), {"__dlpack__": refuse})
    with pytest.raises(InputError, match="Refusing: its owner gives no device memory: needs grad"):
        as_device_array(producer, stream=0)


def refuse(self, **options):
    raise BufferError("needs grad")


def test_host_memory_is_none():
    torch = pytest.importorskip("torch")
    for host in (
        np.zeros(3, np.float32),
        torch.zeros(3),
        Producer(device=CPU),
        Producer(device=CUDA_HOST),
        [1, 2],
        None,
    ):
        assert as_device_array(host, stream=0) is None


def test_the_cuda_array_interface_gives_the_memory_in_place(on_gpu_3):
    value = described(strides=(6, 2))
    got = as_device_array(value, stream=5)
    assert got == DeviceArray(0x10000, (2, 3), np.dtype(np.float16), 3, owner=None)
    assert got.owner is value


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strides": (2, 4)}, "is not C-contiguous"),
        ({"strides": (7, 2)}, "is not C-contiguous"),
        ({"typestr": "<f8"}, "got <f8, expected"),
        ({"typestr": ">f2"}, "got >f2, expected"),
        ({"data": (0x10001, False)}, "begins at 0x10001"),
        ({"data": (0x10000, True)}, "is read-only"),
        ({"mask": object()}, "has a mask"),
    ],
)
def test_an_interface_that_cannot_be_used_in_place_is_refused(on_gpu_3, changes, message):
    with pytest.raises(InputError, match=message):
        as_device_array(described(**changes), stream=0, writable=True)


def test_what_we_give_is_what_we_take(on_gpu_3):
    array = DeviceArray(0x10000, (2, 3), np.dtype(np.uint8), 3, owner=object())
    assert as_device_array(array, stream=0) is array
    theirs = SimpleNamespace(__cuda_array_interface__=array.__cuda_array_interface__)
    assert as_device_array(theirs, stream=0) == array


def test_memory_that_is_on_no_gpu_is_refused_and_other_memory_has_its_device(with_driver):
    with_driver(
        """
        from types import SimpleNamespace
        from edgevae.cuda.arrays import DeviceArray, as_device_array
        a = driver.allocate(1000)
        own = DeviceArray(a, (1000,), np.dtype(np.uint8), 0, owner=None)
        given = as_device_array(SimpleNamespace(__cuda_array_interface__=own.__cuda_array_interface__), stream=s)
        assert given == own
        lost = DeviceArray(4096, (1,), np.dtype(np.uint8), 0, owner=None).__cuda_array_interface__
        with pytest.raises(InputError, match="0x1000 is no memory of a GPU"):
            as_device_array(SimpleNamespace(__cuda_array_interface__=lost), stream=s)
        """
    )


def test_the_owners_stream_comes_before_ours(with_driver):
    with_driver("""
        from types import SimpleNamespace
        from edgevae.cuda.arrays import DeviceArray, as_device_array
        theirs, late = driver.create_stream(), []
        a = driver.allocate(1000)
        own = DeviceArray(a, (1000,), np.dtype(np.uint8), 0, owner=None).__cuda_array_interface__
        do(lambda: (time.sleep(0.2), late.append("theirs")), theirs)
        before = simulator.alive()
        as_device_array(SimpleNamespace(__cuda_array_interface__=own | {"stream": theirs}), stream=s)
        assert simulator.alive() == before and not simulator.has_context()
        do(lambda: late.append("ours"))
        driver.synchronize(s)
        assert late == ["theirs", "ours"]
    """)


class CUstream:
    def __int__(self):
        return 9


@pytest.mark.parametrize(
    ("stream", "handle"),
    [
        (7, 7),
        (0, 0),
        (np.int64(7), 7),
        (SimpleNamespace(__cuda_stream__=lambda: (0, 8)), 8),
        (SimpleNamespace(__cuda_stream__=(0, 8)), 8),
        (SimpleNamespace(cuda_stream=0), 0),
        (SimpleNamespace(ptr=5), 5),
        (SimpleNamespace(handle=6), 6),
        (CUstream(), 9),
    ],
)
def test_a_stream_is_known_by_its_handle(stream, handle):
    assert stream_handle(stream) == handle


@pytest.mark.parametrize("stream", [None, "0", True, -1, 1.5])
def test_what_is_no_stream_is_refused(stream):
    with pytest.raises(InputError, match="expected a handle, or a stream of"):
        stream_handle(stream)


def test_a_stream_of_a_newer_protocol_is_refused():
    with pytest.raises(InputError, match="version 1, expected 0"):
        stream_handle(SimpleNamespace(__cuda_stream__=lambda: (1, 8)))
