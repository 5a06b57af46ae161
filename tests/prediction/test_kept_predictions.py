"""When `pancext predict` uses an earlier result again."""

import json
import shutil

import pytest
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

    @pytest.mark.parametrize(
        "text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "inputs": 3}']
    )
    def test_the_record_is_damaged(self, is_kept, out, text):
        (out / "ct.json").write_text(text, encoding="utf-8")
        assert not is_kept()
