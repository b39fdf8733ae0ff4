"""The names that `import magistral_mlx` promises."""

import subprocess
import sys
from types import ModuleType

import magistral_mlx as mm
from magistral_mlx import errors, events


def public_classes(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and value.__module__ == module.__name__
    }


def test_all_is_sorted_and_every_name_is_there() -> None:
    assert mm.__all__ == sorted(mm.__all__)
    assert len(set(mm.__all__)) == len(mm.__all__)
    for name in mm.__all__:
        assert getattr(mm, name) is not None
        assert name in dir(mm)


def test_all_is_complete() -> None:
    """Every error and every event is public, and whatever `load` and a model give."""
    needed = public_classes(errors) | public_classes(events) | {"Event", "load", "Magistral", "Conversation"}
    assert needed <= set(mm.__all__)
    others = {
        "AnswerStream",
        "AskOptions",
        "AssistantTurn",
        "AsyncAnswerStream",
        "MemoryPlan",
        "ToolTurn",
        "UserTurn",
        "plan",
    }
    assert needed | others == set(mm.__all__)


def test_a_name_that_does_not_exist() -> None:
    assert not hasattr(mm, "generate")


def test_importing_loads_nothing_heavy() -> None:
    code = (
        "import sys, magistral_mlx as mm; mm.Ending.COMPLETE; mm.MagistralError; mm.load; mm.Conversation;"
        "print([name for name in ('mlx', 'mlx_lm', 'mistral_common', 'PIL', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
