"""What `report.py` calls drift, and what it keeps."""

from __future__ import annotations

import copy
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import report

TABLES = {
    "cycles": [{"log_n": 10, "P": 4, "cycles": 1520}],
    "area": [
        {"module": "ringloom_mulmod", "W": 50, "DSP48E2": 12, "LUT": 668, "FF": 903},
        {"module": "ringloom_core", "W": 50, "P": 4, "LOG_MAX": 12, "LUT": 9097},
    ],
    "clock": [{"module": "ringloom_butterfly", "W": 50, "MHz": 107.39}],
}


class Drift(unittest.TestCase):
    def changed(self, part: str, row: int, **values: object) -> list[str]:
        new = copy.deepcopy(TABLES)
        new[part][row] |= values
        return report.drifted(TABLES, new)

    def test_equal_tables_and_small_changes_are_none(self) -> None:
        assert report.drifted(TABLES, copy.deepcopy(TABLES)) == []
        assert self.changed("area", 0, LUT=700) == []
        assert self.changed("clock", 0, MHz=100.0) == []

    def test_each_part_can_fail(self) -> None:
        assert len(self.changed("cycles", 0, cycles=1521)) == 1
        assert len(self.changed("area", 0, LUT=800)) == 1
        assert len(self.changed("area", 0, RAMB36=4)) == 1
        assert len(self.changed("clock", 0, MHz=90.0)) == 1

    def test_a_row_that_is_gone_fails(self) -> None:
        new = copy.deepcopy(TABLES)
        new["area"].pop(0)
        assert report.drifted(TABLES, new) == ["area module=ringloom_mulmod W=50 is gone"]

    def test_cores_stay_when_they_are_not_measured(self) -> None:
        old, row = TABLES["area"], {"module": "ringloom_mulmod", "W": 50, "LUT": 600}
        assert report.merged(old, [row]) == [row, old[1]]

    def test_other_tools_are_said(self) -> None:
        new = copy.deepcopy(TABLES) | {"yosys": "Yosys 1", "seeds": {"nextpnr": 2}}
        assert report.other_tools(new, copy.deepcopy(new)) == []
        assert report.other_tools(TABLES | {"yosys": "Yosys 0"}, new) == [
            "yosys was Yosys 0, is Yosys 1",
            "seeds was None, is {'nextpnr': 2}",
        ]
        assert report.drifted(TABLES, new) == []

    def test_plots_are_written_and_repeat(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            report.plot(TABLES, folder)
            first = {file.name: file.read_bytes() for file in folder.iterdir()}
            assert first.keys() == {"cycles.svg", "area.svg"}
            report.plot(TABLES, folder)
            assert first == {file.name: file.read_bytes() for file in folder.iterdir()}


if __name__ == "__main__":
    unittest.main()
