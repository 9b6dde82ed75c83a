"""The documentation builds without a warning, and its code runs as it stands."""

import importlib
import inspect
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
NOTEBOOKS = sorted(DOCS.glob("*.ipynb"))
# Pages whose code takes more than a few seconds.
LONG = ("README", "export", "levels", "log_partition", "samplers", "training")


def blocks(page):
    """The Python code of a page."""
    return re.findall(r"```python\n(.*?)```", page.read_text(), re.S)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page.stem in LONG)) for page in PAGES if blocks(page)],
    ids=lambda page: page.stem,
)
def test_code_of_a_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # One page is one session: later blocks use the names of earlier ones. Trainings are cut short.
    names = {}
    for block in blocks(page):
        exec(compile(block.replace("num_train_iter=2000", "num_train_iter=50"), str(page), "exec"), names)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
@pytest.mark.slow
def test_code_of_a_notebook(notebook, tmp_path, monkeypatch):
    """With a shorter training."""
    monkeypatch.chdir(tmp_path)
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    text = "\n".join("".join(cell["source"]) for cell in cells)
    assert "num_train_iter=2000" in text
    exec(compile(text.replace("num_train_iter=2000", "num_train_iter=40"), str(notebook), "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_files_that_a_page_names_exist(page):
    text = page.read_text()
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", prose):
        # The home page of the site is the README.
        target = ROOT / "README.md" if link == "index.md" else page.parent / link
        assert target.exists(), link
    for name in re.findall(r"(?:runners\.|python -m dvae_tf\.runners\.)([a-z0-9_]+)", text):
        assert (ROOT / "runners" / f"{name}.py").exists(), name
    for name in re.findall(r"examples/(\w+\.py)", text):
        assert (ROOT / "examples" / name).exists(), name
    for name in re.findall(r"`(tests/[\w/.]+|results/[\w/]+\.json)`", text):
        assert (ROOT / name).exists() or "NAME" in name, name


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_bytes()) <= 8_000


def test_files_of_the_equations_exist():
    names = re.findall(r"`([\w/]+\.py)`", (DOCS / "equations.md").read_text())
    assert names
    assert not [name for name in names if not (ROOT / "dvae_tf" / name).exists()]


# ------------------------------------------------------------------------------------------- the site


def build(root, site):
    """Runs MkDocs as `make docs` does."""
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install '.[docs]'")
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)],
        cwd=root,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    built = build(ROOT, folder)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


# The pages of the reference, each a subpackage or module.
ROOMS = (
    *(
        "config",
        "data",
        "estimators",
        "evaluation",
        "export",
        "graphs",
        "kl",
        "models",
        "networks",
        "objectives",
        "partition",
        "plots",
    ),
    *("posterior", "priors", "rbm", "runs", "samplers", "smoothing", "training"),
)


def public_names(module):
    """`__all__` but for modules; without one, the public functions and classes defined there."""
    values = vars(importlib.import_module(module))
    own = [name for name, value in values.items() if getattr(value, "__module__", None) == module]
    names = values.get("__all__", [name for name in own if not name.startswith("_")])
    return [name for name in names if not inspect.ismodule(values[name])]


def test_the_site(site):
    """Every public name is on it, every formula is MathML, and nothing is loaded from elsewhere."""
    missing = []
    for room in ROOMS:
        ids = set(re.findall(r'id="(dvae_tf\.[^"]*)"', (site / "api" / f"{room}.html").read_text()))
        for name in public_names(f"dvae_tf.{room}"):
            # A function of the same name as its module is found below the module.
            full = f"dvae_tf.{room}.{name}"
            if not ids & {full, f"{full}.{name}"}:
                missing.append(full)
    assert not missing
    html = "".join(page.read_text() for page in site.rglob("*.html"))
    assert "<math" in html
    assert "arithmatex" not in html
    loaded = re.findall(r'<(?:script|link|img|iframe)[^>]*?(?:src|href)="((?:https?:)?//[^"]*)"', html)
    css = "".join(sheet.read_text() for sheet in site.rglob("*.css"))
    assert not loaded + re.findall(r"url\([\"']?((?:https?:)?//[^)]*)", css)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a page](nowhere.md)", "nowhere.md"),
        ("[a section](priors.md#nothing)", "#nothing"),
        ("::: dvae_tf.priors.Nothing", "dvae_tf.priors.Nothing"),
        (r"A formula: $\nothing + 1$.", "nothing"),
    ],
    ids=["page", "anchor", "name", "formula"],
)
def test_what_is_broken_fails(text, message, tmp_path):
    root = tmp_path / "copy"
    root.mkdir()
    for file in ROOT.iterdir():
        if not file.name.startswith(".") and file.name not in ("docs", "runs"):
            (root / file.name).symlink_to(file)
    shutil.copytree(DOCS, root / "docs")
    page = root / "docs" / "limits.md"
    page.write_text(f"{page.read_text()}\n{text}\n")
    built = build(root, tmp_path / "site")
    assert built.returncode != 0
    assert message in built.stdout + built.stderr
