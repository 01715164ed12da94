"""An eligibility check is one function: from there on the result and the page have it."""

from __future__ import annotations

import types
from pathlib import Path

import pytest
from phantom_ct import SLICE_MM, SLICES
from written_study import write_study

from OsteoScreenLib.ct.eligibility import registry
from OsteoScreenLib.results_io import read_result


@pytest.fixture
def added(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The documentation's example, run as if it stood in a file of the package."""
    text = (repository / "Docs" / "extending.md").read_text(encoding="utf-8")
    code = text.partition("## An eligibility check")[2].partition("```python\n")[2].partition("```")[0]
    monkeypatch.setattr(registry, "SCAN_CHECKS", registry.SCAN_CHECKS.copy())
    for module in (registry, __import__("OsteoScreenLib.ct.eligibility", fromlist=["_"])):
        monkeypatch.setattr(module, "SCAN_CHECKS", registry.SCAN_CHECKS)
    module = types.ModuleType("OsteoScreenLib.ct.eligibility.added")
    exec(compile(code, "extending.md", "exec"), vars(module) | {"__package__": "OsteoScreenLib.ct.eligibility"})


@pytest.mark.parametrize(("slice_mm", "outcome", "said"), [(SLICE_MM, "warn", "only 120"), (4.5, "pass", "180")])
def test_one_function_is_all_that_a_check_needs(added, tmp_path, slice_mm, outcome, said):
    out = tmp_path / "out"
    write_study(tmp_path / "study", spacing=slice_mm, SliceThickness=str(slice_mm)).screen(out)
    checks = {check.check: check for check in read_result(out / "result.json").eligibility}
    assert (checks["scan_length"].outcome, checks["scan_length"].value) == (outcome, round(SLICES * slice_mm))
    assert f"The scan is {said} mm long" in (out / "report.html").read_text(encoding="utf-8")
