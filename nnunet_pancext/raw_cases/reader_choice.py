"""Which of nnU-Net's readers reads a dataset: the one that dataset.json names, else the first that can."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError
from nnunet_pancext.io.images import quiet_itk
from nnunet_pancext.io.unreadable import UnreadableImage
from nnunet_pancext.nnunet_files.dataset_json import DatasetJson
from nnunet_pancext.raw_cases.readers import ClassReader, NibabelReader, Reader, SimpleITKReader

OVERWRITE = "overwrite_image_reader_writer"


def find_reader(declared: DatasetJson, *, example: Path) -> Reader:
    """Return the reader that nnU-Net chooses; of several for the file ending the first that reads `example`.

    Raises:
        PancextError: nnU-Net has none, or cannot import the one that dataset.json names.
    """
    classes = _named_class(declared) or _classes_for(declared)
    readers = [reader_of(reader_class) for reader_class in classes]
    if len(readers) > 1 and example.is_file():
        with quiet_itk():
            for reader in readers:
                try:
                    reader.channels(example, is_label=False)
                except (RuntimeError, UnreadableImage):
                    continue
                return reader
    return readers[0]


def usual_reader(declared: DatasetJson) -> str:
    """Return the name of the reader that nnU-Net tries first."""
    return (_named_class(declared) or _classes_for(declared))[0].__name__


def names_unknown_reader(declared: DatasetJson) -> bool:
    """Whether dataset.json names a reader that nnU-Net does not have; it then goes by the file ending."""
    return _is_named(declared) and not _named_class(declared)


def _is_named(declared: DatasetJson) -> bool:
    named = declared.content.get(OVERWRITE, "None")
    return isinstance(named, str) and named != "None"


def _named_class(declared: DatasetJson) -> list[Any]:
    from nnunetv2.imageio.reader_writer_registry import recursive_find_reader_writer_by_name

    if not _is_named(declared):
        return []
    try:
        with redirect_stdout(io.StringIO()):
            return [recursive_find_reader_writer_by_name(declared.content[OVERWRITE])]
    except RuntimeError:
        return []
    except Exception as error:  # of a module that a user added there
        raise PancextError(
            f"Cannot check {declared.path.parent}: nnU-Net fails to import the reader "
            f"{declared.content[OVERWRITE]!r} ({type(error).__name__}: {error}). Correct {OVERWRITE} in "
            "dataset.json, or repair that module."
        ) from error


def _classes_for(declared: DatasetJson) -> list[Any]:
    from nnunetv2.imageio.reader_writer_registry import LIST_OF_IO_CLASSES

    ending = declared.file_ending
    classes = [kind for kind in LIST_OF_IO_CLASSES if ending.lower() in kind.supported_file_endings]
    if not classes:
        known = sorted({known for kind in LIST_OF_IO_CLASSES for known in kind.supported_file_endings})
        raise PancextError(
            f"Cannot check {declared.path.parent}: nnU-Net has no reader for the file_ending {ending!r} in "
            f"dataset.json; it reads {', '.join(known)}. Convert the files, or name a reader in {OVERWRITE}."
        )
    return classes


def reader_of(reader_class: Any) -> Reader:
    """Return the reader that reads what this class of nnU-Net reads."""
    name = reader_class.__name__
    if name in ("SimpleITKIO", "SimpleITKIOWithReorient"):
        return SimpleITKReader(name, reorients=name.endswith("WithReorient"))
    if name in ("NibabelIO", "NibabelIOWithReorient"):
        return NibabelReader(name, reorients=name.endswith("WithReorient"))
    return ClassReader(name, reader_class=reader_class)
