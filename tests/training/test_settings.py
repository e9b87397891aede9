"""What the settings of a training refuse before anything is made, in words about the setting."""

import pytest

from napari_mmssl.errors import ConfigError
from napari_mmssl.workflows.configure import pretrain_settings


@pytest.mark.parametrize("data", [{"patch": [0, 32, 32]}, {"patch": [32, 32, -8]}, {"spacing_mm": [2.0, 0.0, 2.0]}])
def test_a_patch_or_spacing_of_nothing_is_refused(data):
    (name,) = data
    with pytest.raises(ConfigError, match=rf"setting 'data\.{name}': .*all three should be greater than 0"):
        pretrain_settings(flags={"cohort": "cohort", "data": data})


def test_a_setting_that_was_left_out_is_named_without_all_the_others():
    with pytest.raises(ConfigError, match=r"^setting 'cohort' is needed and was not given$"):
        pretrain_settings(flags={})
