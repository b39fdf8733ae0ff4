"""The rules of the house, counted: imports without circles, few loose modules, small folders and files,
mirrored tests, nothing private of other libraries, and units of bytes spelled in one place."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "magistral_mlx": ROOT / "src/magistral_mlx",
    "magistral_mlx_convert": ROOT / "convert/magistral_mlx_convert",
    "magistral_mlx_tui": ROOT / "tui/magistral_mlx_tui",
}
MODULES = sorted(file for package in PACKAGES.values() for file in package.rglob("*.py"))
FOLDERS = sorted({file.parent for file in MODULES})

LONGEST_FILE = 450
MOST_IN_A_FOLDER = 20
MOST_LOOSE_MODULES = 12

TESTS = ROOT / "tests"
MIRRORED = {"": "magistral_mlx", "convert": "magistral_mlx_convert", "tui": "magistral_mlx_tui"}
"""A folder of tests/ and the package whose rooms it mirrors."""

TESTS_OF_MORE_THAN_ONE_ROOM = {"docs", "packaging", "reliability", "miniature"}

UNITS_OF_BYTES = re.compile(r"(?:[0-9] ?|} )(GB|GiB|MB|MiB|kB|KiB)(?![A-Za-z])")
"""After a figure; a column's head and the size in `fit:GB` name a unit without one."""


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


def _imports() -> dict[str, set[str]]:
    """Each of our modules with those it imports, in functions and for type checkers alike."""
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
    return {module: graph.find_modules_directly_imported_by(module) for module in sorted(graph.modules)}


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _circle(imports: dict[str, set[str]]) -> list[str]:
    """One circle, if there is any; a module or room that imports itself does not count."""
    try:
        TopologicalSorter({name: imported - {name} for name, imported in imports.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_module_imports_itself_through_others() -> None:
    assert _circle(_imports()) == []


def test_no_room_imports_itself_through_others() -> None:
    rooms: dict[str, set[str]] = {}
    for module, imported in _imports().items():
        if module not in PACKAGES:
            rooms.setdefault(_room(module), set()).update(_room(other) for other in imported - set(PACKAGES))
    assert _circle(rooms) == []


def test_a_circle_would_be_found() -> None:
    assert _circle({"a": {"b"}, "b": {"a"}}) == ["a", "b", "a"]


def test_few_modules_lie_outside_the_rooms() -> None:
    loose = [
        _name(file)
        for package in PACKAGES.values()
        for file in sorted(package.glob("*.py"))
        if file.name != "__init__.py"
    ]
    assert len(loose) <= MOST_LOOSE_MODULES, loose


def test_folders_are_small() -> None:
    sizes = {_name(folder): len(list(folder.glob("*.py"))) for folder in FOLDERS}
    assert {folder: size for folder, size in sizes.items() if size > MOST_IN_A_FOLDER} == {}


def test_files_are_short() -> None:
    lines = {_name(file): len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert {file: length for file, length in lines.items() if length > LONGEST_FILE} == {}


def _room_of_tests(folder: Path) -> Path | None:
    """The folder of product code that a folder of tests mirrors."""
    first, *rest = folder.relative_to(TESTS).parts
    if first in MIRRORED:
        return PACKAGES[MIRRORED[first]].joinpath(*rest)
    return PACKAGES[MIRRORED[""]].joinpath(first, *rest)


def _mirrors(file: Path) -> bool:
    if file.parent == TESTS:
        return (PACKAGES["magistral_mlx"] / file.name.removeprefix("test_")).exists()
    if file.relative_to(TESTS).parts[0] in TESTS_OF_MORE_THAN_ONE_ROOM:
        return True
    room = _room_of_tests(file.parent)
    return room is not None and room.is_dir()


def test_tests_mirror_the_rooms() -> None:
    assert [_name(file) for file in sorted(TESTS.rglob("test_*.py")) if not _mirrors(file)] == []


def test_test_files_have_speaking_names() -> None:
    assert [
        _name(file) for file in TESTS.rglob("test_*.py") if re.fullmatch(r"test_[a-z]?\d+\w*", file.stem)
    ] == []


def _imported_names(file: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_private(name: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def test_nothing_private_of_another_library_is_imported() -> None:
    private = [
        f"{_name(file)}: {name}"
        for file in MODULES
        for name in _imported_names(file)
        if _is_private(name)
        and name.partition(".")[0] not in {*PACKAGES, "_typeshed"}  # for type checkers alone
    ]
    assert private == []


def _is_docstring(token: tokenize.TokenInfo) -> bool:
    return token.line.lstrip().startswith(('"""', 'r"""'))


def _spelled_units(file: Path) -> Iterator[str]:
    """Lines of code, but for comments and docstrings, that spell a unit of bytes."""
    source = io.StringIO(file.read_text(encoding="utf-8"))
    for token in tokenize.generate_tokens(source.readline):
        if token.type != tokenize.COMMENT and not _is_docstring(token) and _spells_unit(token):
            yield f"{_name(file)}:{token.start[0]}: {token.string.strip()[:80]}"


def _spells_unit(token: tokenize.TokenInfo) -> bool:
    # A name such as `GIB`, imported from the one place, is no text.
    return token.type != tokenize.NAME and UNITS_OF_BYTES.search(token.string) is not None


def test_units_of_bytes_are_spelled_in_one_place() -> None:
    (one_place,) = [file for file in MODULES if file.parts[-2:] == ("storage", "units.py")]
    assert [line for file in MODULES if file != one_place for line in _spelled_units(file)] == []


@pytest.mark.parametrize(("code", "lines"), [('print(f"{size:.1f} GB")\n', 1), ('"""Up to 4 GB."""\n', 0)])
def test_a_spelled_unit_would_be_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, lines: int
) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    (tmp_path / "sizes.py").write_text(code)
    assert len(list(_spelled_units(tmp_path / "sizes.py"))) == lines
