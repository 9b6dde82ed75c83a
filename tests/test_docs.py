"""The code of the documentation runs as it stands."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
NOTEBOOKS = sorted((ROOT / "docs").glob("*.ipynb"))


# The page of results is written by a program; its test is that program's.
WITH_CODE = [page for page in PAGES if page.stem not in ("results", "reliability")]
LONG = ("export", "samplers", "training")


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page.stem in LONG)) for page in WITH_CODE],
    ids=lambda page: page.stem,
)
def test_code_of_a_page(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
    assert blocks
    # One page is one session: later blocks use the names of earlier ones.
    names = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), names)


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
def test_files_that_a_page_names_are_there(page):
    text = page.read_text()
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    for link in re.findall(r"\]\(([^)#]+)\)", prose):
        assert (page.parent / link).exists(), link
    for name in re.findall(r"(?:runners\.|python -m dvae_tf\.runners\.)([a-z0-9_]+)", text):
        assert (ROOT / "runners" / f"{name}.py").exists(), name
    for name in re.findall(r"examples/(\w+\.py)", text):
        assert (ROOT / "examples" / name).exists(), name
