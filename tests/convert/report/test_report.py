"""`--report`: what lies in the folder afterwards, and that all of it says the same."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from magistral_mlx.checkpoint.manifest import verify_folder
from magistral_mlx.commands.main import main
from magistral_mlx_convert import Progress, Stage, convert
from magistral_mlx_convert.report.charts import bar_chart, line_chart
from support.hf_checkpoint import digests
from support.random_checkpoint import write_source


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    base = tmp_path_factory.mktemp("report")
    events: list[Progress] = []
    source = write_source(base / "hf")
    return convert(source, base / "out", report=True, progress=events.append), events


def test_the_figures_are_in_report_manifest_and_card(reported: tuple[Path, list[Progress]]) -> None:
    folder, _ = reported
    report = json.loads((folder / "report.json").read_text())
    manifest = json.loads((folder / "magistral-mlx.json").read_text())
    card = (folder / "README.md").read_text()
    assert manifest["comparison"] == report["comparison"]
    whole = report["comparison"]["whole"]
    assert f"mean KL divergence {whole['mean_kl']:.3g} nats" in card
    assert f"{100 * whole['same_top']:.1f} %" in card
    assert len(report["comparison"]["groups"]) == 25
    assert "| Ukrainian |" in card
    assert "Not measured here" not in card
    assert len(report["layers"]) == len(report["comparison"]["layers"]) == 2


def test_the_charts_are_drawings_and_the_manifest_knows_them(reported: tuple[Path, list[Progress]]) -> None:
    folder, _ = reported
    for name in ("report-layers.svg", "report-languages.svg"):
        assert ElementTree.parse(folder / name).getroot().tag == "{http://www.w3.org/2000/svg}svg"
        assert f"]({name})" in (folder / "README.md").read_text()
    assert verify_folder(folder).bad == ()


def test_the_comparison_is_told_as_progress(reported: tuple[Path, list[Progress]]) -> None:
    _, events = reported
    compared = [event for event in events if event.stage is Stage.COMPARE]
    assert [event.tensors_done for event in compared] == [0, 1, 2, 3, 4]


def test_a_later_report_says_the_same(
    reported: tuple[Path, list[Progress]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = reported
    source = folder.with_name("hf")
    before = digests(folder)
    assert main(["models", "report", str(folder), "--source", str(source), "--json"]) == 0
    later = json.loads(capsys.readouterr().out)
    report = json.loads((folder / "report.json").read_text())
    assert later["comparison"] == report["comparison"]
    assert later["whole"] == pytest.approx(report["whole"], rel=0.01)
    assert digests(folder) == before


def test_without_a_report_the_card_says_what_is_not_known(tmp_path: Path) -> None:
    folder = convert(write_source(tmp_path / "hf"), tmp_path / "out")
    assert "Not measured here: how much the answers change" in (folder / "README.md").read_text()
    assert json.loads((folder / "magistral-mlx.json").read_text())["comparison"] is None
    assert not {"report.json", "report-layers.svg"} & set(digests(folder))


def test_a_report_on_weights_that_are_kept(tmp_path: Path) -> None:
    folder = convert(write_source(tmp_path / "hf"), tmp_path / "out", bits=16, report=True)
    report = json.loads((folder / "report.json").read_text())
    assert report["whole"] is None
    assert report["comparison"]["whole"]["mean_kl"] == 0.0


@pytest.mark.parametrize("values", [[], [0.0], [1e-9, 2e-9], [0.5, 1234.5, 3.0]])
def test_charts_draw_any_numbers(values: list[float]) -> None:
    line = line_chart("<Errors> & more", {"a<b": values, "c": values}, unit="%", across="layer")
    bars = bar_chart("x", {f"n{index}": value for index, value in enumerate(values)}, unit="nats")
    for drawing in (line, bars):
        root = ElementTree.fromstring(drawing)
        for each in root.iter():
            assert "nan" not in "".join(each.attrib.values())
    assert "&lt;Errors&gt; &amp; more" in line
