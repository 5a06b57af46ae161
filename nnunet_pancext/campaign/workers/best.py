"""Calls nnU-Net's find_best_configuration for the models of one trainer, and keeps what it found."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nnunet_pancext.campaign.kinds.best import Best
from nnunet_pancext.campaign.workers.child_watch import ended_with_children
from nnunet_pancext.campaign.workers.exit_code import with_exit_code
from nnunet_pancext.campaign.workers.waiting_lock import waiting_lock
from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.disk import write_errors_as_pancext
from nnunet_pancext.io.files import write_json
from nnunet_pancext.nnunet_files.folders import RESULTS, existing_folder


def find_best(step: Best, out: Path) -> None:
    """Find the best configuration and write it to `out`, as nnU-Net writes inference_information.json.

    nnU-Net averages pairs of models where there are several, which needs their validation probabilities.

    Raises:
        PancextError: nnU-Net refuses the models, or the disk is full.
    """
    from nnunetv2.configuration import default_num_processes
    from nnunetv2.evaluation.find_best_configuration import find_best_configuration

    models = [
        {"plans": model.plans, "configuration": model.configuration, "trainer": model.trainer}
        for model in step.models
    ]
    with waiting_lock(existing_folder(RESULTS) / step.dataset / ".best.lease"), ended_with_children():
        try:
            found = find_best_configuration(
                step.dataset,
                models,
                num_processes=default_num_processes,
                folds=[int(fold) if fold.isdecimal() else fold for fold in step.folds],
            )
        except (AssertionError, RuntimeError) as error:
            raise PancextError(
                f"nnU-Net cannot compare the models of {step.trainer}: {error}. Complete their trainings."
            ) from error
    with write_errors_as_pancext(out, option="-o"):
        out.parent.mkdir(parents=True, exist_ok=True)
        write_json(out, found)


@with_exit_code
def main(arguments: Sequence[str] | None = None) -> None:
    """Run as a step's command does."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("dataset", "trainer"):
        parser.add_argument(name)
    for name in ("--plans", "--configurations", "--folds"):
        parser.add_argument(name, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parsed = parser.parse_args(arguments)
    step = Best(
        name="best",
        dataset=parsed.dataset,
        trainer=parsed.trainer,
        plans=tuple(parsed.plans),
        configurations=tuple(parsed.configurations),
        folds=tuple(parsed.folds),
    )
    find_best(step, parsed.out)


if __name__ == "__main__":
    sys.exit(main())
