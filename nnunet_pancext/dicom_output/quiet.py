"""Silences the DICOM libraries, whose messages may show values of a patient's header."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARIES = ("pydicom", "highdicom", "pynetdicom", "dicomweb_client")


@contextmanager
def quiet_dicom() -> Iterator[None]:
    """Keep the libraries from printing values that are against the standard: they may be a patient's."""
    silent = logging.NullHandler()
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    for logger in loggers:
        logger.addHandler(silent)  # in place of the handler of last resort, which prints
    try:
        with warnings.catch_warnings():
            for name in LIBRARIES:
                warnings.filterwarnings("ignore", module=name)
            yield
    finally:
        for logger in loggers:
            logger.removeHandler(silent)
