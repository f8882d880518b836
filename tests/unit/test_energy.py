"""Energy off counters as Linux has them: summed over packages, also where one begins anew."""

from pathlib import Path

from polar_tools import energy


def package(folder: Path, name: str, microjoules: int, most: int = 1_000_000) -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "energy_uj").write_text(f"{microjoules}\n")
    (folder / name / "max_energy_range_uj").write_text(f"{most}\n")
    return folder / name / "energy_uj"


def test_what_counters_grew_by_is_summed(tmp_path: Path) -> None:
    one, other = package(tmp_path, "intel-rapl:0", 100_000), package(tmp_path, "intel-rapl:1", 900_000)
    part = package(tmp_path, "intel-rapl:0:0", 5)  # of the first package, and counted there
    with energy.Meter(tmp_path) as meter:
        one.write_text("600000\n")
        other.write_text("399999\n")  # over its end at 1,000,000: 100,001 to the new 0, and 399,999
        part.write_text("999999\n")
    assert meter.measured() == {"energy_joules": {"cpu": 1.0}}


def test_nothing_is_told_where_nothing_can_be_read(tmp_path: Path) -> None:
    with energy.Meter(tmp_path) as meter:
        pass
    assert meter.measured() == {}
    (package(tmp_path, "intel-rapl:0", 1).parent / "energy_uj").unlink()
    with energy.Meter(tmp_path) as meter:
        pass
    assert meter.measured() == {}


def test_a_counter_that_begins_anew_twice_is_looked_at_in_between(tmp_path: Path) -> None:
    import time

    counter = package(tmp_path, "intel-rapl:0", 0, most=999_999)
    with energy.Meter(tmp_path, seconds=0.01) as meter:
        for reading in (600_000, 200_000, 800_000):
            counter.write_text(f"{reading}\n")
            seen = meter.joules["cpu"]
            while meter.joules["cpu"] == seen:
                time.sleep(0.005)
    assert meter.measured() == {"energy_joules": {"cpu": 1.8}}
