"""Pancreas and pancreatic-tumour segmentation in CT as an extension of nnU-Net v2."""

import sys

import nnunet_pancext_discovery
from nnunet_pancext.former_names import FormerModules
from nnunet_pancext.version import __version__

__all__ = ["__version__"]

# For environments that skip `.pth` files (`python -S`, `pip install --target`).
nnunet_pancext_discovery.register()

# Found last, so that modules under their present names import as fast as ever.
sys.meta_path.append(FormerModules())
