"""A calibration as a conversion uses it: checked early, told in the manifest, run while it writes."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from magistral_mlx.checkpoint.config import ModelConfig
from magistral_mlx.prompt.system_prompt import ReasoningPrompt
from magistral_mlx.prompt.tokenizer import Tokenizer
from magistral_mlx_convert.planning.plan import Plan
from magistral_mlx_convert.progress.events import Progress, Stage
from magistral_mlx_convert.quantize.activations import Activations
from magistral_mlx_convert.quantize.calibrated import CalibratedQuantizer
from magistral_mlx_convert.quantize.calibration_text import (
    CalibrationText,
    bundled_text,
    calibration_samples,
    text_of_file,
)
from magistral_mlx_convert.report.calibration import Sample
from magistral_mlx_convert.report.compare import image_geometry
from magistral_mlx_convert.report.weights import SourceWeights
from magistral_mlx_convert.sources.mapping import WeightMap
from magistral_mlx_convert.sources.source import Source
from magistral_mlx_convert.writing.side_files import SYSTEM_PROMPT_FILE, TOKENIZER_FILE, SideFiles

STATES_FOLDER = "calibration"
"""In the hidden folder of a conversion: states between layers."""


@dataclass(frozen=True)
class Calibration:
    """A text as the prompts that the model will run on."""

    text: CalibrationText
    samples: tuple[Sample, ...]

    @property
    def tokens(self) -> int:
        return sum(len(sample.token_ids) for sample in self.samples)

    def to_json(self) -> dict[str, object]:
        """As it stands in the manifest."""
        return {
            "text": self.text.name,
            "sha256": self.text.sha256,
            "tokens": self.tokens,
            "images": sum(len(sample.images) for sample in self.samples),
        }


def prepare_calibration(file: Path | None, config: ModelConfig, side_files: SideFiles) -> Calibration:
    """The calibration with a text of the user's own, or the bundled one.

    Raises:
        UsageError: the file can't be used.
        CheckpointError: the tokenizer or the reasoning prompt is damaged.
    """
    text = bundled_text() if file is None else text_of_file(file)
    with tempfile.TemporaryDirectory(prefix="magistral-calibration-") as folder:
        path = Path(folder) / TOKENIZER_FILE
        path.write_bytes(side_files.files[TOKENIZER_FILE])
        tokenizer = Tokenizer.from_file(path, image_geometry(config))
    prompt = ReasoningPrompt.parse(side_files.files[SYSTEM_PROMPT_FILE].decode())
    samples = calibration_samples(text, tokenizer, prompt, seeing=config.vision is not None)
    return Calibration(text=text, samples=tuple(samples))


def calibrated_quantizer(
    calibration: Calibration, plan: Plan, source: Source, folder: Path, progress: Callable[[Progress], None]
) -> CalibratedQuantizer:
    """What quantizes the matrices of `plan`, in its order.

    Args:
        calibration: what the model reads.
        plan: of the conversion.
        source: whose weights run.
        folder: the conversion's own, where states wait.
        progress: gets the layers as they pass.
    """

    def tell(done: int, total: int) -> None:
        progress(Progress(stage=Stage.CALIBRATE, tensors_done=done, tensors_total=total))

    weights = SourceWeights(
        source, WeightMap(parameters=tuple(unit.parameter for unit in plan.units), dropped={})
    )
    activations = Activations(plan.config, weights, calibration.samples, folder / STATES_FOLDER, tell)
    return CalibratedQuantizer(activations)
