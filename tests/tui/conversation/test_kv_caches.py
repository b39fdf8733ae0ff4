"""KV caches on disk: only where they are worth it, never in the way."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from magistral_mlx.engine.protocol import Answer, Failed, Progress
from magistral_mlx.sessions.library import Library
from magistral_mlx_tui.conversation import kv_caches as caches
from magistral_mlx_tui.conversation.branching import new_conversation, open_conversation
from magistral_mlx_tui.conversation.controller import Controller, Phase
from magistral_mlx_tui.conversation.kv_caches import Caches
from support.controllers import ask, until
from support.fake_engine import MODEL, ScriptedEngine, Step


@pytest.fixture(autouse=True)
def roomy_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_LEFT_FREE", 0)


async def started(*turns: list[Step]) -> tuple[Controller, ScriptedEngine]:
    engine = ScriptedEngine(turns=turns)
    controller = Controller(engine, keep_caches=True)
    controller.start()
    await until(lambda: controller.phase is Phase.READY)
    return controller, engine


async def test_a_long_conversation_goes_on_with_its_cache() -> None:
    controller, engine = await started([Progress(context_used=5000), Answer("one", 1)], [Answer("two", 1)])
    await ask(controller, "first")
    id_ = controller.recorder.session.id
    await controller.close()
    await controller.close()
    path = controller.recorder.library.caches / f"{id_}.kv"
    assert engine.caches == [str(path)]
    path.write_bytes(b"cache")  # the scripted engine writes none
    other, engine = await started()
    open_conversation(other, id_)
    await until(lambda: bool(engine.caches))
    assert engine.calls[-2:] == ["open_conversation", "load_cache"]
    await other.close()


async def test_a_short_one_is_read_again_and_a_new_one_keeps_the_last() -> None:
    controller, engine = await started(
        [Progress(context_used=100), Answer("one", 1)], [Progress(context_used=4000), Answer("two", 1)]
    )
    await ask(controller, "first")
    new_conversation(controller)
    await until(lambda: not controller.arranging)
    assert engine.caches == []
    await ask(controller, "second")
    id_ = controller.recorder.session.id
    new_conversation(controller)
    await until(lambda: not controller.arranging)
    assert [Path(each).stem for each in engine.caches] == [id_]
    await controller.close()


async def test_a_cache_that_is_refused_is_thrown_away(tmp_path: Path) -> None:
    engine = ScriptedEngine(refusal=Failed("Of another model", "Ask again."))
    kept = Caches(engine, tmp_path)
    kept.path_of("x").write_bytes(b"old")
    await kept.bring_back("x")
    assert not kept.path_of("x").exists()
    await kept.bring_back("x")
    assert len(engine.caches) == 1


async def test_all_caches_together_have_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "MOST_BYTES", 100)
    model = replace(MODEL, kv_bytes_per_token=0)
    kept = Caches(ScriptedEngine(), tmp_path)
    for age, name in enumerate(("new", "old", "oldest")):
        kept.path_of(name).write_bytes(bytes(60))
        os.utime(kept.path_of(name), (1000 - age, 1000 - age))
    assert await kept.keep("now", tokens=5000, model=model)
    assert [path.stem for path in tmp_path.iterdir()] == ["new"]
    assert not await kept.keep("now", tokens=5000, model=model)


async def test_a_full_disk_keeps_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caches, "_LEFT_FREE", 2**62)
    assert not await Caches(ScriptedEngine(), tmp_path).keep("x", tokens=5000, model=MODEL)


async def test_a_deleted_conversation_takes_its_cache_along() -> None:
    controller, _engine = await started([Answer("one", 1)])
    await ask(controller, "first")
    await controller.close()
    library = Library()
    id_ = controller.recorder.session.id
    library.caches.mkdir()
    (library.caches / f"{id_}.kv").write_bytes(b"cache")
    library.delete(id_)
    assert list(library.caches.iterdir()) == []
