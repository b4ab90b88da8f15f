"""Meters and conditions read from files that look like a board's; no watt is counted twice."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from edgevae_bench.conditions import Watch
from edgevae_bench.energy import RailMeter, RaplMeter, find_meter, jetson_rails, rapl_zones
from edgevae_bench.process_memory import status_bytes

CHIP = "sys/bus/i2c/drivers/ina3221"


def write(root: Path, path: str, text: object) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text}\n")
    return file


def rail(root: Path, chip: str, number: int, name: str, *, mv: int, ma: int) -> None:
    folder = f"{CHIP}/{chip}/hwmon/hwmon{chip[0]}"
    write(root, f"{folder}/in{number}_label", name)
    write(root, f"{folder}/in{number}_input", mv)
    write(root, f"{folder}/curr{number}_input", ma)


def domain(root: Path, zone: str, name: str, uj: int, *, range_uj: int = 10**9) -> Path:
    folder = f"sys/class/powercap/{zone}"
    write(root, f"{folder}/name", name)
    write(root, f"{folder}/max_energy_range_uj", range_uj)
    return write(root, f"{folder}/energy_uj", uj)


def test_of_an_orin_nano_only_the_input_of_the_module_is_counted(tmp_path):
    rail(tmp_path, "1-0040", 1, "VDD_IN", mv=5000, ma=2000)
    rail(tmp_path, "1-0040", 2, "VDD_CPU_GPU_CV", mv=5000, ma=700)
    rail(tmp_path, "1-0040", 3, "VDD_SOC", mv=5000, ma=400)
    meter = find_meter(None, is_gpu=True, root=tmp_path)
    assert isinstance(meter, RailMeter)
    assert meter.name == "INA3221: VDD_IN"
    assert meter.power_w() == pytest.approx(10.0)


def test_of_an_agx_orin_the_rails_are_added_and_the_chips_own_sum_is_left_out(tmp_path):
    rail(tmp_path, "1-0040", 1, "VDD_GPU_SOC", mv=20000, ma=500)
    rail(tmp_path, "1-0040", 2, "VDD_CPU_CV", mv=20000, ma=100)
    rail(tmp_path, "1-0040", 3, "VIN_SYS_5V0", mv=5000, ma=800)
    rail(tmp_path, "2-0041", 1, "NC", mv=5000, ma=9)
    rail(tmp_path, "2-0041", 2, "VDDQ_VDD2_1V8AO", mv=5000, ma=200)
    write(tmp_path, f"{CHIP}/1-0040/hwmon/hwmon1/in7_label", "sum of shunt voltages")
    meter = RailMeter(jetson_rails(tmp_path))
    assert meter.power_w() == pytest.approx(10 + 2 + 4 + 1)


def test_the_energy_of_rails_is_power_times_time(tmp_path):
    rail(tmp_path, "1-0040", 1, "VDD_IN", mv=5000, ma=2000)
    meter = RailMeter(jetson_rails(tmp_path))
    started = time.perf_counter()
    with meter.running():
        time.sleep(0.05)
    took = time.perf_counter() - started
    assert 0.05 * 10 <= meter.energy_j() <= took * 10


def test_of_rapl_packages_and_their_memory_are_counted_but_no_part_and_no_platform(tmp_path):
    files = {
        "package-0": domain(tmp_path, "intel-rapl:0", "package-0", 1_000_000),
        "core": domain(tmp_path, "intel-rapl:0:0", "core", 1_000_000),
        "dram": domain(tmp_path, "intel-rapl:0:1", "dram", 1_000_000),
        "psys": domain(tmp_path, "intel-rapl:1", "psys", 1_000_000),
    }
    meter = find_meter(None, is_gpu=False, root=tmp_path)
    assert isinstance(meter, RaplMeter)
    assert meter.name == "RAPL: package-0, dram"
    for grown, (_, file) in zip((3, 100, 2, 1000), files.items(), strict=True):
        file.write_text(f"{1_000_000 + grown * 1_000_000}\n")
    assert meter.energy_j() == pytest.approx(5.0)


def test_a_counter_of_rapl_that_starts_over_goes_on(tmp_path):
    file = domain(tmp_path, "intel-rapl:0", "package-0", 9_000_000, range_uj=10_000_000)
    meter = RaplMeter(rapl_zones(tmp_path))
    file.write_text("2000000\n")
    assert meter.energy_j() == pytest.approx(3.0)
    file.write_text("4000000\n")
    assert meter.energy_j() == pytest.approx(5.0)


def test_where_there_is_no_meter_the_reason_is_said(tmp_path):
    assert "no RAPL" in find_meter(None, is_gpu=False, root=tmp_path)
    assert "nvidia-ml-py" in find_meter(None, is_gpu=True, root=tmp_path)


def machine(root: Path, *, mhz: int, count: int, steal: int, celsius: int) -> None:
    for core in range(2):
        write(root, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_cur_freq", mhz * 1000)
        folder = f"sys/devices/system/cpu/cpu{core}/thermal_throttle"
        write(root, f"{folder}/core_throttle_count", count)
    write(root, "sys/class/thermal/thermal_zone0/temp", celsius * 1000)
    write(root, "proc/stat", f"cpu  100 0 100 {800 - steal} 0 0 0 {steal} 0 0\ncpu0 1 2 3")


def test_clocks_heat_throttling_and_stolen_time_are_seen(tmp_path):
    watch = Watch(root=tmp_path)
    assert watch.conditions() is None
    for mhz, count, steal in ((3000, 5, 0), (2000, 5, 0), (2500, 6, 50)):
        machine(tmp_path, mhz=3000, count=5, steal=0, celsius=50)
        watch.begin()
        machine(tmp_path, mhz=mhz, count=count, steal=steal, celsius=50 + steal)
        write(tmp_path, "proc/stat", f"cpu  200 0 100 800 0 0 0 {steal} 0 0")
        watch.end()
    seen = watch.conditions()
    assert (seen.clock_min_mhz, seen.clock_median_mhz, seen.clock_max_mhz) == (2000, 2500, 3000)
    assert seen.temperature_max_c == 100
    assert seen.throttle_reasons == ("thermal (CPU)",)
    assert seen.steal_ratio == pytest.approx(50 / 350)


def test_a_system_that_tells_nothing_gives_nothing_up(tmp_path):
    watch = Watch(root=tmp_path)
    watch.begin()
    watch.end()
    seen = watch.conditions()
    assert (seen.clock_min_mhz, seen.temperature_max_c, seen.steal_ratio) == (None, None, None)
    assert (seen.throttle_reasons, seen.has_throttle_reasons) == ((), False)


def test_the_peak_of_memory_is_the_kernels_own_figure(tmp_path):
    status = write(tmp_path, "status", "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1024 kB")
    assert status_bytes("VmHWM", status=status) == 2 << 20
    shutil.rmtree(tmp_path)
    assert status_bytes("VmHWM", status=status) is None
