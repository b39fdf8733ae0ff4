"""`magistral doctor`: what it finds, on fake machines and with models that fit, do not fit and are broken."""

import json
from pathlib import Path

import pytest

from magistral_mlx.api.memory_plan import plan
from magistral_mlx.commands import doctor
from magistral_mlx.commands.doctor import PACKAGES, check_up
from magistral_mlx.commands.main import main
from magistral_mlx.memory.sizes import Machine
from magistral_mlx.storage import paths
from magistral_mlx.storage.units import GIB
from support.random_checkpoint import write_converted


def on_a_mac(monkeypatch: pytest.MonkeyPatch, gib: int, *, available: int | None = None) -> None:
    machine = Machine(
        total_bytes=gib * GIB, recommended_bytes=gib * GIB * 3 // 4, available_bytes=(available or gib) * GIB
    )
    monkeypatch.setattr(doctor, "_this_machine", lambda: machine)


def test_it_prints_everything(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_mac(monkeypatch, 32)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    for words in (
        "This machine",
        "32.0 GiB in all, 24.0 GiB recommended by Metal",
        "MLX",
        "disk",
        "What to do",
    ):
        assert words in text
    assert "62,707   117,227  131,072  fits" in text or "Magistral Small, 4 bits (not installed)" in text
    assert "magistral convert mistralai/Magistral-Small-2509" in text


def test_the_object_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(PACKAGES) | {"Python"} == set(found["versions"])
    assert found["total_bytes"] > GIB
    assert found["disk_free_bytes"] > 0
    assert found["broken"] is False
    (model,) = found["models"]
    assert set(model["contexts"]) == {"16", "8", "4"}


@pytest.mark.parametrize(("gib", "verdict"), [(16, "does not fit"), (24, "fits"), (128, "fits")])
def test_the_verdict_on_macs(monkeypatch: pytest.MonkeyPatch, gib: int, verdict: str) -> None:
    on_a_mac(monkeypatch, gib)
    found = check_up({})
    assert found.models[0].verdict.startswith(verdict)
    assert found.models[0].path is None
    assert any("miniature" in line for line in found.advice) == (verdict == "does not fit")


def test_installed_models_get_their_verdicts(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_mac(monkeypatch, 32, available=1)
    folder = paths.models_directory()
    write_converted(folder / "good")
    write_converted(folder / "bad")
    (folder / "bad" / "model-00001-of-00001.safetensors").write_bytes(b"cut")
    bad, good = check_up({}).models
    assert (bad.name, bad.weight_bytes, good.name) == ("bad", None, "good")
    assert bad.verdict.startswith("not usable: ")
    assert good.contexts["16"] == 4096
    assert any("bad" in line for line in check_up({}).advice)
    assert main(["doctor"]) == 0


def test_a_full_disk_and_a_dumb_terminal_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_mac(monkeypatch, 64)
    monkeypatch.setattr(doctor, "_disk", lambda folder: (Path("/"), 5 * 10**9))
    advice = check_up({"TERM": "dumb"}).advice
    assert any("20 GB" in line for line in advice)
    assert any("magistral ask" in line for line in advice)


def test_doctor_and_plan_size_a_model_alike_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(total_bytes=24 * GIB, available_bytes=24 * GIB)
    monkeypatch.setattr(doctor, "_this_machine", lambda: machine)
    (small,) = check_up({}).models
    planned = plan(machine=machine)
    assert small.weight_bytes == planned.weight_bytes
    assert small.contexts == {str(bits): tokens for bits, tokens in planned.contexts.items()}


@pytest.mark.parametrize(
    ("contexts", "advice"),
    [
        ({"16": 0, "8": 0, "4": 0}, "--bits 3"),
        ({"16": 0, "8": 9000, "4": 20_000}, "--kv-bits 8: 9,000 tokens"),
        ({"16": 0, "8": 0, "4": 5000}, "--kv-bits 4: 5,000 tokens"),
    ],
)
def test_only_a_setting_that_fits_is_advised(
    monkeypatch: pytest.MonkeyPatch, contexts: dict[str, int], advice: str
) -> None:
    model = doctor.Model(
        name="big", path="/big", weight_bytes=1, contexts=contexts, verdict="does not fit: 1 GiB"
    )
    on_a_mac(monkeypatch, 24)
    monkeypatch.setattr(doctor, "_models", lambda machine: (model,))
    (line,) = check_up({}).advice
    assert advice in line
    assert ("--kv-bits" in line) == (contexts["4"] > 0)


def test_an_mlx_that_does_not_work_is_the_only_news(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_backend", lambda: ("does not work (no libmlx)", "no libmlx"))
    assert main(["doctor"]) == 1
    text = capsys.readouterr().out
    assert "MLX does not work (no libmlx)" in text
    assert "--force-reinstall" in text
