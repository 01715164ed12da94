"""Where a study may write: an empty folder, its own, or one in which only its job has written so far."""

from __future__ import annotations

import pytest

from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.study.stages import Stages
from OsteoScreenTrainingLib.training.job_files import HEARTBEAT, JOB, LOCK, LOG


def test_a_job_may_keep_its_state_in_the_studys_folder(tmp_path):
    for name in (JOB, LOG, HEARTBEAT, LOCK):
        (tmp_path / name).write_text("")
    Stages(tmp_path, {"seed": 1})
    assert Stages(tmp_path, {"seed": 1}).done("anything") is False
    with pytest.raises(UsageError, match="differs in seed"):
        Stages(tmp_path, {"seed": 2})


def test_anything_else_there_is_not_overwritten(tmp_path):
    (tmp_path / JOB).write_text("")
    (tmp_path / "thesis.docx").write_text("mine")
    with pytest.raises(UsageError, match="no study"):
        Stages(tmp_path, {"seed": 1})
