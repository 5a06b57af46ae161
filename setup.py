"""What pyproject.toml cannot say: ship `nnunet_pancext.pth` in normal and in editable wheels.

The file lets stock nnU-Net commands find the trainers; see `nnunet_pancext_discovery.py`.
"""

import base64
import hashlib
import os
import shutil
import zipfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.editable_wheel import editable_wheel

PTH = Path(__file__).parent / "nnunet_pancext.pth"


class BuildPyWithPth(build_py):
    """Put the `.pth` file beside the package in a normal wheel."""

    def run(self):
        super().run()
        if not self.editable_mode:
            self.copy_file(str(PTH), str(Path(self.build_lib) / PTH.name))

    def get_outputs(self, include_bytecode=True):
        extra = [] if self.editable_mode else [str(Path(self.build_lib) / PTH.name)]
        return super().get_outputs(include_bytecode) + extra


class EditableWheelWithPth(editable_wheel):
    """Add the `.pth` file, with its line in RECORD, to an editable wheel."""

    def run(self):
        super().run()
        for wheel in Path(self.dist_dir).glob("nnunet_pancext-*.whl"):
            add_to_wheel(wheel, PTH)


def add_to_wheel(wheel: Path, extra: Path) -> None:
    """Rewrite `wheel` with the file `extra` at its root and in its RECORD, if it is not there already."""
    content = extra.read_bytes()
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    partial = wheel.with_suffix(".partial")
    with zipfile.ZipFile(wheel) as old:
        if extra.name in old.namelist():
            return
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as new:
        for item in old.infolist():
            data = old.read(item)
            if item.filename.endswith(".dist-info/RECORD"):
                data = f"{extra.name},sha256={digest},{len(content)}\n".encode() + data
            new.writestr(item, data)
        new.writestr(extra.name, content)
    shutil.copymode(wheel, partial)
    os.replace(partial, wheel)


setup(cmdclass={"build_py": BuildPyWithPth, "editable_wheel": EditableWheelWithPth})
