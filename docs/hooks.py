"""Hooks of MkDocs: formulas as MathML, the API reference, the notebook, and pages from outside of `docs/`."""

import ast
import html
import itertools
import json
import pathlib
import re
from typing import Any
from xml.etree import ElementTree

from latex2mathml import converter
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = pathlib.Path(__file__).parent.parent
_PAGES = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
}
_REFERENCE = re.compile(r"^{{ reference: ([\w.]+) }}$", re.M)
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages at the root of the repository, the notebook, and the pictures of results."""
    for page, source in _PAGES.items():
        files.append(File.generated(config, page, content=_moved((ROOT / source).read_text())))
    for file in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(file)
        text = _notebook(json.loads(pathlib.Path(file.abs_src_path).read_text()))
        files.append(File.generated(config, file.src_uri.replace(".ipynb", ".md"), content=text))
    for picture in sorted((ROOT / "results").rglob("*.png")):
        name = picture.relative_to(ROOT).as_posix()
        files.append(File.generated(config, name, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Expands references; links that hold in the repository are made to hold on the site."""
    markdown = _REFERENCE.sub(lambda match: _reference(match[1]), markdown)
    markdown = re.sub(r"\]\(((?:\.\./)*)\.\./results/", r"](\1results/", markdown)
    return re.sub(r"\]\(([\w/.]+)\.ipynb\)", r"](\1.md)", markdown)


def on_page_content(content: str, page: Page, **_: Any) -> str:
    """Formulas, of the page and of docstrings, become MathML, which browsers render by themselves."""

    def formula(match: re.Match[str]) -> str:
        latex = html.unescape(match[3]).strip()
        # The converter knows `align*`, which for it means what `aligned` does.
        mathml = converter.convert(
            latex.replace("{aligned}", "{align*}"), display="block" if match[2] == "[" else "inline"
        )
        try:
            # HTML needs no namespace.
            element = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", mathml))
        except ElementTree.ParseError as error:
            raise PluginError(
                f"{page.file.src_uri}: {latex!r} does not convert to MathML: {error}"
            ) from error
        _space_functions(element)
        mathml = ElementTree.tostring(element, "unicode")
        if "\\" in mathml:
            raise PluginError(f"{page.file.src_uri}: {latex!r} has a LaTeX command that does not convert")
        return mathml

    return _FORMULA.sub(formula, content)


def _reference(package: str) -> str:
    """Directives of mkdocstrings: the docstring of each module, and what the package exports of it."""
    source = ROOT / package.replace(".", "/") / "__init__.py"
    if not source.exists():
        return f"::: {package}\n"
    exported, modules = [], {}
    for statement in ast.parse(source.read_text()).body:
        if isinstance(statement, ast.ImportFrom) and statement.level == 1:
            modules[statement.module or ""] = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            exported = ast.literal_eval(statement.value)
    own = set(exported).difference(*modules.values())
    parts = [_directive(package, members=False), *(_member(f"{package}.{name}", 2) for name in sorted(own))]
    for module, names in modules.items():
        if not module:
            # A module that is exported itself.
            parts += [_heading(name) + _directive(f"{package}.{name}") for name in names if name in exported]
        elif public := [name for name in names if name in exported]:
            parts.append(_heading(module) + _directive(f"{package}.{module}", members=False))
            # By the package's name, unless a module of the same name hides it.
            parts += [
                _member(f"{package}.{module}.{name}" if name in modules else f"{package}.{name}", 3)
                for name in public
            ]
    return "\n".join(parts)


def _heading(module: str) -> str:
    return f"## {module.replace('_', ' ')}\n\n"


def _member(name: str, level: int) -> str:
    constant = name.rpartition(".")[2].isupper()
    return _directive(
        name,
        heading_level=level,
        show_root_heading=True,
        show_root_toc_entry=True,
        show_if_no_docstring=constant,
    )


def _directive(name: str, **options: Any) -> str:
    return f"::: {name}\n    options: {json.dumps(options)}\n"


def _space_functions(element: ElementTree.Element) -> None:
    """Thin spaces around the name of a function, as in a log b, but not before a bracket: log(b)."""
    children = list(element)
    if element.tag in ("math", "mrow", "mstyle"):
        for before, after in reversed(list(itertools.pairwise(children))):
            operators = before.tag in ("mo", "mspace") and before.text != ")", after.tag in ("mo", "mspace")
            if (_is_function(before) and not operators[1]) or (_is_function(after) and not operators[0]):
                element.insert(children.index(after), ElementTree.Element("mspace", width="0.167em"))
    for child in children:
        _space_functions(child)


def _is_function(element: ElementTree.Element) -> bool:
    name = element[0] if element.tag in ("msub", "msup", "msubsup") else element
    return name.tag == "mi" and len(name.text or "") > 1


def _moved(text: str) -> str:
    """Links of a page at the root, from within the site."""
    for page, source in _PAGES.items():
        text = text.replace(f"]({source})", f"]({page})")
    return text.replace("](docs/", "](")


def _notebook(notebook: dict[str, Any]) -> str:
    """A notebook with its stored outputs, as Markdown."""
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                parts.append(f"![](data:image/png;base64,{''.join(data['image/png']).strip()})")
            elif text := "".join(output.get("text", data.get("text/plain", ()))):
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"
