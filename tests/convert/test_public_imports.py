"""The converter imports nothing private of another library: an upgrade may change that without a word."""

import ast
from pathlib import Path

import pytest

import magistral_mlx_convert

_FOLDER = Path(magistral_mlx_convert.__file__).parent
_INTERNAL = {"huggingface_hub.file_download", "huggingface_hub.hf_api"}
"""Modules without an underscore that the library's own documentation does not name."""


def _imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if not name.startswith(("magistral_mlx", "__future__"))}


@pytest.mark.parametrize("path", sorted(_FOLDER.rglob("*.py")), ids=lambda path: path.stem)
def test_only_public_modules_of_others_are_imported(path: Path) -> None:
    private = {
        name
        for name in _imported(path)
        if any(part.startswith("_") for part in name.split(".")) or name.rpartition(".")[0] in _INTERNAL
    }
    assert private == set()
