"""Files and folders that are there whole or not at all, and errors that say which."""

import pytest

from napari_mmssl.atomic import make_folder, replacing, write_json, write_text
from napari_mmssl.errors import WriteError


def test_a_block_that_fails_leaves_what_was_there_and_nothing_else(tmp_path):
    def write_half():
        with replacing(tmp_path / "a.txt") as aside:
            aside.write_text("half")
            raise RuntimeError

    write_text(tmp_path / "a.txt", "before")
    with pytest.raises(RuntimeError):
        write_half()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["before"]


def test_nan_is_not_written_as_json(tmp_path):
    """Other readers refuse it."""
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"dice": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_folder_whose_name_a_file_has_is_an_error_of_ours(tmp_path):
    (tmp_path / "taken").write_text("a file")
    for folder in (tmp_path / "taken", tmp_path / "taken/below"):
        with pytest.raises(WriteError, match=f"cannot make the folder '{folder}'"):
            make_folder(folder)
        with pytest.raises(WriteError, match="cannot write"):
            write_text(folder / "a.txt", "text")
    make_folder(tmp_path / "new/below")
    make_folder(tmp_path / "new/below")
    assert (tmp_path / "new/below").is_dir()
