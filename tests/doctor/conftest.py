from collections.abc import Callable
from importlib import metadata

import pytest

from nnunet_pancext.doctor import versions

INSTALLED = {
    "nnunet-pancext": "0.1.0",
    "nnunetv2": "2.8.1",
    "torch": "2.8.0",
    "torchvision": "0.23.0",
    "numpy": "2.0.0",
}
REQUIRED = {
    "nnunet-pancext": [
        "nnunetv2>=2.8.0",
        "torch!=2.9.*,>=2.1.2",
        "numpy>=1.24",
        'pytest>=99; extra == "dev"',
        'monai<1.7,>=1.6; extra == "baselines"',
    ],
    "nnunetv2": ["torch>=2.1.2,!=2.9.*", "numpy<3", 'colorama>=99; sys_platform == "nowhere"'],
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend that these distributions are installed; None removes one."""

    def install(**changes: str | None) -> None:
        versions_by_name: dict[str, str | None] = {**INSTALLED, **changes}

        def version(name: str) -> str:
            found = versions_by_name.get(name)
            if found is None:
                raise metadata.PackageNotFoundError(name)
            return found

        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(metadata, "requires", lambda name: REQUIRED[name])
        monkeypatch.setattr(metadata, "metadata", lambda name: {"Requires-Python": ">=3.10"})
        monkeypatch.setattr(versions, "import_error", lambda module: None)

    install()
    return install
