"""Texts that are kept between commands."""

import os
import subprocess
import sys

import pytest

from nnunet_pancext.cli.main import main
from nnunet_pancext.io import kept_text as module
from nnunet_pancext.io.kept_text import kept_text

LISTING = """
import sys
from nnunet_pancext.cli.main import main
main(["trainers"])
print("torch" in sys.modules, file=sys.stderr)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "nnunet_pancext"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return the folder of a package on which the texts depend."""
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "network.py").write_text("width = 16")
    monkeypatch.setattr(module, "PACKAGE", folder)
    return folder


def kept(text: str, *made_from: object, packages: tuple[str, ...] = ()) -> str:
    return kept_text("table", made_from=made_from, packages=packages, make=lambda: text)


def test_a_text_is_made_once_for_each_of_what_it_is_made_from(cache, package):
    assert kept("first\nline 2\n", "2d") == "first\nline 2\n"
    assert kept("second", "2d") == "first\nline 2\n"
    assert kept("another", "3d") == "another"
    assert kept("more", "2d") == "first\nline 2\n"
    assert len(list(cache.iterdir())) == 2


def test_a_changed_file_or_version_makes_it_anew(cache, package, monkeypatch):
    assert kept("first", packages=("torch", "no-such-package")) == "first"
    (package / "network.py").write_text("width = 320")
    assert kept("second", packages=("torch", "no-such-package")) == "second"
    (package / "new.py").write_text("")
    assert kept("third", packages=("torch", "no-such-package")) == "third"
    monkeypatch.setattr(module, "version", lambda package: "99")
    assert kept("fourth", packages=("torch", "no-such-package")) == "fourth"
    assert len(list(cache.iterdir())) == 1


def test_without_a_folder_it_is_made_each_time(tmp_path, package, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    assert [kept("first"), kept("second")] == ["first", "second"]


def test_an_error_is_not_hidden(cache, package):
    def fail() -> str:
        raise OSError("no torch")

    with pytest.raises(OSError, match="no torch"):
        kept_text("table", made_from=(), packages=(), make=fail)


def test_the_second_listing_of_trainers_loads_no_torch(cache, capsys):
    main(["trainers"])
    listed = capsys.readouterr().out
    assert "SegResNetNLTrainer" in listed
    second = subprocess.run([sys.executable, "-c", LISTING], capture_output=True, text=True, check=True)
    assert second.stdout == listed
    assert second.stderr.split()[-1] == "False"
    assert len(os.listdir(cache)) == 1
