"""What a prompt is made of, told from its ids alone; no MLX."""

from collections.abc import Sequence

from magistral_mlx.generation.events import ContextSegments
from magistral_mlx.prompt.tokenizer import SpecialIds


def prompt_segments(token_ids: Sequence[int], special: SpecialIds) -> ContextSegments:
    """The parts of a prompt; control tokens belong to what they enclose.

    The system message stands at the beginning, up to [/SYSTEM_PROMPT]; pictures are wherever their
    positions are; everything else is history, the question that is to be answered included.
    """
    ids = tuple(token_ids)
    end_of_system = special.end_system_prompt
    system = ids.index(end_of_system) + 1 if end_of_system in ids else 0
    of_pictures = {special.image, special.image_break, special.image_end}
    pictures = sum(token_id in of_pictures for token_id in ids)
    return ContextSegments(system=system, pictures=pictures, history=len(ids) - system - pictures)
