"""Prints what stock nnU-Net finds for each trainer name on the command line."""

import json
import sys

from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name


def resolve(name: str) -> str:
    try:
        trainer = recursive_find_trainer_class_by_name(name)
    except RuntimeError as error:
        return f"RuntimeError: {error}"
    return f"{trainer.__module__}.{trainer.__qualname__}"


if __name__ == "__main__":
    print(json.dumps({name: resolve(name) for name in sys.argv[1:]}))
