"""A fresh virtual environment that has all dependencies of the running one, but not nnunet_pancext."""

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "scripts"
PACKAGE = "nnunet_pancext"
VARIABLE = "nnUNet_extTrainer"
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "SYSTEMROOT")


def link_dependencies(folder: Path) -> Path:
    """Fill `folder` with links to everything installed beside the running Python, except this package.

    Python handles `.pth` files only in its own site-packages, and nothing here is called like the package,
    so neither its files nor its metadata can be found by way of this folder.
    """
    folder.mkdir(parents=True)
    for parent in (Path(entry) for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))):
        for item in parent.iterdir():
            link = folder / item.name
            foreign = PACKAGE not in item.name and item.suffix != ".pth" and item.name != "__pycache__"
            if foreign and not link.exists():
                link.symlink_to(item)
    return folder


class ChildEnvironment:
    """A virtual environment below `root`, which sees the packages in the folder `dependencies`.

    Its processes start with next to no environment variables: above all no PYTHONPATH and no
    `nnUNet_extTrainer`, unless a test gives one.
    """

    def __init__(self, root: Path, *, dependencies: Path) -> None:
        self.root = root
        venv.EnvBuilder(symlinks=os.name != "nt").create(root)
        self.executable = root / "bin" / "python"
        self.site_packages = (
            root / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
        )
        (self.site_packages / "zz_dependencies.pth").write_text(f"{dependencies}\n", encoding="utf-8")

    def files(self) -> list[str]:
        """Return every path of the environment, folders included, relative to its root."""
        return sorted(str(path.relative_to(self.root)) for path in self.root.rglob("*"))

    def pip(self, *arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the running Python's pip on this environment."""
        command = [sys.executable, "-m", "pip", "--python", self.executable, "--quiet", *arguments]
        variables = {key: value for key, value in os.environ.items() if key not in (VARIABLE, "PYTHONPATH")}
        return _run(command, cwd=self.root, env=variables, check=check)

    def install(self, *requirement: str | Path) -> None:
        """Install `requirement` without its dependencies and without the network."""
        self.pip("install", "--no-index", "--no-deps", "--no-build-isolation", *requirement)

    def python(
        self, *arguments: str | Path, check: bool = True, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run this environment's Python with the environment `variables`."""
        clean = {key: os.environ[key] for key in INHERITED if key in os.environ}
        clean["OMP_NUM_THREADS"] = "1"
        clean["OMP_WAIT_POLICY"] = "PASSIVE"  # nnU-Net's own commands take more threads than one
        return _run(
            [self.executable, *arguments], cwd=cwd or self.root, env={**clean, **variables}, check=check
        )

    def report(self, script: str, *arguments: str | Path, **variables: str) -> Any:
        """Run a file of `scripts/` and return what it printed as JSON in its last line."""
        done = self.python(SCRIPTS / script, *arguments, **variables)
        return json.loads(done.stdout.splitlines()[-1])


def _run(
    command: list[str | Path], *, cwd: Path, env: dict[str, str], check: bool
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300)
    if check and done.returncode:
        raise AssertionError(f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done
