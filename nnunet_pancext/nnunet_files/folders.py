"""nnU-Net's three folders, named by environment variables.

nnU-Net uses the text of a variable literally. A value that only a shell would have understood is refused:
with ~/raw in quotes, nnU-Net would work in a folder called `~`.
"""

import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from nnunet_pancext.errors import PancextError

RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"
DUTIES = {
    RAW: "raw datasets, written by the conversion",
    PREPROCESSED: "preprocessed data and plans; needs a fast disk",
    RESULTS: "trained models",
}
BLANKS = " \t\r\n\v\f\xa0\ufeff\u200b"  # with a no-break space, a byte order mark and a zero-width space
# What only a shell understands: how it is recognised and called, and what a shell would have made of it.
SHELL_SYNTAX: tuple[tuple[str, str, Callable[[str], str]], ...] = (
    (
        rf"^[{BLANKS}]|[{BLANKS}]\Z",
        "a blank or line break at its start or end",
        lambda text: text.strip(BLANKS),
    ),
    (r"\s#", "a comment (#)", lambda text: re.split(r"\s+#", text)[0]),
    (
        "[\"\u201c\u201d]|^['\u2018\u2019]|['\u2018\u2019]\\Z",
        "quotation marks",
        lambda text: re.sub("[\"'\u201c\u201d\u2018\u2019]", "", text).strip(BLANKS),
    ),
    ("^~", "~ in place of the home folder", os.path.expanduser),
    (r"\$[\w{(]|`|%\w+%", "a variable or command, as $HOME, in place of its value", os.path.expandvars),
    *([(r"\\", "a backslash", lambda text: text.replace("\\ ", " "))] if os.sep == "/" else []),
    (r"[\r\n]", "a line break", str),
)


def nnunet_folder(variable: str) -> Path | None:
    """Return the folder that an environment variable names; None if it is not set.

    Raises:
        PancextError: the value is not meant literally, see `misread_value`.
    """
    value = os.environ.get(variable)
    if not value:
        return None
    if fault := misread_value(variable, value):
        raise PancextError(f"{variable} {fault[0]}. Set it to the path itself: {fault[1]}")
    return Path(value)


def misread_value(variable: str, value: str) -> tuple[str, str] | None:
    """Return what a shell would have removed or replaced in the value, and the line that sets it right.

    None where there is nothing of the kind, and for the name of a folder that exists.
    """
    if os.path.isdir(value):
        return None
    text, faults = value, []
    for pattern, fault, repair in SHELL_SYNTAX:
        if re.search(pattern, text):
            faults.append(fault)
            text = repair(text)
    if not faults:
        return None
    is_repaired = text and not any(re.search(pattern, text) for pattern, *_ in SHELL_SYNTAX)
    path = shlex.quote(os.path.abspath(text)) if is_repaired else f"/path/to/{variable}"
    problem = f"is {value!r}, with {' and '.join(faults)}; nnU-Net would take this literally"
    return problem, f"export {variable}={path}"


def relative_value(variable: str) -> tuple[str, str] | None:
    """Return why a relative path in the variable is risky, and the line that makes it absolute; else None."""
    value = os.environ.get(variable)
    if not value or os.path.isabs(value) or misread_value(variable, value):
        return None
    problem = f"is {value}, a relative path: another folder in each folder that a command is started in"
    return problem, f"export {variable}={shlex.quote(os.path.abspath(value))}"


def set_folder(variable: str) -> Path:
    """Return the folder that an environment variable names, there or not; PancextError if unset."""
    folder = nnunet_folder(variable)
    if folder is None:
        raise PancextError(
            f"{variable} is not set, so nnU-Net's files cannot be found. "
            f"Set it as for training: export {variable}=/path/to/{variable}"
        )
    return folder


def existing_folder(variable: str) -> Path:
    """Return the folder that an environment variable names; PancextError if unset or not a folder."""
    folder = set_folder(variable)
    if not folder.is_dir():
        raise PancextError(f"{variable} is {folder}, which is not a folder. Set it as for training.")
    return folder


def raw_root() -> Path:
    """Return the folder of raw datasets; raises PancextError if nnUNet_raw is not set."""
    folder = nnunet_folder(RAW)
    if folder is None:
        raise PancextError(
            "nnUNet_raw is not set, so there is no folder for the dataset. Set it, for example "
            "export nnUNet_raw=$HOME/nnunet/raw, or give the folder with --out."
        )
    return folder


def find_dataset_folder(variable: str, name: str, *, holding: str = "") -> Path:
    """Return the one dataset of this name or number, `holding` a file, in the folder of `variable`."""
    root = existing_folder(variable)
    datasets = [path for path in sorted(root.glob("Dataset*")) if path.is_dir() and (path / holding).exists()]
    is_number = re.fullmatch("[0-9]+", name)
    pattern = rf"Dataset0*{name.lstrip('0')}_.*" if is_number else re.escape(name)
    matches = [path for path in datasets if re.fullmatch(pattern, path.name)]
    if len(matches) != 1:
        raise PancextError(
            f"There is {'more than one' if matches else 'no'} dataset {name!r} in {variable} ({root}); "
            f"there are: {', '.join(path.name for path in datasets) or 'none'}. Give its number or its name."
        )
    return matches[0]


def datasets_of_number(folder: Path) -> list[str]:
    """Return the names in nnU-Net's three folders that nnU-Net finds by the number of this raw dataset.

    Empty for a folder that is not in nnUNet_raw, which nnU-Net does not look up.
    """
    number = re.match("Dataset[0-9]{3,}", folder.resolve().name)
    try:
        roots = [root for variable in DUTIES if (root := nnunet_folder(variable)) and root.is_dir()]
        raw = nnunet_folder(RAW)
    except PancextError:
        return []  # for a folder given by its path the variables do not matter
    if number is None or raw is None or folder.resolve().parent != raw.resolve():
        return []
    return sorted({path.name for root in roots for path in root.glob(f"{number[0]}*") if path.is_dir()})


def require_all_folders_set() -> None:
    """Raise PancextError, with the lines to type, unless all three variables are set."""
    missing = [variable for variable in DUTIES if nnunet_folder(variable) is None]
    if missing:
        lines = "\n".join(
            f"  export {variable}=$HOME/nnunet/{variable.removeprefix('nnUNet_')}    # {DUTIES[variable]}"
            for variable in missing
        )
        raise PancextError(f"{', '.join(missing)} not set. nnU-Net's commands need:\n{lines}")


def starts_with_variable(path: str) -> bool:
    """Return whether a path is written like $nnUNet_raw/…, with one of the three variables."""
    return path.split("/")[0] in {f"${variable}" for variable in DUTIES}


def expand(path: str) -> str:
    """Return the path with the folder in place of a variable at its start; PancextError if that is unset."""
    if not starts_with_variable(path):
        return path
    variable, *rest = path.split("/")
    return "/".join([str(set_folder(variable.removeprefix("$"))), *rest])
