"""Text of any script in figures: a font that has it, else a stand-in, and never boxes."""

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nnunet_pancext.dataset_check.slice_overlay import write_slice_overlay
from nnunet_pancext.figures import fonts
from nnunet_pancext.figures.charts import line_chart, strip_chart
from nnunet_pancext.figures.fonts import drawable_label, use_installed_fonts
from nnunet_pancext.figures.layout import write_figure
from nnunet_pancext.figures.overlay import legend_lines

PANCREAS, PATIENT = "\u80f0\u817a", "\u60a3\u8005"
PRIVATE = "\ue123"  # in no font


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Forget what other tests looked up, and turn matplotlib's warning of missing glyphs into an error."""
    fonts._families.cache_clear()
    fonts._ANNOUNCED.clear()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Glyph")
        yield
    fonts._families.cache_clear()


def make_font(path: Path, family: str, characters: str) -> None:
    """Write a font in which each of the characters is a black square."""
    pen = TTGlyphPen(None)
    pen.moveTo((100, 0))
    for corner in ((100, 800), (900, 800), (900, 0)):
        pen.lineTo(corner)
    pen.closePath()
    square = pen.glyph()
    names = [".notdef", *(f"sign{ord(character)}" for character in characters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(c): name for c, name in zip(characters, names[1:], strict=True)})
    builder.setupGlyf(dict.fromkeys(names, square))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(str(path))


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Return a function that installs fonts, by family and characters, and no others."""
    manager = font_manager.fontManager
    before = list(manager.ttflist)

    def install(**characters):
        paths = {}
        for family, signs in characters.items():
            paths[family] = str(tmp_path / f"{family}.ttf")
            make_font(Path(paths[family]), family, signs)
            manager.addfont(paths[family])
        monkeypatch.setattr(fonts, "_installed_fonts", lambda: paths)

    yield install
    manager.ttflist[:] = before
    manager._findfont_cached.cache_clear()


def figure_of(text: str) -> Figure:
    figure = Figure(figsize=(3, 1), dpi=100)
    FigureCanvasAgg(figure)
    figure.text(0.1, 0.4, text, fontsize=20, parse_math=False)
    return figure


def black_pixels(figure: Figure) -> int:
    figure.canvas.draw()
    return int((np.asarray(figure.canvas.buffer_rgba())[..., 0] < 50).sum())


@pytest.mark.parametrize("text", [PANCREAS, f"{PANCREAS} 1", "\uac00", "\u0e01", "\U0001f7e5"])
def test_a_text_is_drawn_in_a_font_that_has_it(installed, capsys, text):
    installed(Blocks=text.replace(" 1", ""))
    figure = figure_of(text)
    use_installed_fonts(figure)
    assert figure.texts[0].get_text() == text
    assert figure.texts[0].get_fontfamily()[-1] == "Blocks"
    # 20 points at 100 dpi are 27.8 pixels: a square of 80 % of them for each character
    assert black_pixels(figure) >= 0.9 * 22**2 * len(text.replace(" 1", ""))
    assert not capsys.readouterr().err


def test_as_few_fonts_as_needed_are_used(installed):
    installed(First=PANCREAS[0], Second=PANCREAS[1], Both=PANCREAS, Other=PATIENT)
    assert fonts._families(frozenset(PANCREAS))[0][-1] == "Both"
    families, missing = fonts._families(frozenset(PANCREAS + PATIENT))
    assert families[-2:] == ["Both", "Other"]
    assert not missing


def test_latin_and_greek_keep_matplotlibs_own_font(installed):
    installed(Blocks="é")
    figure = figure_of("Pankréas µ λ ± ∞")
    before = figure.texts[0].get_fontfamily()
    use_installed_fonts(figure)
    assert figure.texts[0].get_fontfamily() == before


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        (PANCREAS, "U+80F0 U+817A"),
        (f"{PATIENT[0]}_01", "U+60A3_01"),
        (f"a{PRIVATE}]b\n-", "aU+E123]b\n-"),
        ("a\x07", "aU+0007"),
    ],
)
def test_a_character_without_a_font_is_numbered_and_reported_once(installed, tmp_path, capsys, text, drawn):
    installed()
    figure = figure_of(text)
    figure.suptitle(text)
    write_figure(tmp_path / "figure.png", figure)
    assert [shown.get_text() for shown in figure.texts] == [drawn, drawn]
    error = capsys.readouterr().err
    assert error.count("No installed font has all characters of") == 1
    assert "Install one, such as fonts-noto-cjk for Chinese, Japanese and Korean." in error


def test_a_label_without_a_font_is_named_by_its_value(installed, capsys):
    installed(Blocks=PANCREAS)
    assert drawable_label(PANCREAS, 1) == PANCREAS
    assert not capsys.readouterr().err
    lines = legend_lines({PANCREAS: 1, PATIENT: 2, "tumour": 3}, {"prediction": np.array([1, 2])})
    names = [line.get_label() for line in lines]
    assert names == [f"{PANCREAS}, prediction", "label 2, prediction", "tumour, prediction (none)"]
    assert repr(PATIENT) in capsys.readouterr().err


def test_the_picture_of_a_slice_names_labels_alike(installed, tmp_path, capsys):
    installed()
    image = sitk.Image(8, 8, sitk.sitkUInt8) + 1
    write_slice_overlay(
        tmp_path / "out.png",
        image=[image],
        label=image,
        labels={PANCREAS: 1},
        title=PATIENT,
    )
    assert (tmp_path / "out.png").is_file()
    assert capsys.readouterr().err.count("No installed font") == 1


@pytest.mark.parametrize("characters", ["", PANCREAS])
def test_a_chart_keeps_its_text_for_the_readers_fonts(installed, capsys, characters):
    installed(**({"Blocks": characters} if characters else {}))
    for chart in (
        strip_chart({PANCREAS: [0.1, 0.2]}),
        line_chart({PANCREAS: ([1, 2], [1, 2]), "b": ([1, 2], [2, 1])}, x_label="x", y_label="y"),
    ):
        [style] = re.findall(rf'<text style="([^"]*)"[^>]*>{PANCREAS}</text>', chart.svg)
        assert ("Blocks" in style) == bool(characters)
    assert not capsys.readouterr().err


def test_fonts_installed_after_matplotlibs_list_are_found(tmp_path, monkeypatch, installed):
    installed()
    path = tmp_path / "new.ttf"
    make_font(path, "Later", PANCREAS)
    (tmp_path / "damaged.ttf").write_bytes(b"no font")
    monkeypatch.undo()
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: [str(tmp_path / "damaged.ttf"), str(path)])
    fonts._installed_fonts.cache_clear()
    assert fonts._installed_fonts()["Later"] == str(path)
    assert not [name for name in fonts._installed_fonts() if "Last Resort" in name]
    fonts._installed_fonts.cache_clear()
