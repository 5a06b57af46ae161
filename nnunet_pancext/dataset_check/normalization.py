"""Channels whose values do not suit the normalisation that nnU-Net chooses by their name."""

from collections.abc import Iterator, Mapping, Sequence

from nnunet_pancext.dataset_check.finding import ERROR, WARNING, Finding

AIR_HU = -500.0  # a CT has air in or around the body
LOWEST_HU, HIGHEST_HU = -3100.0, 10000.0  # scanner padding, and metal
SOFT_TISSUE_HU = 100.0
LARGEST_NORMALIZED = 20.0  # values that were normalised before are smaller
CT, NO_NORM, Z_SCORE, RGB = "ct", "nonorm", "zscore", "rgb_to_0_1"

Range = tuple[float, float]


def looks_like_hu(lowest: float, highest: float) -> bool:
    """Whether an image with this range has air and more than fat, and nothing beyond."""
    return LOWEST_HU <= lowest <= AIR_HU and SOFT_TISSUE_HU <= highest <= HIGHEST_HU


def judge_channels(names: Mapping[str, str], ranges: Sequence[Mapping[int, Range]]) -> Iterator[Finding]:
    """Yield channels that nnU-Net would normalise wrongly.

    `names` is nnU-Net's channel_names; `ranges` holds the lowest and the highest value of each case, by the
    number of the channel.
    """
    for number, name in enumerate(names.values()):
        if of_channel := [of_case[number] for of_case in ranges if number in of_case]:
            yield from _judge_channel(number, name, of_channel)


def _judge_channel(number: int, name: str, ranges: Sequence[Range]) -> Iterator[Finding]:
    lowest, highest = min(low for low, _ in ranges), max(high for _, high in ranges)
    in_hu = sum(looks_like_hu(*of_case) for of_case in ranges)
    scheme = name.casefold()
    what = f'channel {number} is called "{name}"'
    span = f"values range from {lowest:g} to {highest:g}"
    if scheme == CT and 2 * in_hu < len(ranges):
        message = (
            f"{what}, but only {in_hu} of {len(ranges)} images look like HU; {span}. nnU-Net would normalise "
            "them all alike. Convert the values to HU, or give the channel another name."
        )
        yield Finding(WARNING, "channel_names", message)
    elif scheme == RGB and (lowest < 0 or highest > 255):
        message = f"{what}, but {span}; nnU-Net expects 0 to 255. Convert the images, or rename the channel."
        yield Finding(ERROR, "channel_names", message)
    elif scheme == NO_NORM and max(abs(lowest), abs(highest)) > LARGEST_NORMALIZED:
        message = (
            f"{what}, so nnU-Net trains on the values as they are, and {span}. Normalise the images, or "
            'rename the channel: "CT" for HU, any other name for z-score normalisation.'
        )
        yield Finding(WARNING, "channel_names", message)
    elif scheme not in (CT, NO_NORM, Z_SCORE) and 2 * in_hu >= len(ranges):
        message = (
            f"{what}, but {in_hu} of {len(ranges)} images look like HU; {span}. nnU-Net would normalise each "
            f'image by itself (z-score) and lose the HU. Call the channel "CT" if it is one.'
        )
        yield Finding(WARNING, "channel_names", message)
