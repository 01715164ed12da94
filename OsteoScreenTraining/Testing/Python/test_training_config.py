"""The training configuration: read and written without loss, and refused with the nearest right name."""

from __future__ import annotations

import json

import pytest

from OsteoScreenLib.errors import UsageError
from OsteoScreenTrainingLib.training.config import TrainingConfig, from_dict, load_config, save_config


def test_a_configuration_survives_the_file(tmp_path, tiny_config):
    config = from_dict(tiny_config(seed=5))
    save_config(config, tmp_path / "config.json")
    assert load_config(tmp_path / "config.json") == config
    assert config.patches.locate_spacing_mm == (2.2, 3.0)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_inference_looks_at_the_middle_of_the_trained_spacings():
    patches = TrainingConfig().patches
    assert (patches.locate_mm, patches.outline_mm) == (2.0, 0.6)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"bath": 4}, "Unknown setting 'bath'.*Did you mean 'batch'"),
        ({"optimiser": {"learning_rat": 1}}, "'optimiser.learning_rat'.*Did you mean 'learning_rate'"),
        ({"zzz": 4}, "Unknown setting 'zzz'.*Known are"),
        ({"batch": "4"}, "batch must be of type int"),
        ({"compile": 1}, "compile must be of type bool"),
        ({"batch": True}, "batch must be of type int"),
        ({"precision": "half"}, "precision must be one of"),
        ({"window_hu": [1]}, "window_hu must be a list of 2 numbers"),
        ({"patches": 3}, "patches must be a JSON object"),
        ({"steps": 0}, "no budget"),
        ({"batch": 0}, "at least 1"),
    ],
)
def test_mistakes_are_named(values, sentence):
    with pytest.raises(UsageError, match=sentence):
        from_dict(values)


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(UsageError, match="cannot be read"):
        load_config(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(UsageError, match="not valid JSON"):
        load_config(tmp_path / "bad.json")
    (tmp_path / "list.json").write_text(json.dumps([1]))
    with pytest.raises(UsageError, match="must be a JSON object"):
        load_config(tmp_path / "list.json")
