"""The drivers, over the simulated CUDA driver: the real cuda-bindings and pycuda, no GPU."""

from __future__ import annotations


def test_copies_come_in_order_on_a_stream_however_late_it_works(with_driver):
    with_driver("""
        a = put(x)
        b = driver.allocate(x.nbytes)
        driver.set_zero(b, x.nbytes, s)
        assert not get(b, x).any()
        driver.copy_on_device(b, a, 500, s)
        got = get(b, x)
        assert np.array_equal(got[:500], x[:500]) and not got[500:].any()
    """)


def test_a_copy_from_page_locked_memory_does_not_wait(with_driver):
    with_driver(
        """
        buffer = driver.allocate_host(x.nbytes)
        assert buffer.array.shape == (1000,) and buffer.device_address is None
        buffer.array[:] = x
        a = driver.allocate(x.nbytes)
        driver.copy_to_device(a, buffer.array.ctypes.data, x.nbytes, s)
        do(lambda: time.sleep(0.2))
        back = driver.allocate_host(x.nbytes)
        back.array[:] = 0
        driver.copy_to_host(back.array.ctypes.data, a, x.nbytes, s)
        assert not back.array.any()
        driver.synchronize(s)
        assert np.array_equal(back.array, x)
        """
    )


def test_mapped_memory_is_the_same_memory_on_both_sides(with_driver):
    with_driver("""
        buffer = driver.allocate_host(1000, mapped=True)
        buffer.array[:] = x
        assert np.array_equal(get(buffer.device_address, x), x)
        driver.set_zero(buffer.device_address, 1000, s)
        driver.synchronize(s)
        assert not buffer.array.any()
        driver.free_host(buffer)
    """)


def test_an_event_orders_two_streams(with_driver):
    with_driver("""
        other, event = driver.create_stream(), driver.create_event()
        a, late = driver.allocate(1), []
        driver.wait(other, event)  # never recorded: no wait
        do(lambda: (time.sleep(0.2), late.append("first")))
        driver.record(event, s)
        driver.wait(other, event)
        do(lambda: late.append("second"), other)
        driver.synchronize(other)
        assert late == ["first", "second"]
        driver.destroy_event(event)
        driver.destroy_stream(other)
    """)


def test_without_an_event_two_streams_are_not_ordered(with_driver):
    """The simulator can show what is missing."""
    with_driver("""
        other, late = driver.create_stream(), []
        do(lambda: (time.sleep(0.2), late.append("first")))
        do(lambda: late.append("second"), other)
        driver.synchronize(other)
        driver.synchronize(s)
        assert late == ["second", "first"]
    """)


def test_the_default_stream_can_be_waited_for(with_driver):
    with_driver("""
        event, late = driver.create_event(), []
        do(lambda: (time.sleep(0.1), late.append("default")), 0)
        driver.record(event, 0)
        driver.wait(s, event)
        driver.synchronize(s)
        assert late == ["default"]
    """)


def test_a_stream_of_another_owner_can_be_used(with_driver):
    with_driver("""
        import ctypes
        cuda, theirs = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
        with driver.activate():
            assert cuda.cuStreamCreate(ctypes.byref(theirs), 1) == 0
        a = driver.allocate(1000)
        driver.copy_to_device(a, x.ctypes.data, 1000, theirs.value)
        driver.synchronize(theirs.value)
        assert np.array_equal(get(a, x), x)
    """)


def test_time_passes_between_events(with_driver):
    with_driver("""
        start, end = driver.create_event(timing=True), driver.create_event(timing=True)
        driver.record(start, s)
        do(lambda: time.sleep(0.05))
        driver.record(end, s)
        assert 50 <= driver.elapsed_ms(start, end) < 5000
        plain = driver.create_event()
        driver.record(plain, s)
        with pytest.raises(DeviceError, match="cuEventElapsedTime"):
            driver.elapsed_ms(start, plain)
    """)


def test_out_of_memory_says_how_much_is_left_and_leaves_the_driver_usable(with_driver):
    with_driver(
        """
        assert driver.memory() == (64 << 20, 64 << 20)
        a = driver.allocate(48 << 20)
        expected = "cuMemAlloc.*out.?of.?memory.*16777216 of 67108864 bytes are free"
        with pytest.raises(OutOfMemoryError, match="(?i)" + expected):
            driver.allocate(32 << 20)
        assert driver.memory() == (16 << 20, 64 << 20)
        driver.free(a)
        b = driver.allocate(32 << 20)
        put(x, b)
        assert np.array_equal(get(b, x), x)
        """,
        MEMORY_MIB=64,
    )


def test_nothing_is_left_after_everything_was_given_back(with_driver):
    with_driver("""
        a, event, buffer = driver.allocate(0), driver.create_event(), driver.allocate_host(10)
        other = open_driver(0, name=driver.name.split()[0])
        assert len(simulator.alive()) == 5
        other.close()
        driver.free(a), driver.destroy_event(event), driver.free_host(buffer), driver.destroy_stream(s)
        driver.close()
        driver.close()
        assert simulator.alive() == {}, simulator.alive()
        assert not simulator.has_context()
        with pytest.raises(DeviceError, match="closed"):
            driver.allocate(1)
    """)


def test_memory_is_given_back_once_and_by_its_owner(with_driver):
    with_driver("""
        a = driver.allocate(10)
        driver.free(a)
        for wrong in (a, 4096, 0):
            with pytest.raises(DeviceError):
                driver.free(wrong)
        with pytest.raises(DeviceError):
            driver.copy_to_device(a, x.ctypes.data, 10, s)
    """)


def test_memory_that_is_freed_before_its_work_is_done_is_noticed(with_driver):
    """On a GPU this would be a rare wrong result."""
    with_driver("""
        a = driver.allocate(1000)
        do(lambda: time.sleep(0.1))
        driver.set_zero(a, 1000, s)
        driver.free(a)
        with pytest.raises(DeviceError, match="(?i)illegal.address"):
            driver.synchronize(s)
        assert "a write touches 1000 bytes" in simulator.violation()
    """)


def test_the_callers_context_is_current_again_after_every_call(with_driver):
    with_driver(
        """
        import ctypes
        cuda, theirs = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
        assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(theirs), 1) == 0
        for context in (None, theirs):
            assert cuda.cuCtxSetCurrent(context) == 0
            before = simulator.current_context()
            a = put(x)
            get(a, x)
            with pytest.raises(DeviceError):
                driver.free(12345)
            with pytest.raises(OutOfMemoryError):
                driver.allocate(1 << 50)
            driver.free(a)
            with driver.activate():
                assert simulator.current_context() not in (0, theirs.value)
                with driver.activate():
                    driver.free(driver.allocate(1))
            assert simulator.current_context() == before
        driver.close()
        assert simulator.current_context() == theirs.value
        """,
        GPUS=2,
    )


def test_every_thread_can_use_and_close_the_driver(with_driver):
    with_driver("""
        failures = []
        def work(i):
            try:
                stream, data = driver.create_stream(), np.full(1000, i, np.uint8)
                for _ in range(20):
                    a, back = driver.allocate(1000), np.zeros(1000, np.uint8)
                    driver.copy_to_device(a, data.ctypes.data, 1000, stream)
                    driver.copy_to_host(back.ctypes.data, a, 1000, stream)
                    driver.synchronize(stream)
                    assert np.array_equal(back, data)
                    driver.free(a)
                mine.append(stream)
                assert not simulator.has_context()
            except BaseException as error:
                failures.append(error)
        mine = []
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        [t.start() for t in threads], [t.join() for t in threads]
        for stream in mine:
            driver.destroy_stream(stream)
        driver.destroy_stream(s)
        last = threading.Thread(target=driver.close)
        last.start(), last.join()
        assert not failures and simulator.alive() == {}, (failures, simulator.alive())
    """)


def test_a_driver_that_nobody_closed_ends_quietly(with_driver):
    assert with_driver("driver.allocate(1)") == ""


def test_other_threads_go_on_while_one_waits_for_a_stream(with_driver):
    """cuda-bindings before 12.9.1 hold Python's lock while they wait: this test would never end."""
    with_driver("""
        moment = threading.Event()
        do(lambda: moment.wait(30))
        threading.Timer(0.05, moment.set).start()
        driver.synchronize(s)
        assert moment.is_set()
    """)
