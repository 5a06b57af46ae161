"""Writing files atomically: a killed run leaves either the old file or the new one."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from nnunet_pancext.errors import PancextError

PARTIAL_PREFIX = ".partial-"
SAVE_AS_UTF8 = "Save it as UTF-8 without BOM (byte order mark)."


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target` that replaces it when the block ends without an error.

    The temporary name keeps the ending of `target`, by which image writers choose the format.
    """
    with scratch_path(target) as partial:
        yield partial
        os.replace(partial, target)


@contextmanager
def scratch_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`, with its ending; a file there is removed afterwards."""
    scratch = target.with_name(f"{PARTIAL_PREFIX}{os.getpid()}-{target.name}")
    scratch.unlink(missing_ok=True)  # of a killed process of this number: perhaps a hard link to an original
    try:
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


@contextmanager
def output_folder(path: Path) -> Iterator[Path]:
    """Create the output folder before a long computation, so that an unusable one fails at once.

    Folders created in vain, because the block ends in an error, are removed.

    Raises:
        PancextError: no file can be written there.
    """
    created = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
            with scratch_path(path / "test") as test:
                test.touch()
        except OSError as error:
            raise cannot_write(path, error) from error
        yield path
    except BaseException:
        with suppress(OSError):  # not empty
            for folder in created:
                folder.rmdir()
        raise


def cannot_write(folder: Path, error: OSError) -> PancextError:
    """Return the error for results that cannot be written."""
    return PancextError(f"Cannot write to {folder}: {error.strerror}. Give another folder with -o.")


def write_json(target: Path, content: Any) -> None:
    """Write `content` as indented JSON, atomically."""
    write_text(target, json.dumps(content, indent=2) + "\n")


def read_json(path: Path, *, expect: type = object, remedy: str = "Correct or replace it.") -> Any:
    """Return the content of a JSON file, an `expect` such as dict or list; `remedy` ends each error.

    It may be UTF-8, UTF-16 or UTF-32, with a byte order mark or without.

    Raises:
        PancextError: it cannot be read, is not JSON, or holds something else.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise PancextError(f"Cannot read {path}: {error.strerror}. {remedy}") from error
    except UnicodeDecodeError as error:
        raise PancextError(f"{path} is not in UTF-8 ({error}). {SAVE_AS_UTF8}") from error
    except (ValueError, RecursionError) as error:
        raise PancextError(f"{path} is not JSON: {error}. {remedy}") from error
    if not isinstance(content, expect):
        wanted = "an object, {…}" if expect is dict else "a list, […]"
        raise PancextError(f"{path} is not {wanted}, but {json.dumps(content)[:40]}. {remedy}")
    return content


def shown_json(value: Any, *, most: int = 80) -> str:
    """Return a value of a JSON file for a message, as it is written there, cut after `most` characters."""
    text = json.dumps(value, default=repr, ensure_ascii=False)
    return text if len(text) <= most else f"{text[:most]}…"


def encoding_fault(path: Path) -> str | None:
    """Return why nnU-Net, which reads plain UTF-8 alone, cannot read a JSON file; None if it can."""
    encoding = json.detect_encoding(path.read_bytes())
    if encoding == "utf-8":
        return None
    name = "UTF-8 with a byte order mark" if encoding == "utf-8-sig" else encoding.upper()
    return f"{path} is in {name}, which nnU-Net cannot read. {SAVE_AS_UTF8}"


def read_text(path: Path) -> str:
    """Return a text in UTF-8, UTF-16 or UTF-32, without byte order mark; invalid bytes are replaced."""
    content = path.read_bytes()
    return content.decode(json.detect_encoding(content), errors="replace")


def write_text(target: Path, text: str) -> None:
    """Write `text` in UTF-8, atomically."""
    with atomic_path(target) as partial:
        partial.write_text(text, encoding="utf-8")


def link_or_copy(source: Path, target: Path, *, may_link: bool = True) -> str:
    """Hard-link `source` to `target`, or copy it; return 'linked' or 'copied'.

    It is a copy without `may_link`, and where the file system does not support links.
    """
    with atomic_path(target) as partial:
        if may_link:
            with suppress(OSError):  # another file system, or no support for links
                os.link(source.resolve(), partial)
                return "linked"
        shutil.copyfile(source, partial)
        return "copied"


def walk_visible_files(root: Path) -> Iterator[Path]:
    """Yield the files below `root` that are neither hidden nor in a hidden folder."""
    for path in root.rglob("*"):
        if path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts):
            yield path
