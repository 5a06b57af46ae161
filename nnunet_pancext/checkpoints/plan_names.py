"""The names in a plan that nnU-Net looks up and calls: only known networks, layers and steps pass.

nnU-Net imports and calls whatever dotted name stands for the network or for one of its layers, and calls
whatever it finds under the names of readers, preprocessing and resampling.
"""

import re
from collections.abc import Collection, Iterator
from typing import Any

from nnunet_pancext.io.console_text import printable

ALLOWLIST = "not on the allowlist"
ALLOW = f"Whatever is {ALLOWLIST} can be allowed for this call if you trust its package: --allow NAME."
NETWORKS = re.compile(
    r"dynamic_network_architectures\.architectures\.(\w+\.)*"
    r"(PlainConvUNet|ResidualEncoderUNet|ResidualUNet|Primus(V2|V3)?[SBML])"
)
BLOCKS = re.compile(r"dynamic_network_architectures\.building_blocks\.residual\.(BasicBlockD|BottleneckD)")
TORCH_LAYERS = re.compile(
    r"torch\.nn\.(modules\.(conv|batchnorm|instancenorm|normalization|dropout|activation|linear)\.)?"
    r"(Conv[123]d|(BatchNorm|InstanceNorm)[123]d|GroupNorm|LayerNorm|Dropout[123]d|Dropout|AlphaDropout|"
    r"LeakyReLU|ReLU|ReLU6|PReLU|ELU|CELU|SELU|GELU|SiLU|Mish|Softplus|Sigmoid|Tanh|Hardswish|Identity)"
)
OLD_NETWORKS = frozenset({"PlainConvUNet", "ResidualEncoderUNet"})  # of plans before nnU-Net 2.4
# Keys of a plan and of its configurations, with what nnU-Net 2 defines under each name.
STEPS: dict[str, frozenset[str]] = {
    "image_reader_writer": frozenset(
        [
            *("SimpleITKIO", "SimpleITKIOWithReorient", "NibabelIO", "NibabelIOWithReorient"),
            *("NaturalImage2DIO", "Tiff3DIO"),
        ]
    ),
    "label_manager": frozenset({"LabelManager"}),
    "preprocessor_name": frozenset({"DefaultPreprocessor"}),
    **{
        f"resampling_fn_{of}": frozenset(
            [
                *("resample_data_or_seg_to_shape", "resample_torch_simple", "resample_torch_fornnunet"),
                "no_resampling_hack",
            ]
        )
        for of in ("data", "seg", "probabilities")
    },
    "normalization_schemes": frozenset(
        [
            *("CTNormalization", "ZScoreNormalization", "NoNormalization"),
            *("RescaleTo01Normalization", "RGBTo01Normalization"),
        ]
    ),
}
MOST_DEPTH, MOST_LENGTH, LARGEST = 8, 64, 1 << 16  # of lists and numbers in a configuration
# Arguments, also in plans before nnU-Net 2.4, that say how many layers are built.
COUNTS, LARGEST_COUNT = re.compile(r"n_(conv|blocks|stages)\w*|\w*depth\w*"), 32
MOST_PROBLEMS = 20


def plan_problems(plans: Any, *, allow: Collection[str] = ()) -> list[str]:
    """Return what a plan names that may not be called; empty if it is safe.

    Args:
        plans: the content of plans.json.
        allow: further dotted names of networks and layers, and names of steps, that the user trusts.
    """
    configurations = plans.get("configurations") if isinstance(plans, dict) else None
    if not isinstance(configurations, dict) or not configurations:
        return ["the plan has no 'configurations'"]
    problems = list(_step_problems("the plan", plans, allow))
    for name, configuration in configurations.items():
        where = f"configuration {_shown(name)}"
        if not isinstance(configuration, dict):
            problems.append(f"{where} is not an object")
            continue
        problems += _step_problems(where, configuration, allow)
        problems += _network_problems(where, configuration, allow)
    more = len(problems) - MOST_PROBLEMS
    return problems[:MOST_PROBLEMS] + ([f"the plan has {more} further problems"] if more > 0 else [])


def _step_problems(where: str, settings: dict[str, Any], allow: Collection[str]) -> Iterator[str]:
    for key, known in STEPS.items():
        value = settings.get(key)
        for name in value if isinstance(value, list) else [] if value is None else [value]:
            if type(name) is not str or name not in known | set(allow):
                yield (
                    f"{where} has {key} {_shown(name)}, which is {ALLOWLIST} of nnU-Net's own: "
                    f"{', '.join(sorted(known))}"
                )


def _network_problems(where: str, settings: dict[str, Any], allow: Collection[str]) -> Iterator[str]:
    if not _is_moderate(settings):
        yield (
            f"{where} has settings beyond any that nnU-Net plans: lists of more than {MOST_LENGTH} entries, "
            f"numbers above {LARGEST} or more than {LARGEST_COUNT} layers"
        )
    if "UNet_class_name" in settings and settings["UNet_class_name"] not in OLD_NETWORKS:
        yield f"{where} has the unknown UNet_class_name {_shown(settings['UNet_class_name'])}"
    architecture = settings.get("architecture")
    if architecture is None:
        return
    if not isinstance(architecture, dict) or not isinstance(architecture.get("arch_kwargs", {}), dict):
        yield f"{where} has an 'architecture' that is not an object with 'arch_kwargs'"
        return
    network, arguments = architecture.get("network_class_name"), architecture.get("arch_kwargs", {})
    if not _is_network(network) and network not in allow:
        yield f"{where} builds {_shown(network)}, which is {ALLOWLIST}"
    imported = architecture.get("_kw_requires_import", [])
    if not isinstance(imported, (list, tuple)) or not all(type(key) is str for key in imported):
        yield f"{where} has a '_kw_requires_import' that is not a list of names"
        return
    for key in imported:
        layer = arguments.get(key)
        if layer is not None and not _is_layer(layer) and layer not in allow:
            yield f"{where} takes {_shown(layer)} as {_shown(key)}, which is {ALLOWLIST}"


def _is_network(name: Any) -> bool:
    return type(name) is str and NETWORKS.fullmatch(name) is not None


def _is_layer(name: Any) -> bool:
    return type(name) is str and (TORCH_LAYERS.fullmatch(name) or BLOCKS.fullmatch(name)) is not None


def _is_moderate(value: Any, largest: int = LARGEST, depth: int = 0) -> bool:
    if isinstance(value, (list, tuple, dict)):
        if len(value) > MOST_LENGTH or depth >= MOST_DEPTH:
            return False
        if isinstance(value, dict):
            limits = (
                (entry, LARGEST_COUNT if COUNTS.fullmatch(str(key)) else largest)
                for key, entry in value.items()
            )
            return all(_is_moderate(entry, limit, depth + 1) for entry, limit in limits)
        return all(_is_moderate(entry, largest, depth + 1) for entry in value)
    return not isinstance(value, (int, float)) or abs(value) <= largest


def _shown(value: Any) -> str:
    return printable(value if isinstance(value, str) else repr(value))
