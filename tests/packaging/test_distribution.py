"""What the distribution promises: entry points that exist, versions that are known to work, light imports."""

import re
import tomllib
from collections.abc import Mapping
from importlib import import_module, metadata
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_ENTRY_POINTS = metadata.distribution("magistral-mlx").entry_points


def _project() -> Mapping[str, object]:
    with (_ROOT / "pyproject.toml").open("rb") as file:
        project: Mapping[str, object] = tomllib.load(file)["project"]
    return project


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _pins() -> dict[str, str]:
    lines = (_ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {_normal(name): version for name, version in pairs}


def _required(requirements: object) -> set[str]:
    assert isinstance(requirements, list)
    names = [re.match(r"[\w.-]+", str(requirement)) for requirement in requirements]
    return {_normal(name[0]) for name in names if name} - {"magistral-mlx"}


@pytest.mark.parametrize("entry", _ENTRY_POINTS, ids=lambda entry: f"{entry.group}:{entry.name}")
def test_every_entry_point_can_be_loaded(entry: metadata.EntryPoint) -> None:
    loaded = entry.load()
    if entry.group.endswith("commands"):
        assert isinstance(loaded.SUMMARY, str)
        assert callable(loaded.configure)
        assert callable(loaded.run)
    else:
        assert callable(loaded)


def test_the_command_line_of_the_contract_is_installed() -> None:
    commands = {entry.name for entry in _ENTRY_POINTS if entry.group == "magistral_mlx.commands"}
    assert commands >= {"app", "ask", "convert", "demo", "models"}
    assert [entry.name for entry in _ENTRY_POINTS if entry.group == "console_scripts"] == ["magistral"]


def test_every_direct_dependency_has_a_version_known_to_work() -> None:
    project = _project()
    extras = project["optional-dependencies"]
    assert isinstance(extras, dict)
    wanted = _required(project["dependencies"]) | _required(extras["test"]) | _required(extras["dev"])
    assert wanted <= set(_pins())


def test_constraints_name_versions_and_nothing_else() -> None:
    for line in (_ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[a-z0-9-]+==[\w.+!]+", line), line


@pytest.mark.parametrize("package", ["magistral_mlx", "magistral_mlx_convert", "magistral_mlx_tui"])
def test_every_package_is_typed(package: str) -> None:
    module = import_module(package)
    assert module.__file__ is not None
    assert Path(module.__file__).with_name("py.typed").exists()


def test_torch_is_no_dependency_of_any_kind() -> None:
    requirements = metadata.requires("magistral-mlx") or []
    assert [line for line in requirements if line.startswith(("torch", "transformers"))] == []
