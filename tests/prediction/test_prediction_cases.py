"""Which cases files and folders are, and the time that a prediction has to go."""

import io
from pathlib import Path

import pytest

from nnunet_pancext.nnunet_commands.console import Console
from nnunet_pancext.prediction.cases import find_cases
from nnunet_pancext.prediction.progress import Progress

ENDINGS = (".nii.gz", ".nrrd", ".nii")


def cases(*names, channels=1):
    found = find_cases(map(Path, names), endings=ENDINGS, num_channels=channels)
    return {case.name: [file.name for file in case.files] for case in found.cases}


@pytest.mark.parametrize(
    ("name", "case"),
    [
        ("ct.nii.gz", "ct"),
        ("ct_0000.nii.gz", "ct"),
        ("ct_2023.nii.gz", "ct_2023"),
        ("ct.v2.nii", "ct.v2"),
        ("CT.NII.GZ", "CT"),
        ("a b_0000.nrrd", "a b"),
        ("0000.nii", "0000"),
        ("_0000.nii", "_0000"),
    ],
)
def test_a_file_of_a_model_with_one_channel_has_any_name(name, case):
    assert cases(name) == {case: [name]}


def test_files_of_several_channels_are_grouped_in_their_order():
    given = ("b_0001.nii.gz", "a_0000.nii.gz", "a_0001.nrrd", "b_0000.nii.gz")
    assert cases(*given, channels=2) == {
        "b": ["b_0000.nii.gz", "b_0001.nii.gz"],
        "a": ["a_0000.nii.gz", "a_0001.nrrd"],
    }


def test_a_folder_is_read_in_nnunets_naming(tmp_path):
    for name in ("b_0000.nii.gz", "a_0000.nii", "notes.txt", ".a_0000.nii.gz", "other.nii.gz", "a_1.nii.gz"):
        (tmp_path / name).touch()
    found = find_cases([tmp_path], endings=ENDINGS, num_channels=1)
    assert [case.name for case in found.cases] == ["a", "b"]
    assert [path.name for path in found.left_out] == ["a_1.nii.gz", "other.nii.gz"]


class TestProgress:
    @pytest.fixture
    def stream(self):
        return io.StringIO()

    @pytest.fixture
    def progress(self, stream):
        self.now = 0.0
        return Progress(Console(stream, clock=lambda: self.now), clock=lambda: self.now)

    def run_window(self, progress, *, seconds, forwards):
        self.now += seconds
        progress.on_window(forwards)

    def test_the_time_is_unknown_before_the_first_window(self, progress, stream):
        progress.begin_case("ct", number=1, of=1)
        progress.begin_model("m")
        progress.announce("the whole image", 16)
        assert stream.getvalue() == "      ct: the whole image, 16 forward passes\n"

    def test_it_is_printed_as_soon_as_it_is_known(self, progress, stream):
        progress.begin_case("ct", number=1, of=1)
        progress.begin_model("m")
        progress.announce("the whole image", 100)
        self.run_window(progress, seconds=9, forwards=2)
        self.run_window(progress, seconds=3, forwards=2)  # 3 s each
        self.run_window(progress, seconds=3, forwards=2)
        assert stream.getvalue().splitlines()[1:] == ["      ct: about 5 min to go"]

    def test_a_terminal_is_not_flooded(self, progress, stream, monkeypatch):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        progress.begin_case("ct", number=1, of=1)
        progress.begin_model("m")
        progress.announce("the whole image", 100)
        before = stream.getvalue().count("\r")
        for _ in range(100):
            self.run_window(progress, seconds=0.01, forwards=1)
        assert stream.getvalue().count("\r") - before <= 5

    def test_a_later_pass_is_announced_with_its_time(self, progress, stream):
        progress.begin_case("ct", number=2, of=3)
        progress.begin_model("m")
        progress.announce("the coarse pass", 2)
        self.run_window(progress, seconds=3, forwards=1)
        self.run_window(progress, seconds=1, forwards=1)
        progress.announce("windows near the foreground", 32)  # 2 s each
        assert (
            "ct (2 of 3): windows near the foreground, 32 forward passes, about 1 min\n" in stream.getvalue()
        )

    def test_no_line_stays_of_a_pass_of_seconds(self, progress, stream):
        progress.begin_case("ct", number=1, of=1)
        progress.begin_model("m")
        progress.announce("the coarse pass", 2)
        self.run_window(progress, seconds=2, forwards=2)
        progress.announce("further windows", 9)
        assert "further windows" not in stream.getvalue()
        progress.announce("further windows", 10)
        assert "further windows, 10 forward passes, about 10 s" in stream.getvalue()

    def test_a_pipe_gets_a_line_a_minute(self, progress, stream):
        progress.begin_case("ct", number=1, of=1)
        progress.begin_model("m")
        progress.announce("the whole image", 100)
        for _ in range(70):
            self.run_window(progress, seconds=2, forwards=1)
        lines = stream.getvalue().splitlines()
        assert lines[1:] == [
            "      ct: about 3 min to go",
            "      ct: 32 of 100 forward passes, 2 min to go",
            "      ct: 62 of 100 forward passes, 1 min to go",
        ]

    def test_models_are_measured_apart(self, progress, stream):
        progress.begin_case("ct", number=1, of=1)
        for model, seconds in (("slow", 10), ("quick", 1)):
            progress.begin_model(model)
            progress.announce("one", 1)
            self.run_window(progress, seconds=seconds, forwards=1)
        progress.begin_model("slow")
        progress.announce("two", 2)
        assert "two, 2 forward passes, about 20 s" in stream.getvalue()
