"""Pictures: where each image of a sheet is, what curves show, and that all are PNG files."""

import io

import matplotlib
import matplotlib.figure
import matplotlib.image
import numpy as np
import pytest

from dvae_tf import data, graphs, plots, rbm, runs, training
from dvae_tf.plots import curves
from support.tiny import recipe, rough_model
from support.training import tiny_images


def pixels(png):
    assert png.startswith(b"\x89PNG")
    return matplotlib.image.imread(io.BytesIO(png))


def test_tile_lays_out_images_in_rows_with_gray_between():
    images = np.arange(1, 6)[:, np.newaxis] * np.ones((5, 6)) / 10
    sheet = plots.tile(images, (2, 3), columns=4)
    assert sheet.shape == (7, 17)
    for index in range(5):
        top, left = 1 + 3 * (index // 4), 1 + 4 * (index % 4)
        np.testing.assert_allclose(sheet[top : top + 2, left : left + 3], (index + 1) / 10)
    assert (sheet[0] == 0.5).all()
    assert (sheet[:, 0] == 0.5).all()
    assert (sheet[4:6, 5:] == 0.5).all()


def test_tile_keeps_the_orientation_of_an_image():
    sheet = plots.tile(np.arange(6.0)[np.newaxis], (2, 3), columns=1)
    np.testing.assert_array_equal(sheet[1:3, 1:4], [[0, 1, 2], [3, 4, 5]])


def test_tiles_of_colors():
    image = np.linspace(0, 1, 18).reshape(2, 3, 3)
    beyond = np.where(image > 0.5, 1.2, -0.2)
    sheet = plots.tile(np.stack([image.ravel(), beyond.ravel()]), (2, 3, 3), columns=2)
    assert sheet.shape == (4, 9, 3)
    np.testing.assert_allclose(sheet[1:3, 1:4], image, rtol=1e-6)
    np.testing.assert_array_equal(sheet[1:3, 5:8], image > 0.5)
    assert (sheet[:, 4] == 0.5).all()
    # A blue image is blue in the files.
    blue = np.tile([0.0, 0.0, 1.0], (1, 6))
    for png in (plots.sheet_png(blue, (2, 3, 3)), plots.titled_sheet_png(blue, (2, 3, 3), "a title")):
        red, green, _, _ = np.moveaxis(pixels(png), -1, 0)
        assert ((pixels(png)[..., 2] == 1) & (red == 0) & (green == 0)).sum() > 100


def test_reconstructions_stand_below_their_originals():
    originals, reconstructions = np.full((5, 1), 0.1), np.full((5, 1), 0.9)
    originals[3] = 0.2
    reconstructions[3] = 0.8
    sheet = plots.interleave(originals, reconstructions, columns=3).reshape(-1, 3)
    np.testing.assert_allclose(sheet[:2], [[0.1] * 3, [0.9] * 3])
    np.testing.assert_allclose(sheet[2:], [[0.2, 0.1, 0.5], [0.8, 0.9, 0.5]])


def test_sheets_are_enlarged_by_whole_pixels():
    image = pixels(plots.sheet_png(np.eye(4).reshape(1, 16), (4, 4)))
    height, width = image.shape[:2]
    assert width >= 1_000
    assert width % (1 + 12 * 5) == 0
    assert height * (1 + 12 * 5) == width * 6


def history():
    steps = [30.0, 60.0, 90.0, 120.0]
    return runs.History(steps, [-9.0, -5.0, -4.0, -3.5], [6.0, 4.0, 3.0, 3.1], *[[1.0] * 4] * 3)


def test_objectives_are_shown_after_the_warm_up_only():
    settings = recipe(num_train_iter=200, kl_warmup_fraction=0.3)
    steps, negated = curves._after_warmup(settings, history())
    np.testing.assert_array_equal(steps, [90, 120])
    np.testing.assert_array_equal(negated, [4.0, 3.5])


def test_curves_are_png_files():
    settings = recipe()
    assert pixels(plots.learning_curve_png(settings, history())).ndim == 3
    assert pixels(plots.learning_curve_png(settings, runs.History())).ndim == 3
    assert pixels(plots.curves_png({"a": (settings, history()), "b": (settings, history())})).ndim == 3


STYLE = {"image.origin": "lower", "figure.dpi": 30, "axes.facecolor": "red", "text.usetex": True}


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.learning_curve_png(recipe(), history()),
        lambda: plots.curves_png({"a": (recipe(), history())}),
        lambda: plots.usage_png(np.linspace(0, 1, 6), np.arange(6) > 2),
        lambda: plots.energies_png(np.arange(9.0), np.arange(5.0)),
        lambda: plots.machine_png(rbm.RBM(np.ones(3), np.ones(2), np.eye(3, 2))),
        lambda: plots.graph_png(graphs.bipartite(2, 3), np.arange(5) - 2, np.arange(6)),
        lambda: plots.sheet_png(np.tri(6), (2, 3)),
        lambda: plots.titled_sheet_png(np.tri(6), (2, 3), "a_title"),
        lambda: plots.pixels_png(np.tri(6)),
    ],
    ids=[
        "learning curve",
        "curves",
        "usage",
        "energies",
        "machine",
        "graph",
        "sheet",
        "titled sheet",
        "pixels",
    ],
)
def test_pictures_do_not_depend_on_the_users_style(draw):
    """LaTeX is not there, so the style alone would fail; the others turn a picture round or change it."""
    expected = pixels(draw())
    with matplotlib.rc_context(STYLE):
        found = pixels(draw())
        assert matplotlib.rcParams["image.origin"] == "lower"
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_a_style_would_change_a_picture():
    """Negative control."""

    def draw():
        figure = matplotlib.figure.Figure()
        figure.add_subplot().imshow(np.tri(3))
        return pixels(plots.figure_png(figure))

    expected = draw()
    with matplotlib.rc_context({"image.origin": "lower"}):
        assert (draw() != expected).any()


def test_images_of_another_size_are_named():
    with pytest.raises(ValueError, match=r"images: expected \[N, 6\] for image_shape \(2, 3\), got \[4, 8\]"):
        plots.tile(np.zeros((4, 8)), (2, 3))
    with pytest.raises(ValueError, match=r"reconstructions: .* the originals, \[4, 6\], got \[3, 6\]"):
        plots.interleave(np.zeros((4, 6)), np.zeros((3, 6)))
    model, wide = rough_model(), np.zeros((4, 8), np.float32)
    images = data.Images(wide, wide, wide, (2, 4), "tiny", "a test")
    for draw in (plots.run_pictures, plots.report_pictures, training.TrainingLoop):
        with pytest.raises(ValueError, match=r"images: expected \[N, 6\].*, got \[N, 8\]"):
            draw(model, images)


@pytest.mark.parametrize(
    ("baseline", "names"),
    [
        ("dvaes_power", {"samples", "energies", "reconstructions", "usage", "machine"}),
        ("concrete", {"samples", "energies", "reconstructions", "usage"}),
    ],
)
def test_a_report_has_the_pictures_that_its_model_allows(baseline, names):
    model, images = rough_model(baseline=baseline), tiny_images()
    found = plots.report_pictures(model, images)
    assert found.keys() == names
    assert all(pixels(png).ndim == 3 for png in found.values())
    assert plots.report_pictures(model, None).keys() == names - {"reconstructions", "usage"}
    found = plots.run_pictures(model, images)
    assert found.keys() == {"samples", "reconstructions"}
    assert all(pixels(png).ndim == 3 for png in found.values())
