import os

from nnunet_pancext.io.files import PARTIAL_PREFIX, atomic_path, link_or_copy


def test_a_partial_file_of_a_killed_process_of_the_same_number_is_not_written_through(tmp_path):
    """It may be a hard link to an original."""
    original, source, target = tmp_path / "original", tmp_path / "source", tmp_path / "target"
    original.write_text("original", encoding="utf-8")
    source.write_text("new", encoding="utf-8")
    os.link(original, tmp_path / f"{PARTIAL_PREFIX}{os.getpid()}-target")
    assert link_or_copy(source, target, may_link=False) == "copied"
    os.link(original, tmp_path / f"{PARTIAL_PREFIX}{os.getpid()}-other")
    with atomic_path(tmp_path / "other") as partial:
        partial.write_text("new", encoding="utf-8")
    assert (original.read_text(encoding="utf-8"), target.read_text(encoding="utf-8")) == ("original", "new")
