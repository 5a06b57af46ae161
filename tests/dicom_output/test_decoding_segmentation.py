"""Decoders that are not ours find each segment where the object was put in the patient."""

import numpy as np
import pytest
from contracts.dicom_series import READABLE, SERIES, lesion_at, make_series, organ_at, points_of
from contracts.seg_decoders import DECODERS, dciodvfy_errors
from segmenting import LABELS, MODEL, write

from nnunet_pancext.dicom_output.codes import read_codes
from nnunet_pancext.dicom_output.segmentation import write_segmentation
from nnunet_pancext.raw_cases.dicom_search import find_ct_series
from nnunet_pancext.raw_cases.dicom_series import open_series

pytest.importorskip("highdicom")
KINDS = [kind for kind in READABLE if not kind.endswith("UID") and kind != "no frame of reference"]
# Kinds of the same grid and values as 'plain' are decoded by one decoder.
OF_OWN_GRID = {
    *("plain", "names reversed", "names without order", "rows negated", "columns negated", "both negated"),
    *("rows and columns exchanged", "coronal", "sagittal", "oblique", "feet first", "prone"),
    *("multi-frame", "no organ", "no lesion"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Write the segmentation of each kind of series once; return the series and the file."""
    done = {}

    def written_once(kind, empty_frames="keep"):
        if (kind, empty_frames) not in done:
            folder = tmp_path_factory.mktemp("series")
            made = make_series(folder, kind)
            files, geometry = made.files, made.geometry
            if not SERIES[kind].multi_frame:
                series = open_series(find_ct_series(folder.rglob("*"), root=folder).series[0], root=folder)
                files, geometry = series.files, series.geometry
            target = tmp_path_factory.mktemp("output") / "case.seg.dcm"
            write_segmentation(
                target,
                made.label_map,
                files=files,
                geometry=geometry,
                labels=LABELS,
                codes=read_codes(LABELS, dataset_json={}),
                model=MODEL,
                empty_frames=empty_frames,
            )
            done[kind, empty_frames] = made, target
        return done[kind, empty_frames]

    return written_once


def true_points(made):
    """Return the positions of the voxels of each segment, in mm."""
    points = points_of(made.affine, made.organ.shape)
    return {"pancreas": points[made.organ & ~made.lesion], "cancer": points[made.lesion]}


def inside(name, points, *, has_lesion):
    """Whether points lie in the object that a segment is of, by the object's own equations."""
    return lesion_at(points) if name == "cancer" else organ_at(points) & ~(lesion_at(points) & has_lesion)


@pytest.mark.parametrize(
    ("kind", "decoder"),
    [
        (kind, decoder)
        for kind in KINDS
        for decoder in DECODERS
        if not SERIES[kind].uneven_mm and (kind in OF_OWN_GRID or decoder == "pydicom by hand")
    ],
)
def test_segments_are_where_they_were_put_in_the_patient(written, kind, decoder):
    made, path = written(kind)
    decoded, expected = DECODERS[decoder](path), true_points(made)
    assert set(decoded) == set(expected)
    for name, points in decoded.items():
        if not len(expected[name]):
            assert not len(points)
            continue
        hits = inside(name, points, has_lesion=SERIES[kind].has_lesion).sum()
        assert 2 * hits / (len(points) + len(expected[name])) >= 0.99
        np.testing.assert_allclose(points.mean(axis=0), expected[name].mean(axis=0), atol=0.1)


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("kind", ["plain", "coronal", "oblique", "multi-frame", "no lesion", "no organ"])
def test_segments_are_the_same_without_empty_frames(written, kind, decoder):
    made, path = written(kind, "omit")
    decoded, expected = DECODERS[decoder](path), true_points(made)
    for name, points in expected.items():
        assert len(decoded[name]) == len(points)
        if len(points):
            np.testing.assert_allclose(decoded[name].mean(axis=0), points.mean(axis=0), atol=0.01)


@pytest.mark.parametrize("empty_frames", ["keep", "omit"])
@pytest.mark.parametrize("kind", ["plain", "sagittal", "multi-frame", "no organ"])
def test_single_segment_is_where_it_was_put(tmp_path, kind, empty_frames):
    made = make_series(tmp_path, kind)
    path = write(made, labels={"background": 0, "pancreas": 1}, empty_frames=empty_frames)
    points = true_points(made)["pancreas"]
    for decode in DECODERS.values():
        (decoded,) = decode(path).values()
        assert len(decoded) == len(points)
        if len(points):
            np.testing.assert_allclose(decoded.mean(axis=0), points.mean(axis=0), atol=0.01)
    assert dciodvfy_errors(path) == []


def test_frames_of_unevenly_spaced_slices_lie_where_the_slices_do(written):
    made, path = written("slightly uneven")
    points = DECODERS["pydicom by hand"](path)["cancer"]
    assert lesion_at(points).all()
    assert len(points) == made.lesion.sum()


@pytest.mark.parametrize("kind", KINDS)
def test_dciodvfy_finds_no_error(written, kind):
    assert dciodvfy_errors(written(kind)[1]) == []


@pytest.mark.parametrize("kind", ["plain", "multi-frame", "no lesion", "no organ"])
def test_dciodvfy_finds_no_error_without_empty_frames(written, kind):
    assert dciodvfy_errors(written(kind, "omit")[1]) == []
