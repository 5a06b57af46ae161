"""Lets stock nnU-Net commands find the trainers: called by `nnunet_pancext.pth` at every start of Python.

nnU-Net (from 2.8.0 on) looks for trainers in the folders that the environment variable `nnUNet_extTrainer`
lists. `register` appends one folder to it, with one module that passes the trainers on. Child processes
inherit the variable; a user's own value stays in front.

This runs in every Python process of the environment. So: standard library only, next to no work, no errors.
"""

import os
import sys

VARIABLE = "nnUNet_extTrainer"
BRIDGE_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "nnunet_pancext", "trainer_bridge")
OLDEST_NNUNET = "2.8.0"

_advised = False


def register() -> None:
    """Put the bridge folder last in `nnUNet_extTrainer`, once."""
    try:
        listed = os.environ.get(VARIABLE, "").split(os.pathsep)
        users_folders = [folder for folder in listed if folder and folder != BRIDGE_FOLDER]
        os.environ[VARIABLE] = os.pathsep.join([*users_folders, BRIDGE_FOLDER])
        _advise_once()
    except Exception:  # a plugin must never keep an interpreter from starting
        return


def outdated_nnunet_message() -> str | None:
    """Return the problem with the installed nnU-Net and its remedy, or None if there is none."""
    found = _installed_nnunet()
    if found is None:
        return f'nnU-Net is not installed. Install it: pip install "nnunetv2>={OLDEST_NNUNET}"'
    if _release(found) < _release(OLDEST_NNUNET):
        return (
            f"nnunetv2 {found} is too old: it cannot find trainers outside its own folder. "
            f'Install a newer one: pip install -U "nnunetv2>={OLDEST_NNUNET}"'
        )
    return None


def _advise_once() -> None:
    # Python handles the `.pth` files of a virtual environment twice, and importing the package registers too.
    global _advised
    if _advised or not _is_nnunet_command():
        return
    _advised = True
    advice = outdated_nnunet_message()
    if advice:
        sys.stderr.write(f"nnunet_pancext: {advice}\n")


def _is_nnunet_command() -> bool:
    return any(os.path.basename(word).startswith("nnUNetv2_") for word in sys.orig_argv[:3])


def _installed_nnunet() -> str | None:
    """Return nnunetv2's version, if possible from a folder's name: `importlib.metadata` loads in 30 ms."""
    for folder in sys.path:
        try:
            names = os.listdir(folder or os.curdir)
        except OSError:
            continue
        for name in names:
            if name.startswith("nnunetv2-") and name.endswith(".dist-info"):
                return name[len("nnunetv2-") : -len(".dist-info")]
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("nnunetv2")
    except PackageNotFoundError:
        return None


def _release(version: str) -> tuple[int, ...]:
    numbers = []
    for part in [*version.split("."), "0", "0"][:3]:
        digits = "".join(character for character in part if character.isdigit())
        numbers.append(int(digits or 0))
    return tuple(numbers)
