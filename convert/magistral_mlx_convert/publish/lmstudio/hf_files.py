"""The files of Hugging Face's tokenizer and processor, from tekken.json and config.json alone."""

import json
from collections.abc import Mapping

from magistral_mlx.checkpoint.folder import Checkpoint, read_json
from magistral_mlx.prompt.system_prompt import ReasoningPrompt
from magistral_mlx_convert.publish.lmstudio.chat_template import chat_template
from magistral_mlx_convert.publish.lmstudio.tokenizer_json import Tekken, read_tekken, tokenizer_json
from magistral_mlx_convert.writing.side_files import to_json

# CLIP's mean and deviation, as mistral-common normalises images (`DATASET_MEAN`, `DATASET_STD`).
_MEAN = [0.48145466, 0.4578275, 0.40821073]
_DEVIATION = [0.26862954, 0.26130258, 0.27577711]
_BICUBIC = 3


def hf_files(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Name -> content of everything that LM Studio, mlx-lm and mlx-vlm need beside weights and config.

    Raises:
        ConversionError: tekken.json can't be read.
        CheckpointError: it is not JSON, or SYSTEM_PROMPT.txt is none.
    """
    tekken = read_tekken(read_json(checkpoint.tokenizer_file))
    prompt = checkpoint.system_prompt
    template = chat_template(ReasoningPrompt.parse(prompt) if prompt else None)
    files = {
        # Not indented: its lists of merges would grow to a line per word.
        "tokenizer.json": json.dumps(tokenizer_json(tekken), ensure_ascii=False).encode(),
        "tokenizer_config.json": to_json(_tokenizer_config(tekken, checkpoint)),
        "special_tokens_map.json": to_json(_named_tokens(tekken)),
        "chat_template.jinja": template.encode(),
    }
    vision = checkpoint.config.vision
    if vision is not None:
        merge = checkpoint.config.spatial_merge_size
        files["preprocessor_config.json"] = to_json(_image_processor(vision.patch_size, vision.image_size))
        files["processor_config.json"] = to_json(_processor(vision.patch_size, merge))
    return files


def _named_tokens(tekken: Tekken) -> dict[str, str]:
    wanted = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    return {role: name for role, name in wanted.items() if name in tekken.control}


def _tokenizer_config(tekken: Tekken, checkpoint: Checkpoint) -> dict[str, object]:
    decoder: Mapping[str, object] = {
        str(number): {
            "content": name,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": True,
        }
        for number, name in enumerate(tekken.control)
    }
    return {
        **_named_tokens(tekken),
        "added_tokens_decoder": decoder,
        "clean_up_tokenization_spaces": False,
        "model_max_length": checkpoint.config.text.max_position_embeddings,
        "tokenizer_class": "PreTrainedTokenizerFast",
        **({"processor_class": "PixtralProcessor"} if checkpoint.config.vision else {}),
    }


def _image_processor(patch: int, longest: int) -> dict[str, object]:
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": _MEAN,
        "image_processor_type": "PixtralImageProcessor",
        "image_std": _DEVIATION,
        "patch_size": {"height": patch, "width": patch},
        "processor_class": "PixtralProcessor",
        "resample": _BICUBIC,
        "rescale_factor": 1 / 255,
        "size": {"longest_edge": longest},
    }


def _processor(patch: int, merge: int) -> dict[str, object]:
    return {
        "image_break_token": "[IMG_BREAK]",
        "image_end_token": "[IMG_END]",
        "image_token": "[IMG]",
        "patch_size": patch,
        "processor_class": "PixtralProcessor",
        "spatial_merge_size": merge,
    }
