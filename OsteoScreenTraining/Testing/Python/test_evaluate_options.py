"""What ``evaluate`` takes for one task alone, it refuses for the others."""

from __future__ import annotations

import pytest

from OsteoScreenLib.cli import main


@pytest.mark.parametrize(
    ("task", "option", "owner"),
    [
        ("classification", "--compare", "segmentation"),
        ("localisation", "--compare", "segmentation"),
        ("segmentation", "--split", "classification"),
        ("segmentation", "--segmentation-model", "classification"),
        ("localisation", "--split", "classification"),
    ],
)
def test_an_option_of_another_task_is_refused(task, option, owner, tmp_path, capsys):
    words = ["evaluate", task, "--data", str(tmp_path), "--model", "none", "-o", str(tmp_path / "out"), option, "name"]
    assert main(words) == 2
    assert f"{option} is an option of 'evaluate {owner}'; leave it out." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
