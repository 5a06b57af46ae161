"""nnU-Net's own commands as a user runs them, in folders of their own."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from dataclasses import dataclass, replace
from pathlib import Path

SCRIPTS = Path(sysconfig.get_path("scripts"))
SEED = "3"


@dataclass(frozen=True)
class Project:
    """nnU-Net's three folders and a dataset in them."""

    root: Path
    results: Path

    @property
    def raw(self) -> Path:
        return self.root / "raw" / "Dataset007_Pancreas"

    def with_results(self, name: str) -> Project:
        return replace(self, results=self.root / name)

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("nnUNet_")}
        return {
            **kept,
            "nnUNet_raw": str(self.root / "raw"),
            "nnUNet_preprocessed": str(self.root / "preprocessed"),
            "nnUNet_results": str(self.results),
            "nnUNet_def_n_proc": "1",  # each further one takes longer to start than to do its work
            "PANCEXT_SEED": SEED,
            "OMP_NUM_THREADS": "1",
            # nnU-Net uses all processors on a CPU despite the line above: its threads should not spin.
            "OMP_WAIT_POLICY": "PASSIVE",
        }

    def start(self, command: str, *arguments: object) -> subprocess.Popen[str]:
        words = [str(SCRIPTS / command), *map(str, arguments)]
        self.results.mkdir(parents=True, exist_ok=True)
        log = (self.results / f"{command}.log").open("w")
        return subprocess.Popen(
            words, env=self.environment(), stdout=log, stderr=subprocess.STDOUT, text=True
        )

    def run(self, command: str, *arguments: object) -> str:
        code = self.start(command, *arguments).wait(timeout=900)
        output = (self.results / f"{command}.log").read_text()
        assert code == 0, f"{command} {arguments} ended with {code}:\n{output[-3000:]}"
        return output

    def model(self, trainer: str, configuration: str) -> Path:
        return self.results / self.raw.name / f"{trainer}__nnUNetPlans__{configuration}"
