"""Engines on scripted runtimes: in threads, and in real child processes."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from magistral_mlx.engine.child import PYTHON, ChildEngine
from magistral_mlx.engine.linked import LinkedEngine
from magistral_mlx.engine.local import LocalEngine
from support.fake_runtime import ScriptedRuntime

TESTS = Path(__file__).parent.parent


def scripted_child(*arguments: str) -> ChildEngine:
    """Make an engine whose child runs the scripted runtime."""
    return ChildEngine(
        command=(*PYTHON, "-m", "support.fake_runtime", *arguments),
        environment={**os.environ, "PYTHONPATH": str(TESTS)},
    )


@pytest.fixture
async def child() -> AsyncIterator[ChildEngine]:
    engine = scripted_child()
    yield engine
    await engine.close()


@pytest.fixture(params=["local", "child"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[LinkedEngine]:
    """Both engines; a user interface sees no difference."""
    made = scripted_child() if request.param == "child" else LocalEngine(make_runtime=ScriptedRuntime)
    yield made
    await made.close()
