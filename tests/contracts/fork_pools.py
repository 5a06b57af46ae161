"""Pools of processes that are forked from one that has imported nnU-Net, in place of nnU-Net's spawned ones.

Each spawned process imports PyTorch and nnU-Net anew, which takes longer than its work on a few small cases.
"""

import os
import socket
from importlib import import_module
from multiprocessing import context, forkserver
from multiprocessing.connection import arbitrary_address
from pathlib import Path

IMPORTED = (
    "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints",
    "nnunetv2.run.run_training",
    "nnunetv2.inference.predict_from_raw_data",
    "nnunet_pancext.trainers",
)
TESTS = Path(__file__).resolve().parents[1]
# Python runs it at its start. The other programs of a campaign need no PyTorch.
SITE = """\
import sys

if any(word == "predict" or ".workers." in word or "nnUNetv2_" in word for word in sys.orig_argv):
    from contracts.fork_pools import fork_pools, import_nnunet

    import_nnunet()
    fork_pools()
"""


def import_nnunet() -> None:
    """Import what nnU-Net's commands do."""
    for module in IMPORTED:
        import_module(module)


def fork_pools() -> None:
    """Start a server that is a copy of this process, which must be without threads, for what it spawns later.

    It ends with this process and those that it has forked.
    """
    server = forkserver._forkserver
    address = arbitrary_address("AF_UNIX")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    is_used, use = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(use)
            forkserver.main(listener.detach(), is_used, [])
        finally:
            os._exit(0)
    listener.close()
    os.close(is_used)
    server._forkserver_address, server._forkserver_alive_fd, server._forkserver_pid = address, use, pid
    context._concrete_contexts["spawn"] = context.ForkServerContext()


def forking_site(folder: Path) -> str:
    """Return a PYTHONPATH with which the commands of nnU-Net and of campaigns fork their pools."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE, encoding="utf-8")
    return os.pathsep.join([str(folder), str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
