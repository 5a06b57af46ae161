"""When `pancext predict` uses an earlier result again."""

import json
import shutil

import pytest
import SimpleITK as sitk
from prediction.made_models import CHECKPOINT, predict, record, write_image

from nnunet_pancext.prediction import case_result
from nnunet_pancext.prediction.self_test import kept


def edit(file, **changes):
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


class TestKeptCases:
    """A second run predicts what has changed."""

    @pytest.fixture
    def out(self, model, image, tmp_path):
        assert predict(image, "-o", tmp_path / "out", "-m", model) == 0
        return tmp_path / "out"

    @pytest.fixture
    def is_kept(self, model, image, out, capsys):
        def check(*words, model=model):
            capsys.readouterr()
            assert predict(image, "-o", out, "-m", model, *words) == 0
            return "ct: kept\n" in capsys.readouterr().out

        return check

    def test_nothing_changed(self, is_kept, out):
        before = {path.name: path.stat().st_mtime_ns for path in out.iterdir()}
        assert is_kept()
        assert {path.name: path.stat().st_mtime_ns for path in out.iterdir()} == before

    def test_another_number_of_threads(self, is_kept):
        assert is_kept("--threads", 2)

    def test_the_model_was_moved(self, is_kept, model, tmp_path):
        assert is_kept(model=shutil.copytree(model, tmp_path / "moved" / model.name))

    def test_the_image_changed(self, is_kept, image):
        write_image(image, seed=7)
        assert not is_kept()

    @pytest.mark.parametrize(
        "words", [["--disable_tta"], ["--entropy"], ["-f", 0], ["--lesions", "pancreas"]]
    )
    def test_an_option_changed(self, is_kept, words):
        assert not is_kept(*words)

    def test_the_model_changed(self, is_kept, model, tmp_path):
        other = shutil.copytree(model, tmp_path / "other" / model.name)
        shutil.copyfile(other / "fold_0" / CHECKPOINT, other / "fold_1" / CHECKPOINT)
        assert not is_kept(model=other)

    @pytest.mark.parametrize(
        ("package", "expected"), [("nnunet_pancext", False), ("nnunetv2", False), ("torch", True)]
    )
    def test_a_version_changed(self, is_kept, out, package, expected):
        edit(out / "ct.json", versions={**record(out)["versions"], package: "0.0.1"})
        assert is_kept() == expected

    def test_training_volumes_became_known(self, is_kept, out, monkeypatch):
        assert not is_kept("--speed", "balanced")
        assert is_kept("--speed", "balanced")
        monkeypatch.setattr(case_result, "plausible_volumes_ml", lambda folder, announce: (1e-3, 1e3))
        assert not is_kept("--speed", "balanced")
        assert record(out)["options"]["plausible_ml"] == [[1e-3, 1e3]]
        assert is_kept("--speed", "balanced")

    def test_a_self_test_was_run_since(self, is_kept, out, monkeypatch):
        monkeypatch.setattr(kept, "self_test_summary", lambda *words, **options: {"cases": 3})
        assert is_kept()
        assert record(out)["self_test"] == {"cases": 3}

    def test_the_label_map_is_gone(self, is_kept, out):
        (out / "ct.nii.gz").unlink()
        assert not is_kept()
        assert (out / "ct.nii.gz").is_file()

    @pytest.mark.parametrize("left", [0, 0.5])
    def test_the_label_map_was_cut(self, is_kept, out, left):
        content = (out / "ct.nii.gz").read_bytes()
        (out / "ct.nii.gz").write_bytes(content[: int(left * len(content))])
        assert not is_kept()
        assert (out / "ct.nii.gz").read_bytes() == content

    def test_a_label_map_that_was_edited(self, is_kept, out):
        label_map = sitk.ReadImage(out / "ct.nii.gz")
        sitk.WriteImage(label_map * 0, out / "ct.nii.gz")
        edited = (out / "ct.nii.gz").read_bytes()
        assert is_kept()
        assert (out / "ct.nii.gz").read_bytes() == edited

    def test_further_files_of_an_earlier_image_go(self, model, image, tmp_path):
        out, words = tmp_path / "all", ("--save_probabilities", "--entropy", "--per-fold")
        assert predict(image, "-o", out, "-m", model, *words) == 0
        further = {"ct.npz", "ct.pkl", "ct_entropy.nii.gz", "fold_0/ct.nii.gz", "fold_1/ct.nii.gz"}
        assert further <= {str(path.relative_to(out)) for path in out.rglob("*")}
        (out / "fold_0" / "note.txt").write_text("of the user", encoding="utf-8")
        write_image(image, seed=7)
        assert predict(image, "-o", out, "-m", model) == 0
        assert not further & {str(path.relative_to(out)) for path in out.rglob("*")}
        assert (out / "fold_0" / "note.txt").is_file()

    def test_files_that_the_earlier_prediction_did_not_write_stay(self, is_kept, out, image):
        (out / "ct.npz").write_bytes(b"of the user")
        write_image(image, seed=7)
        assert not is_kept()
        assert (out / "ct.npz").read_bytes() == b"of the user"

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "inputs": 3}']
    )
    def test_the_record_is_damaged(self, is_kept, out, text):
        (out / "ct.json").write_text(text, encoding="utf-8")
        assert not is_kept()
