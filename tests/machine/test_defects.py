"""What a log says of a defect: places and types, no words."""

from magistral_mlx.machine.defects import describe


def test_a_defect_and_its_cause_are_described_without_their_messages() -> None:
    try:
        try:
            raise KeyError("the question of a person")
        except KeyError as error:
            raise ValueError("a part of an answer") from error
    except ValueError as error:
        text = describe(error)
    assert "builtins.KeyError" in text
    assert "builtins.ValueError" in text
    assert "test_defects.py" in text
    assert text.index("KeyError") < text.index("builtins.ValueError")
