"""A controller on a scripted engine, without a screen."""

import asyncio
from collections.abc import Callable, Sequence

from magistral_mlx_tui.conversation.controller import Controller, Phase
from magistral_mlx_tui.conversation.turns import Question
from support.fake_engine import LOADING, ScriptedEngine, Step


async def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.001)


async def started(
    *turns: Sequence[Step], loading: tuple[object, ...] = LOADING
) -> tuple[Controller, ScriptedEngine]:
    """A controller whose engine is being loaded."""
    engine = ScriptedEngine(turns=turns, loading=loading)  # type: ignore[arg-type] - scripts of loading steps
    controller = Controller(engine, model="m")
    controller.start()
    return controller, engine


async def ready(*turns: Sequence[Step]) -> tuple[Controller, ScriptedEngine]:
    """A controller that takes questions."""
    controller, engine = await started(*turns)
    await until(lambda: controller.phase is Phase.READY)
    return controller, engine


async def ask(controller: Controller, question: str) -> None:
    """Ask and wait for the answer."""
    turns = len(controller.turns) + 1
    controller.submit(Question(question))
    await settled(controller, turns=turns)


async def settled(controller: Controller, *, turns: int) -> None:
    """Wait until there are `turns` turns and nothing runs."""
    await until(
        lambda: (
            len(controller.turns) == turns
            and not any(turn.running for turn in controller.turns)
            and not controller.phase.busy
            and not controller.arranging
        )
    )
