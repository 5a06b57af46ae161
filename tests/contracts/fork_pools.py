"""Pools of processes that are forked from one that has imported nnU-Net, in place of nnU-Net's spawned ones.

Each spawned process imports PyTorch and nnU-Net anew, which takes longer than its work on a few small cases.
"""

import os
import socket
import sys
from importlib import import_module
from importlib.metadata import entry_points
from multiprocessing import context, forkserver
from multiprocessing.connection import arbitrary_address
from pathlib import Path

NEEDED = (  # by the work of nnU-Net's pools
    "nnunetv2.evaluation.evaluate_predictions",
    "nnunetv2.experiment_planning.plan_and_preprocess_entrypoints",
    "nnunetv2.inference.data_iterators",
    "nnunetv2.inference.export_prediction",
)
TESTS = Path(__file__).resolve().parents[1]
# Python runs it at its start. The other programs of a campaign need no PyTorch.
SITE = """\
import sys

if any(word == "predict" or ".workers." in word or "nnUNetv2_" in word for word in sys.orig_argv):
    from contracts.fork_pools import import_and_fork_pools

    import_and_fork_pools()
if any(word.endswith(".workers.train") for word in sys.orig_argv):
    from contracts.fork_pools import draw_no_curves

    draw_no_curves()
"""


def import_and_fork_pools() -> None:
    """Import what pools need before they are forked; the command itself would have to import it, too.

    Each process of a pool also imports what the command's script does.
    """
    for module in NEEDED:
        import_module(module)
    for script in entry_points(group="console_scripts", name=Path(sys.orig_argv[1]).name):
        script.load()
    fork_pools()


def draw_no_curves() -> None:
    """Let trainings of seconds draw no curves, which takes longer; `test_stock_commands` has some drawn."""
    from nnunetv2.training.logging.nnunet_logger import LocalLogger

    LocalLogger.plot_progress_png = lambda self, folder: None


def fork_pools() -> None:
    """Start a server that is a copy of this process, from which all that it spawns later is forked.

    To be called before the work begins, since a copy has no threads. The server ends with this process and
    those that it has forked.
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
    paths = [str(folder), str(TESTS), str(TESTS.parent), os.environ.get("PYTHONPATH", "")]
    return os.pathsep.join(filter(None, paths))
