"""Damaged lists, manifests and tables: one sentence or findings, whatever the bytes."""

import json

import numpy as np
import pytest
from layout_trees import TREES

from napari_mmssl.cohorts.find import find_cohort
from napari_mmssl.errors import MmsslError
from napari_mmssl.workflows.manifest import save_manifest

#: Layouts that read a small text file, and which.
TEXTS = {
    "manifest": "mine.csv",
    "image_list": "brainmvp.json",
    "openmind": "pretrain_data.json",
    "msd": "dataset.json",
    "bids": "participants.tsv",
    "upenn_gbm": "UPENN-GBM_clinical_info_v2.1.csv",
}
N_TRIES = 25


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """Cut, flip, repeat, or put in bytes that mean something to a parser."""
    way = rng.integers(5)
    at = int(rng.integers(len(data)))
    if way == 0:
        return data[:at]
    if way == 1:
        return data[:at] + bytes([int(rng.integers(256))]) + data[at + 1 :]
    if way == 2:
        return data[:at] + data[at // 2 :]
    signs = [b'"', b",", b"\n", b"\0", b"[", b"{", b"null", b"1e999", b"-1", b"\xff\xfe", b"../" * 50, b"0" * 400]
    put = signs[int(rng.integers(len(signs)))]
    return data[:at] + put + (data[at + 5 :] if way == 3 else data[at:])


@pytest.mark.parametrize("layout", TEXTS)
def test_only_sentences_come_of_damaged_text(tmp_path, write_nifti, rng, layout):
    root = tmp_path / "cohort"
    root.mkdir()
    asked = TREES[layout].make(root, write_nifti, rng) or root
    (path,) = root.rglob(TEXTS[layout])
    whole = path.read_bytes()
    said = []
    for _ in range(N_TRIES):
        path.write_bytes(damaged(whole, rng))
        try:
            find_cohort(asked)
        except MmsslError as error:
            said.append(str(error))
    assert [text for text in said if "\n" in text or not (str(root) in text or "case '" in text)] == []


@pytest.mark.parametrize("name", ["m.csv", "m.tsv", "m.json"])
def test_bytes_of_no_kind_are_refused(tmp_path, rng, name):
    for n in (0, 1, 100, 100_000):
        (tmp_path / name).write_bytes(rng.bytes(n))
        with pytest.raises(MmsslError):
            find_cohort(tmp_path / name)
    (tmp_path / "m.json").write_text("[" * 100_000)
    with pytest.raises(MmsslError):
        find_cohort(tmp_path / "m.json")


def test_a_manifest_of_a_manifest_of_damaged_files_can_be_written(tmp_path, write_nifti, rng):
    root = tmp_path / "cohort"
    root.mkdir()
    for n, name in enumerate(("a/t1.nii.gz", "a/t2.nii.gz", "b/t1.nii.gz")):
        path = write_nifti(root / name)
        path.write_bytes(path.read_bytes()[: 30 * n])
    save_manifest(find_cohort(root), tmp_path / "one.json")
    first = find_cohort(tmp_path / "one.json")
    save_manifest(first, tmp_path / "two.csv")
    again = find_cohort(tmp_path / "two.csv")
    assert [case.id for case in again.cases] == [case.id for case in first.cases] == ["a", "b"]
    assert json.loads((tmp_path / "one.json").read_text())["rows"][0]["reason"] == "nothing was found that can be read"
