"""File > Open Sample, for the organs that are not the glioma."""

import pytest

from napari_mmssl.viewer import sample_data


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSSL_HOME", str(tmp_path))


@pytest.mark.parametrize(
    ("open_sample", "organ", "images"),
    [(sample_data.open_prostate, "prostate", ["t2", "adc"]), (sample_data.open_liver, "liver", ["ct"])],
)
def test_a_sample_is_drawn_once_and_opens_as_layers_that_say_what_it_is(open_sample, organ, images):
    assert not sample_data.is_drawn(organ)
    layers = open_sample()
    assert [state["name"].split()[0] for _, state, kind in layers if kind == "image"] == images
    assert all(f"phantom-{organ}-001" in state["name"] for _, state, _ in layers)
    assert sample_data.is_drawn(organ)
    before = sample_data.sample_folder(organ).stat().st_mtime_ns
    open_sample()
    assert sample_data.sample_folder(organ).stat().st_mtime_ns == before
