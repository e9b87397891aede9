import pytest
from small_cohorts import write_small_cohort

from napari_mmssl.errors import ConfigError
from napari_mmssl.training.settings import DataSettings
from napari_mmssl.workflows.configure import finetune_settings, pretrain_settings
from napari_mmssl.workflows.material import gather, thick_slices


@pytest.mark.parametrize(
    ("spacing_mm", "expected"),
    [((1, 1, 1), 0), ((3, 3, 3), 0), ((2, 1, 1), 1), ((3, 0.5, 0.5), 3), ((5.5, 0.9, 0.9), 3), ((1, 2, 2), 0)],
)
def test_thick_slices_are_left_alone_until_voxels_are_about_cubes(spacing_mm, expected):
    assert thick_slices(spacing_mm) == expected


def test_what_is_left_to_the_cohort_is_settled_and_what_was_said_is_kept(tmp_path):
    cohort = write_small_cohort(tmp_path / "cohort", cases=4)
    left = pretrain_settings(flags={"cohort": str(cohort)})
    said = pretrain_settings(
        flags={"cohort": str(cohort), "encoder": {"thick_slices": 2}, "data": {"modalities": ["t1"]}}
    )

    settled = [gather(s.cohort, s.data, s.seed, labelled=False).settle(s) for s in (left, said)]

    assert (settled[0].data.modalities, settled[0].data.spacing_mm) == (("flair", "t1"), (2.0, 2.0, 2.0))
    assert (settled[0].encoder.thick_slices, settled[1].encoder.thick_slices) == (0, 2)
    assert settled[1].data.modalities == ("t1",)


def test_a_modality_that_nobody_has_is_named(tmp_path):
    cohort = write_small_cohort(tmp_path / "cohort", cases=3)

    with pytest.raises(ConfigError, match=r"no case has ct; .* flair, t1"):
        gather(cohort, DataSettings(modalities=("t1", "ct")), 0, labelled=False)


def test_one_setting_of_a_fine_tuning_leaves_the_others_as_they_are(tmp_path):
    plain = finetune_settings(flags={"cohort": str(tmp_path)}).optimisation

    one = finetune_settings(flags={"cohort": str(tmp_path), "optimisation": {"batch_size": 2}}).optimisation

    assert one == plain.model_copy(update={"batch_size": 2})
