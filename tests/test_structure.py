"""The house: BUILD states the imports, arrows go one way, and nothing is left out."""

import ast
import glob
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def read_build() -> dict[str, tuple[set[str], set[str]]]:
    """Target -> (source files, names of its dependencies)."""
    targets = {}
    for statement in ast.parse((ROOT / "BUILD").read_text()).body:
        call = statement.value
        fields = {keyword.arg: keyword.value for keyword in call.keywords}
        sources = fields["srcs"]
        if isinstance(sources, ast.Call):
            patterns = ast.literal_eval(sources.args[0])
            files = {p for each in patterns for p in glob.glob(each, root_dir=ROOT)}
        else:
            files = set(ast.literal_eval(sources))
        deps = set(ast.literal_eval(fields["deps"])) if "deps" in fields else set()
        targets[ast.literal_eval(fields["name"])] = files, {dep.lstrip(":") for dep in deps}
    return targets


def imported_modules(path: str) -> set[str]:
    """Dotted names inside the project that a file imports, each `package.module` or `package`."""
    package = list(pathlib.Path(path).with_suffix("").parts)[:-1]
    found = set()
    tree = ast.parse((ROOT / path).read_text())
    if path == "dvae_tf/__init__.py":
        # For type checkers only: it imports its subpackages when they are accessed.
        tree.body = [node for node in tree.body if not is_for_type_checkers(node)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            parts = package[: len(package) - node.level + 1] if node.level else []
            module = parts + (node.module.split(".") if node.module else [])
            found |= {".".join([*module, alias.name]) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("dvae_tf", "runners")}


def is_for_type_checkers(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse


def target_of(name: str, targets: dict) -> str:
    """The target that a dotted name belongs to."""
    for length in range(len(name.split(".")), 0, -1):
        stem = "/".join(name.split(".")[:length])
        for target, (files, _) in targets.items():
            if f"{stem}.py" in files or f"{stem}/__init__.py" in files:
                return target
    raise AssertionError(f"no target holds {name}")


TARGETS = read_build()


@pytest.mark.parametrize("target", TARGETS)
def test_build_states_the_imports(target):
    files, deps = TARGETS[target]
    assert files
    imported = {target_of(name, TARGETS) for file in files for name in imported_modules(file)}
    assert imported - {target} == deps


def test_arrows_go_one_way():
    order = list(TARGETS)
    for target, (_, deps) in TARGETS.items():
        assert all(order.index(dep) < order.index(target) for dep in deps), target


def test_every_file_has_a_room():
    listed = [file for files, _ in TARGETS.values() for file in files]
    assert len(listed) == len(set(listed))
    there = {str(p.relative_to(ROOT)) for d in ("dvae_tf", "runners") for p in ROOT.glob(f"{d}/**/*.py")}
    assert there == set(listed)


def test_modules_import_nothing_in_a_circle():
    """Also inside a package: no module reaches itself."""
    files = [file for sources, _ in TARGETS.values() for file in sources]
    graph = {}
    for file in files:
        names = imported_modules(file)
        stems = {name.replace(".", "/") for name in names}
        stems |= {name.replace(".", "/").rpartition("/")[0] for name in names}
        graph[file] = {other for other in files if other.removesuffix(".py") in stems and other != file}

    def reaches(start: str) -> set[str]:
        seen, queue = set(), [start]
        while queue:
            for other in graph[queue.pop()] - seen:
                seen.add(other)
                queue.append(other)
        return seen

    assert not [file for file in files if file in reaches(file)]


@pytest.mark.parametrize("path", sorted(p for files, _ in TARGETS.values() for p in files), ids=lambda p: p)
def test_every_room_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse((ROOT / path).read_text()))


def test_global_randomness_is_nowhere():
    for files, _ in TARGETS.values():
        for file in files:
            text = (ROOT / file).read_text()
            for forbidden in (
                "tf.random.uniform",
                "tf.random.normal",
                "np.random.seed",
                "set_seed",
            ):
                assert forbidden not in text, (file, forbidden)
