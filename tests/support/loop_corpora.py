"""Texts that repeat their form without running in circles, and texts that do run in circles."""

import itertools
import json
import random
from fractions import Fraction


def primes(below: int) -> list[int]:
    return [n for n in range(2, below) if all(n % d for d in range(2, int(n**0.5) + 1))]


def digits_of_pi(count: int) -> str:
    """Machin's formula in whole numbers."""

    def arctan(inverse: int, unit: int) -> int:
        term = total = unit // inverse
        for n in itertools.count(3, 2):
            term = -term // inverse**2
            if term in (0, -1):
                return total
            total += term // n
        raise AssertionError

    unit = 10 ** (count + 10)
    return str(4 * (4 * arctan(5, unit) - arctan(239, unit)))[:count]


def _refrain() -> str:
    verses = itertools.product(
        ("rose", "lark", "river", "moon", "harp"), ("hill", "sea", "wood"), ("snow", "sand")
    )
    refrain = "And ever the wind goes over the heather,\nSing ho, sing hey, for the summer weather.\n\n"
    return "".join(
        f"O {a} of the {b}, where the {c} lies deep,\nThe word that I gave to it I shall keep;\n{refrain}"
        for a, b, c in verses
    )


TEXTS = {
    "primes": ", ".join(map(str, primes(6000))),
    "primes in words": "\n".join(f"{n} is a prime number, as nothing divides it." for n in primes(1500)),
    "pi": "3." + digits_of_pi(2000),
    "table": "| Day | Hours |\n|---|---|\n" + "\n".join(f"| {day} | {day * 8} |" for day in range(300)),
    "wide rule": "|" + "---|" * 40 + "\n" + "=" * 120 + "\n",
    "ASCII table": "+----+-------+\n"
    + "".join(f"| {n:>2} | {n * n:>5} |\n+----+-------+\n" for n in range(200)),
    "multiplication": "\n".join(f"{a} x {b} = {a * b}" for a in range(1, 20) for b in range(1, 20)),
    "fraction": str(Fraction(1, 7)) + " = 0." + "142857" * 30,
    "code": "\n".join(f"    case {n}:\n        return handle_{n}(value)" for n in range(200)),
    "tests": "\n\n".join(
        f"def test_item_{n}(client):\n    answer = client.get('/items/{n}')\n    assert answer.status == 200"
        for n in range(80)
    ),
    "zeros": "[" + ", ".join(["0"] * 60) + "]",
    "identity": ",\n".join("[" + ", ".join("01"[a == b] for b in range(16)) + "]" for a in range(16)),
    "truth table": "\n".join(" | ".join("TF"[n >> bit & 1] for bit in range(8)) for n in range(256)),
    "binary": "\n".join(f"{n:08b}" for n in range(256)),
    "JSON": json.dumps(
        [{"id": n, "name": f"user{n}", "even": n % 2 == 0, "score": n * 7 % 100} for n in range(150)]
    ),
    "JSON of constants": json.dumps(
        [
            {
                "id": n,
                "type": "user",
                "active": True,
                "role": "member",
                "theme": "dark",
                "tags": ["a"],
                "score": n * 3,
            }
            for n in range(100)
        ]
    ),
    "HTML": "\n".join(
        f'<tr class="row"><td>{n}</td><td><a href="/item/{n}">Item {n}</a></td></tr>' for n in range(150)
    ),
    "calendar": "\n".join(f"2024-{month:02}-{day:02}: 0" for month in range(1, 13) for day in range(1, 29)),
    "poem with refrain": _refrain(),
    "trial and error": "\n".join(
        f"If x = {x}, then x^2 + x = {x * x + x}, and that is not 1806, so it does not work."
        for x in range(120)
    ),
}
"""No loops, each long enough to be taken for one."""

_SENTENCE = (
    "Wait, let me reconsider this. The sum is 85, so the answer should be 85. But the problem says that we"
    " need to find the number of ways. Hmm, that is not right. Let me check again. "
)


def one_word_changed(seed: int = 0, rounds: int = 130) -> str:
    """The same sentences again and again, each time with another word changed."""
    choice = random.Random(seed)
    pieces: list[str] = []
    for _ in range(rounds):
        words = _SENTENCE.split(" ")
        words[choice.randrange(len(words))] = choice.choice(
            ["so", "but", "however", "the", "86", "Then", "no"]
        )
        pieces.append(" ".join(words))
    return "".join(pieces)
