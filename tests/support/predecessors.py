"""Text-only checkpoints in the form of Magistral Small 1.0 and 1.1 (MistralForCausalLM), from the same weights."""

import json
from pathlib import Path

from support.hf_checkpoint import change_json, change_weights
from support.random_checkpoint import tiny_config, write_source
from support.tekken import CONTROL_TOKENS, tekken_document

PROMPT_1_0 = (
    "First think.\n\nUse this form:\n<think>\nYour draft.\n</think>\n\nHere, a summary.\n\nProblem:\n\n"
)
"""A SYSTEM_PROMPT.txt in the form of Magistral Small 1.0: its marks are ordinary text."""


def write_predecessor(folder: Path, *, release: str, seed: int = 0) -> Path:
    """A Hugging Face folder like Magistral-Small-2506 (`release` "1.0") or -2507 ("1.1")."""
    config = tiny_config(vision=False)
    write_source(folder, config=config, seed=seed)
    change_weights(folder, lambda tensors: [
        tensors.update({name.removeprefix("language_model."): tensors.pop(name)}) for name in list(tensors)
    ])  # fmt: skip
    text = config["text_config"] | {"architectures": ["MistralForCausalLM"], "torch_dtype": "bfloat16"}
    change_json(folder / "config.json", lambda raw: (raw.clear(), raw.update(text)))
    if release == "1.0":
        document = tekken_document(control_tokens=CONTROL_TOKENS_1_0, image=False)
        document["config"]["version"] = "v7"
        (folder / "tekken.json").write_text(json.dumps(document))
        (folder / "SYSTEM_PROMPT.txt").write_text(PROMPT_1_0)
    return folder


CONTROL_TOKENS_1_0 = {rank: name for rank, name in CONTROL_TOKENS.items() if rank < 20}
"""Of Magistral Small 1.0: no marks for thoughts, none for the arguments of a tool call."""
