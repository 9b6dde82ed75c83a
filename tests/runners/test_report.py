"""The report: one page that stands alone, whatever the folders of the runs hold."""

import base64
import html.parser
import io
import json
import re
import shutil
import subprocess

import matplotlib.image
import numpy as np
import pytest

from dvae_tf import config, data, runs, storage, training
from dvae_tf.runs import RunFolder, read_history
from runners import report
from support import finished
from support.programs import run

# Its runs are trained first.
pytestmark = pytest.mark.slow

SECTIONS = (
    "Result",
    "Comparison",
    "Learning curves",
    "Samples",
    "Reconstructions",
    "Use of the code",
    "Energies",
    "Boltzmann machine",
    "Configuration",
    "Origin",
)
HOSTILE = '<script>alert("1")</script>'
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Page(html.parser.HTMLParser):
    """The tags of a page, its texts, and its pictures."""

    def __init__(self, file):
        super().__init__()
        self.source = file.read_text()
        self.tags, self.texts = [], []
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.texts.append(text.strip())

    @property
    def text(self):
        return " ".join(self.texts)

    @property
    def pictures(self):
        """Description -> pixels."""
        images = [attributes for tag, attributes in self.tags if tag == "img"]
        prefix = "data:image/png;base64,"
        assert all(image["src"].startswith(prefix) for image in images)
        read = matplotlib.image.imread
        return {
            image["alt"]: read(io.BytesIO(base64.b64decode(image["src"].removeprefix(prefix))))
            for image in images
        }


def section(page, title):
    return page.source.split(f"<h2>{title}</h2>")[1].split("</section>")[0]


def none(dataset, likelihood):
    return None


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A run with a machine, one with a directed prior, and a committed result without weights."""
    parent = tmp_path_factory.mktemp("runs")
    images = data.load("digits")
    found = []
    for baseline in ("dvaes_power", "gumbel_softmax"):
        changes = {"num_train_iter": 40, "num_validations": 4, "num_chains": 10, "num_sweeps": 2}
        recipe = config.recipe("digits", "1-layer-small", baseline, 1, eval_iw_samples=20, **changes)
        training.train(recipe, images, str(parent / baseline))
        found.append(parent / baseline)
    committed = parent / "a<b>"
    committed.mkdir()
    shutil.copy(found[0] / "config.json", committed)
    result = storage.read_json(found[0] / "result.json")
    result |= {"data_source": HOSTILE, "git_commit": HOSTILE, "versions": {HOSTILE: HOSTILE}}
    for name in ("log_partition_method", "log_partition_converged", "test_nll_bracket", "seconds"):
        del result[name]
    storage.write_json(committed / "result.json", result)
    return [*found, committed]


@pytest.fixture(scope="module")
def page_file(folders, tmp_path_factory):
    """All three side by side, as the program writes them."""
    file = tmp_path_factory.mktemp("page") / "report.html"
    out, _ = run("report", f"--log_dir={','.join(map(str, folders))}", f"--out={file}")
    assert str(file) in out.replace("\n", "")
    return file


def test_page_stands_alone(page_file):
    page = Page(page_file)
    assert "//" not in re.sub(r'"data:[^"]*"', "", page.source)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not {name for name in attributes if name.startswith("on") or name == "href"}
        assert ("src" in attributes) == (tag == "img")
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_all_sections_and_pictures(page_file):
    page = Page(page_file)
    assert tuple(re.findall("<h2>(.*?)</h2>", page.source)) == SECTIONS
    pictures = page.pictures
    names = ("samples", "reconstructions", "usage", "energies")
    both = {f"{name}, {label}" for name in names for label in ("1: dvaes_power", "2: gumbel_softmax")}
    assert set(pictures) == {"Learning curves", "machine, 1: dvaes_power", *both}
    assert all(pixels.std() > 0.05 for pixels in pictures.values())


def test_originals_stand_above_reconstructions(page_file):
    """The first row of the sheet is of test images, pixel by pixel, and the second is not."""
    sheet = Page(page_file).pictures["reconstructions, 1: dvaes_power"][..., 0]
    scale = sheet.shape[1] // (12 * 9 + 1)
    sheet = sheet[::scale, ::scale]
    tiles = [sheet[1 + 9 * row : 9 + 9 * row, 1:9].ravel() for row in range(2)]
    test = data.load("digits").test
    assert np.array_equal(tiles[0], test[0])
    assert not np.isin(tiles[1], (0, 1)).all()


def test_texts_of_files_are_escaped(page_file):
    page = Page(page_file)
    assert HOSTILE not in page.source
    assert page.text.count(HOSTILE) == 4
    assert "a<b>" not in page.source
    assert "a<b>" in page.text


def test_differing_fields_are_marked(page_file, folders):
    part = section(Page(page_file), "Configuration")
    recipes = [json.loads((folder / "config.json").read_text()) for folder in folders]
    differing = {name for name in recipes[0] if any(each[name] != recipes[0][name] for each in recipes)}
    assert {"baseline", "beta", "temperature"} <= differing
    assert set(re.findall(r"<tr><th>(\w+)</th><td>", part)) == differing
    assert set(re.findall(r"<dt>(\w+)</dt>", part)) == set(recipes[0]) - differing


def test_table_of_results(page_file, folders):
    part = section(Page(page_file), "Result")
    rows = part.split("<tbody>")[1].split("</tr>")[:-1]
    results = [json.loads((folder / "result.json").read_text()) for folder in folders]
    # The third run does not record its images, so it is not compared with the others.
    nlls = [round(result["test_nll"], 2) for result in results]
    lowest_of = (min(nlls[:2]), min(nlls[:2]), nlls[2])
    for row, result, lowest in zip(rows, results, lowest_of, strict=True):
        nll = f"{result['test_nll']:.2f} ± {result['test_nll_standard_error']:.2f}"
        assert nll in row
        assert (f"<b>{nll}</b>" in row) == (round(result["test_nll"], 2) == lowest)
        assert f"{result['active_units']} of 32" in row
        assert f"{result['test_nll_monte_carlo_error']:.3f}" in row
    low, high = results[0]["test_nll_bracket"]
    assert f"{low:.3f} to {high:.3f}" in rows[0]
    assert "<td>yes</td>" in rows[0]
    # The bracket, the verdict, and the verdict again next to log Z.
    assert rows[2].count("not recorded") == 3


def test_what_is_missing_is_said(page_file):
    page = Page(page_file)
    assert "Left out for 3: dvaes_power because the folder holds no checkpoint" in section(
        page, "Learning curves"
    )
    for title in ("Samples", "Reconstructions", "Use of the code", "Energies", "Boltzmann machine"):
        assert "Left out for 3: dvaes_power because the folder holds no weights" in section(page, title)
    assert "Left out for 2: gumbel_softmax because the prior is directed" in section(
        page, "Boltzmann machine"
    )


def test_result_that_has_not_converged_is_never_the_best(folders, tmp_path):
    for index, (nll, converged) in enumerate([(20.0, False), (30.0, True)]):
        folder = tmp_path / str(index)
        folder.mkdir()
        shutil.copy(folders[0] / "config.json", folder)
        result = storage.read_json(folders[0] / "result.json")
        storage.write_json(
            folder / "result.json",
            result
            | {
                "test_nll": nll,
                "log_partition_method": "two-sided",
                "log_partition_converged": converged,
            },
        )
    report.write([str(tmp_path / "0"), str(tmp_path / "1")], str(tmp_path / "page"), none)
    part = section(Page(tmp_path / "page"), "Result")
    assert "not converged" in part
    assert "<b>20.00" not in part
    assert "<b>30.00" in part


def test_runs_are_compared_over_seeds_and_what_cannot_be_is_said(tmp_path):
    nll = np.random.default_rng(0).normal(22, 3, 40)
    changes = [
        {"seed": 0},
        {"seed": 1, "image_nll": nll + 0.5},
        {"beta": 5.0, "image_nll": nll + 1},
        {"test": "a" * 64, "source": "mine"},
    ]
    folders = [
        str(finished.write(tmp_path / str(index), **{"image_nll": nll} | each))
        for index, each in enumerate(changes)
    ]
    report.write(folders, str(tmp_path / "page"), none)
    rows = section(Page(tmp_path / "page"), "Comparison").split("<tbody>")[1].split("</tr>")[:-1]
    mean = nll.mean()
    assert [[text for text in re.split("<[^>]*>", row) if text] for row in rows] == [
        ["A: beta=40, digits", "runs 1, 2", "0, 1", f"{mean + 0.25:.2f} ± 0.35"],
        ["B: beta=5, digits", "run 3", "0", f"{mean + 1:.2f}", "+0.75 from A", "one seed", "0.00"],
        ["C: beta=40, mine", "run 4", "0", f"{mean:.2f}", "not paired: other test images"],
    ]


def test_committed_result_needs_no_images(folders, tmp_path):
    def refuse(dataset, likelihood):
        raise AssertionError("no model, no images")

    report.write([str(folders[2])], str(tmp_path / "page"), refuse)
    page = Page(tmp_path / "page")
    assert not page.pictures
    assert tuple(re.findall("<h2>(.*?)</h2>", page.source)) == tuple(
        name for name in SECTIONS if name != "Comparison"
    )


def test_images_of_ones_own(folders, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(folders[0], own)
    storage.write_json(own / "config.json", storage.read_json(own / "config.json") | {"dataset": "toys"})
    settings = runs.read_recipe(own)
    groups = RunFolder(folders[0]).read_checkpoint(runs.read_recipe(folders[0])).groups
    for step, _ in RunFolder(own).checkpoints():
        RunFolder(own).write_checkpoint(step, groups, settings)
    report.write([str(own)], str(tmp_path / "without"), none)
    without = Page(tmp_path / "without")
    for title in ("Reconstructions", "Use of the code"):
        assert "no file of them was given with --test" in section(without, title)
    assert set(without.pictures) == {
        "Learning curves",
        "samples, dvaes_power",
        "energies, dvaes_power",
        "machine, dvaes_power",
    }
    np.save(tmp_path / "test.npy", data.load("digits").test[:5].reshape(-1, 8, 8))
    run("report", f"--log_dir={own}", f"--test={tmp_path}/test.npy", f"--out={tmp_path}/with")
    given = Page(tmp_path / "with")
    assert {"reconstructions, dvaes_power", "usage, dvaes_power"} <= set(given.pictures)
    assert "--test" not in given.text


def test_same_run_gives_the_same_page(folders, tmp_path):
    images = data.load("digits")
    pages = [tmp_path / name for name in ("a", "b")]
    for page in pages:
        report.write([str(folders[0])], str(page), lambda *_: images)
    assert pages[0].read_bytes() == pages[1].read_bytes()


def test_bad_use_leaves_with_code_2_and_writes_nothing(folders, tmp_path):
    out = tmp_path / "page.html"
    _, err = run("report", f"--log_dir={folders[0]},{tmp_path}", f"--out={out}", code=2)
    assert "log_dir: expected finished runs with result.json" in err
    assert str(tmp_path) in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("out", [None, "", ".", "none/page.html"])
def test_bad_out_is_refused(folders, out, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="out: expected a file to write"):
        report.write([str(folders[2])], out, none)
    assert not list(tmp_path.iterdir())


def test_no_runs_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="log_dir: expected finished runs"):
        report.write([], str(tmp_path / "page"), none)


def test_of_a_damaged_checkpoint_the_one_before_is_taken(folders, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(folders[0], folder)
    settings = runs.read_recipe(folder)
    (folder / "checkpoint-000000099.npz").write_text("no archive")
    with pytest.warns(UserWarning, match="checkpoint-000000099.npz: expected an archive"):
        history = read_history(folder, settings)
    assert history == read_history(folders[0], settings)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("result.json", "[]", "expected a result, got list"),
        ("result.json", '{"test_nll": "low"}', r"expected values for \['active_units'"),
        ("result.json", "{", "expected a JSON file"),
        ("config.json", '{"color": 1}', "unknown fields"),
        ("best.npz", "no archive", "expected an archive"),
    ],
    ids=lambda value: value[:20],
)
def test_damaged_files_are_refused(folders, file, content, message, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(folders[0], folder)
    (folder / file).write_text(content)
    with pytest.raises((ValueError, storage.StorageError), match=message):
        report.write([str(folder)], str(tmp_path / "page"), none)
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


def test_images_that_do_not_fit_are_refused(folders, tmp_path):
    own = data.from_arrays(*[np.eye(9).reshape(-1, 3, 3)] * 3)
    with pytest.raises(ValueError, match=r"images: expected \[N, 64\]"):
        report.write([str(folders[0])], str(tmp_path / "page"), lambda *_: own)
    assert not list(tmp_path.iterdir())


# A browser.


def browse(folder, *flags):
    """What the browser prints: (standard output, messages)."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is on the PATH")
    quiet = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --virtual-time-budget=3000 --enable-logging=stderr --v=0"
    )
    command = [browser, *quiet.split(), f"--user-data-dir={folder / 'profile'}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr


MEASURE = """<!DOCTYPE html><body style="margin: 0">
<iframe src="{page}" style="width: {width}px; height: 900px; border: 0"></iframe>
<p></p>
<script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  const broken = [...page.images].filter((image) => !image.naturalWidth).length;
  const beyond = (element) => element.scrollWidth - element.clientWidth;
  const tables = Math.max(...[...page.querySelectorAll(".scroll")].map(beyond));
  const found = [beyond(page.documentElement), tables, broken, page.images.length];
  document.querySelector("p").textContent = `measured ${{found}}`;
  console.log("measured");
}};
</script>
"""


def measured(page_file, width, tmp_path):
    """By how many pixels a page and its tables are wider than a frame, its broken pictures, and all."""
    outer = tmp_path / "outer.html"
    outer.write_text(MEASURE.format(page=page_file.as_uri(), width=width))
    # A page may read the file of another one only if allowed to.
    flags = ("--allow-file-access-from-files", "--window-size=1400,1000", "--dump-dom")
    dom, messages = browse(tmp_path, *flags, outer.as_uri())
    found = re.search(r"measured (\d+),(\d+),(\d+),(\d+)", dom)
    assert found, dom[-500:]
    console = [line for line in messages.splitlines() if "CONSOLE" in line]
    # Its own message shows that messages are shown.
    assert len(console) == 1, console
    assert "measured" in console[0]
    return tuple(map(int, found.groups()))


@pytest.mark.parametrize("width", [1280, 900, 400])
def test_browser_shows_every_picture_without_errors_or_sideways_scrolling(page_file, width, tmp_path):
    beyond, tables, *pictures = measured(page_file, width, tmp_path)
    assert beyond == 0
    assert tables == 0 or width < 900
    assert pictures == [0, len(Page(page_file).pictures)]


def test_eight_runs_with_long_labels_fit_900_pixels(tmp_path):
    changes = {
        "init_from": "runs/" + "a-long-name-of-a-run-folder-" * 3,
        "num_sweeps": 7,
        "hidden": (64, 64, 64),
    }
    folders = [
        str(finished.write(tmp_path / str(number), np.arange(9.0) + number, seed=number % 4, **each))
        for number, each in enumerate([{}] * 4 + [changes] * 4)
    ]
    report.write(folders, str(tmp_path / "page.html"), none)
    assert measured(tmp_path / "page.html", 900, tmp_path)[:2] == (0, 0)
    # Negative control: what is too wide is seen.
    assert measured(tmp_path / "page.html", 300, tmp_path)[1] > 0


def test_browser_paints_the_page(page_file, tmp_path):
    picture = tmp_path / "page.png"
    browse(tmp_path, "--window-size=1280,2000", f"--screenshot={picture}", page_file.as_uri())
    pixels = matplotlib.image.imread(picture)
    assert pixels.shape[:2] == (2000, 1280)
    assert all(part.std() > 0.05 for part in np.array_split(pixels[..., :3], 4))
