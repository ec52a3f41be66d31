"""`collect.py` on reports written by hand in the format of Vitis: no real build was at hand."""

from __future__ import annotations

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import collect

CSYNTH = """<?xml version="1.0" encoding="UTF-8"?>
<profile>
<UserAssignments><TopModelName>{top}</TopModelName></UserAssignments>
<PerformanceEstimates>
<SummaryOfTimingAnalysis><unit>ns</unit><EstimatedClockPeriod>2.500</EstimatedClockPeriod></SummaryOfTimingAnalysis>
<SummaryOfOverallLatency><Best-caseLatency>560</Best-caseLatency><Worst-caseLatency>undef</Worst-caseLatency></SummaryOfOverallLatency>
</PerformanceEstimates>
<AreaEstimates>
<Resources><BRAM_18K>64</BRAM_18K><DSP>96</DSP><FF>12000</FF><LUT>34000</LUT><URAM>32</URAM></Resources>
<AvailableResources><DSP>9024</DSP></AvailableResources>
</AreaEstimates>
</profile>
"""
UTILISATION = """
| Site Type  | Used  | Fixed | Available | Util% |
| CLB LUTs*  | 35001 |     0 |   1303680 |  2.68 |
| CLB Registers | 41000 |  0 |   2607360 |  1.57 |
| RAMB36/FIFO* | 16  |     0 |      2016 |  0.79 |
|   RAMB18   |     2 |     0 |      4032 |  0.05 |
| DSPs       |    97 |     0 |      9024 |  1.07 |
"""
TIMING = """
    WNS(ns)      TNS(ns)  TNS Failing Endpoints
    -------      -------  ---------------------
      0.021        0.000                      0

clk_kernel_00_unbuffered_net  {0.000 1.667}   3.333    300.030
"""


class Collect(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def put(self, name: str, text: str) -> Path:
        path = self.folder / "a" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, "utf-8")
        return path

    def refused(self) -> str:
        try:
            collect.collect(self.folder)
        except collect.Unreadable as error:
            return str(error)
        return ""

    def test_everything(self) -> None:
        for top in collect.KERNELS:
            self.put(f"{top}_csynth.xml", CSYNTH.format(top=top))
        self.put("top_utilization_routed.rpt", UTILISATION)
        self.put("top_timing_summary_routed.rpt", TIMING)
        tables, missing = collect.collect(self.folder)
        assert missing == []
        ntt, *_, routed = tables["area"]
        assert (ntt["module"], ntt["DSP"], ntt["RAMB18"]) == ("ringloom_ntt", 96, 64)
        assert (routed["LUT"], routed["FF"], routed["RAMB36"]) == (35001, 41000, 16)
        assert routed["DSP"] == 97
        assert [row["MHz"] for row in tables["clock"]] == [400.0] * 3 + [300.03]
        assert tables["clock"][-1]["worst slack, ns"] == 0.021
        assert tables["cycles"][0]["Best-caseLatency"] == 560
        assert tables["cycles"][0]["Worst-caseLatency"] == "undef"

    def test_what_is_missing_is_named(self) -> None:
        self.put("ringloom_ntt_csynth.xml", CSYNTH.format(top="ringloom_ntt"))
        tables, missing = collect.collect(self.folder)
        assert len(tables["area"]) == 1
        assert len(missing) == 4

    def test_reports_that_cannot_be_read(self) -> None:
        for name, text in (
            ("ringloom_ntt_csynth.xml", "<profile>"),
            ("ringloom_ntt_csynth.xml", "<profile></profile>"),
            ("x_utilization_routed.rpt", "| Site Type | Used |"),
            ("x_timing_summary_routed.rpt", "WNS(ns)"),
        ):
            path = self.put(name, text)
            assert "expected" in self.refused(), text
            path.unlink()


if __name__ == "__main__":
    unittest.main()
