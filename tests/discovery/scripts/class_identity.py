"""Prints whether the classes that nnU-Net finds are those that the package defines.

With `--workers` also in worker processes. Every value printed should be true.
"""

import argparse
import importlib
import json
import multiprocessing
import pickle

from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name


def import_from_package(name: str) -> type:
    return getattr(importlib.import_module("nnunet_pancext.trainers"), name)


def in_this_process(name: str) -> dict[str, bool]:
    found = recursive_find_trainer_class_by_name(name)
    return {
        "imported before a second lookup": import_from_package(name) is found,
        "found again": recursive_find_trainer_class_by_name(name) is found,
        "imported after a second lookup": import_from_package(name) is found,
        "pickled and unpickled": pickle.loads(pickle.dumps(found)) is found,
    }


def in_worker(received: type) -> dict[str, bool]:
    return {
        "received and found": recursive_find_trainer_class_by_name(received.__name__) is received,
        "received and imported": import_from_package(received.__name__) is received,
    }


def in_workers(names: list[str]) -> dict[str, dict[str, dict[str, bool]]]:
    trainers = [import_from_package(name) for name in names]
    pools = {method: multiprocessing.get_context(method).Pool(1) for method in ("spawn", "forkserver")}
    waiting = {method: pool.map_async(in_worker, trainers) for method, pool in pools.items()}
    answers = {method: dict(zip(names, answer.get(), strict=True)) for method, answer in waiting.items()}
    for pool in pools.values():
        pool.close()
        pool.join()
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--workers", action="store_true")
    arguments = parser.parse_args()
    answers = {"main": {name: in_this_process(name) for name in arguments.names}}
    if arguments.workers:
        answers.update(in_workers(arguments.names))
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
