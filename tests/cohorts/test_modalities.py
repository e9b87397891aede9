import pytest

from napari_mmssl.cohorts.modalities import MODALITIES, UNKNOWN, canonical, in_order


@pytest.mark.parametrize("name", MODALITIES)
def test_a_canonical_name_stands_for_itself(name):
    assert canonical(name) == canonical(name.upper()) == name


@pytest.mark.parametrize(
    ("spellings", "wanted"),
    [
        ("T1 t1w T1n T1-weighted MPRAGE", "t1"),
        ("T1C t1ce T1Gd T1_post t1-ce ceT1w ce-gadolinium_T1w T1wCE", "t1ce"),
        ("T2 t2w T2-weighted hrT2", "t2"),
        ("FLAIR t2f T2_FLAIR T2-FLAIR", "flair"),
        ("T2* T2s T2star T2starw", "t2star"),
        ("PD PDw", "pd"),
        ("ADC adc_map", "adc"),
        ("MRI", "mr"),
        ("TRUS ultrasound", "us"),
    ],
)
def test_spellings_met_in_the_wild(spellings, wanted):
    assert {spelling: canonical(spelling) for spelling in spellings.split()} == dict.fromkeys(spellings.split(), wanted)


@pytest.mark.parametrize(
    "token", ["", "t", "1", "t3", "seg", "0000", "noNorm", "zscore", "chunk", "brain", UNKNOWN, "t1t2"]
)
def test_what_is_not_known_is_not_guessed(token):
    assert canonical(token) is None


def test_modalities_are_listed_in_the_usual_order():
    assert in_order({"ct", "flair", "t2", "zz", "t1ce", "aa", "t1"}) == ["t1", "t1ce", "t2", "flair", "ct", "aa", "zz"]
