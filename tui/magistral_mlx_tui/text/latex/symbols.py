"""What LaTeX's commands look like in Unicode, as tables; a command that is in none of them is not known."""

from typing import Literal

Kind = Literal["ord", "bin", "rel", "open", "close", "punct", "op", "big", "space", "text"]
"""What a sign does in a formula, in TeX's terms; it decides on the spaces around it."""


def _table(pairs: str) -> dict[str, str]:
    words = pairs.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _words(names: str) -> frozenset[str]:
    return frozenset(names.split())


LETTERS = _table(
    "alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι "
    "kappa κ lambda λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ "
    "upsilon υ phi ϕ varphi φ chi χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ "
    "Upsilon Υ Phi Φ Psi Ψ Omega Ω aleph ℵ beth ℶ ell ℓ hbar ℏ imath ı jmath ȷ Re ℜ Im ℑ wp ℘ partial "
    "∂ nabla ∇ infty ∞ emptyset ∅ varnothing ∅ forall ∀ exists ∃ nexists ∄ neg ¬ lnot ¬ top ⊤ bot ⊥ "
    "angle ∠ measuredangle ∡ triangle △ square □ Box □ blacksquare ■ qed ∎ diamond ⋄ clubsuit ♣ "
    "diamondsuit ♢ heartsuit ♡ spadesuit ♠ flat ♭ natural ♮ sharp ♯ checkmark ✓ dagger † ddagger ‡ "
    "degree ° circ ∘ prime ′ star ⋆ bigstar ★ ldots … dots … dotsc … dotsb ⋯ dotsi ⋯ dotsm ⋯ cdots ⋯ "
    "vdots ⋮ ddots ⋱ pounds £ euro € yen ¥ S § P ¶ copyright © complement ∁ mho ℧ eth ð Bbbk 𝕜 "
    "therefore ∴ because ∵ surd √ backslash \\ textdegree °"
)
BINARY = _table(
    "pm ± mp ∓ times × div ÷ cdot · ast ∗ bullet • oplus ⊕ ominus ⊖ otimes ⊗ oslash ⊘ odot ⊙ cap ∩ cup "
    "∪ uplus ⊎ sqcap ⊓ sqcup ⊔ wedge ∧ land ∧ vee ∨ lor ∨ setminus ∖ smallsetminus ∖ wr ≀ amalg ⨿ "
    "ltimes ⋉ rtimes ⋊ boxplus ⊞ boxtimes ⊠"
)
RELATIONS = _table(
    "le ≤ leq ≤ leqslant ≤ ge ≥ geq ≥ geqslant ≥ ne ≠ neq ≠ lt < gt > ll ≪ gg ≫ equiv ≡ approx ≈ "
    "approxeq ≊ sim ∼ simeq ≃ cong ≅ propto ∝ asymp ≍ doteq ≐ triangleq ≜ coloneqq ≔ prec ≺ succ ≻ "
    "preceq ⪯ succeq ⪰ in ∈ notin ∉ ni ∋ subset ⊂ supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ supsetneq "
    "⊋ sqsubseteq ⊑ sqsupseteq ⊒ perp ⟂ parallel ∥ nparallel ∦ mid ∣ nmid ∤ vdash ⊢ dashv ⊣ models ⊨ "
    "vDash ⊨ to → rightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ "
    "Leftrightarrow ⇔ implies ⟹ impliedby ⟸ iff ⟺ longrightarrow ⟶ longleftarrow ⟵ longleftrightarrow "
    "⟷ Longrightarrow ⟹ Longleftarrow ⟸ Longleftrightarrow ⟺ mapsto ↦ longmapsto ⟼ hookrightarrow ↪ "
    "hookleftarrow ↩ uparrow ↑ downarrow ↓ updownarrow ↕ Uparrow ⇑ Downarrow ⇓ nearrow ↗ searrow ↘ "
    "swarrow ↙ nwarrow ↖ rightharpoonup ⇀ leftharpoonup ↼ rightleftharpoons ⇌ leadsto ⇝ lesssim ≲ "
    "gtrsim ≳ nless ≮ ngtr ≯ nleq ≰ ngeq ≱ Vdash ⊩ colon :"
)
BIG = _table(
    "sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ bigcap ⋂ bigcup ⋃ bigoplus ⨁ bigotimes ⨂ bigvee "
    "⋁ bigwedge ⋀ bigsqcup ⨆"
)
FUNCTIONS = _words(
    "arccos arcsin arctan arg cos cosh cot coth csc deg det dim exp gcd hom inf ker lcm lg lim liminf "
    "limsup ln log max min Pr sec sgn sin sinh sup tan tanh"
)
LIMITS = _words("lim liminf limsup max min sup inf det gcd Pr argmax argmin")
"""Functions that take what stands below them under their name, when there is room."""

SIGNS: dict[str, tuple[str, Kind]] = {
    **{name: (sign, "ord") for name, sign in LETTERS.items()},
    **{name: (sign, "bin") for name, sign in BINARY.items()},
    **{name: (sign, "rel") for name, sign in RELATIONS.items()},
    **{name: (sign, "big") for name, sign in BIG.items()},
    **{name: (name, "op") for name in FUNCTIONS},
    **{
        name: (sign, "open")
        for name, sign in _table("lbrace { langle ⟨ lceil ⌈ lfloor ⌊ lvert | lVert ‖").items()
    },
    **{
        name: (sign, "close")
        for name, sign in _table("rbrace } rangle ⟩ rceil ⌉ rfloor ⌋ rvert | rVert ‖").items()
    },
    **{name: (name, "ord") for name in "%$&#_"},
    "{": ("{", "open"),
    "}": ("}", "close"),
    "|": ("‖", "ord"),
    "vert": ("|", "ord"),
    "Vert": ("‖", "ord"),
    "bmod": ("mod", "bin"),
    "limsup": ("lim sup", "op"),
    "liminf": ("lim inf", "op"),
    **dict.fromkeys((",", ":", ">", ";", " ", "thinspace", "enspace", "space"), (" ", "space")),
    "quad": ("  ", "space"),
    "qquad": ("    ", "space"),
    **dict.fromkeys(
        (
            "!",
            "displaystyle",
            "textstyle",
            "scriptstyle",
            "limits",
            "nolimits",
            "nonumber",
            "notag",
            "allowbreak",
        ),
        ("", "space"),
    ),
    **dict.fromkeys(("bigl", "bigr", "Bigl", "Bigr", "biggl", "biggr", "Biggl", "Biggr"), ("", "space")),
    **dict.fromkeys(("big", "Big", "bigg", "Bigg", "bigm", "Bigm", "hfill", "centering"), ("", "space")),
}
"""Every command that stands for a sign and takes no argument."""

PLAIN: dict[str, tuple[str, Kind]] = {
    "+": ("+", "bin"),
    "-": ("−", "bin"),
    "*": ("∗", "bin"),
    "/": ("/", "ord"),
    **{sign: (sign, "rel") for sign in "=<>:≤≥≠≈→⇒∈"},
    **{sign: (sign, "open") for sign in "(["},
    **{sign: (sign, "close") for sign in ")]"},
    "!": ("!", "close"),
    ",": (",", "punct"),
    ";": (";", "punct"),
    "'": ("′", "close"),
}
"""Characters that are more than themselves."""

NEGATED = {"=": "≠", "∈": "∉", "≡": "≢", "⊂": "⊄", "⊆": "⊈", "<": "≮", ">": "≯", "≤": "≰", "≥": "≱", "∃": "∄",
           "∼": "≁", "≈": "≉", "∣": "∤", "∥": "∦", "≅": "≇", "⊃": "⊅", "⊇": "⊉"}  # fmt: skip
DELIMITERS = {
    **{sign: sign for sign in "()[]|/."},
    "<": "⟨",
    ">": "⟩",
    r"\{": "{",
    r"\}": "}",
    r"\|": "‖",
    **{
        f"\\{name}": SIGNS[name][0]
        for name in (
            *("lbrace", "rbrace", "langle", "rangle", "lceil", "rceil", "lfloor", "rfloor"),
            *("lvert", "rvert", "lVert", "rVert", "vert", "Vert", "uparrow", "downarrow", "backslash"),
        )
    },
}
r"""What may stand after \left and \right; a dot is nothing."""

ACCENTS = {
    **dict.fromkeys(("hat", "widehat"), "\u0302"),
    **dict.fromkeys(("tilde", "widetilde"), "\u0303"),
    **dict.fromkeys(("bar", "overline"), "\u0305"),
    **dict.fromkeys(("vec", "overrightarrow"), "\u20d7"),
    **dict.fromkeys(("underline", "underbar"), "\u0332"),
    **dict.fromkeys(("cancel", "bcancel"), "\u0336"),
    "overleftarrow": "\u20d6",
    "dot": "\u0307",
    "ddot": "\u0308",
    "check": "\u030c",
    "breve": "\u0306",
    "acute": "\u0301",
    "grave": "\u0300",
    "mathring": "\u030a",
}
"""Marks that are put on every character below them."""

_UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DOUBLE_STRUCK = dict(zip(_UPPER, "𝔸𝔹ℂ𝔻𝔼𝔽𝔾ℍ𝕀𝕁𝕂𝕃𝕄ℕ𝕆ℙℚℝ𝕊𝕋𝕌𝕍𝕎𝕏𝕐ℤ", strict=True))
SCRIPT = dict(zip(_UPPER, "𝒜ℬ𝒞𝒟ℰℱ𝒢ℋℐ𝒥𝒦ℒℳ𝒩𝒪𝒫𝒬ℛ𝒮𝒯𝒰𝒱𝒲𝒳𝒴𝒵", strict=True))
ALPHABETS = {"mathbb": DOUBLE_STRUCK, "mathcal": SCRIPT, "mathscr": SCRIPT}

SUPERSCRIPTS = dict(
    zip(
        "0123456789+−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWβγδθφχ′∗°",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵝᵞᵟᶿᵠᵡ′*°",
        strict=True,
    )
)
SUBSCRIPTS = dict(
    zip("0123456789+−=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True)
)

TEXT_COMMANDS = _words(
    "text textbf textit textrm textsf texttt textnormal textup emph mbox hbox mathrm mathit "
    "operatorname operatorname*"
)
r"""Commands whose argument is words. \mathbf and the like are read as formulas (see `GROUPS`)."""
GROUPS = _words("mathbf boldsymbol bm mathsf mathtt mathfrak mathop mathbin mathrel mathord displaylimits")
"""Commands that change the look of their argument alone."""
