"""What `code` knows of each language: its words and its marks, as data."""

from dataclasses import dataclass, replace

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Language:
    """Words and marks of one language, or of a family that shares them."""

    keywords: frozenset[str]
    line_comments: tuple[str, ...] = ("//",)
    block_comments: Pairs = (("/*", "*/"),)
    long_strings: Pairs = ()
    """Strings that may go over several lines."""
    quotes: str = "\"'"
    decorators: bool = False
    variables: bool = False
    """Whether `$name` is one."""
    ignores_case: bool = False


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_C_FAMILY = (
    "auto bool break case catch char class const continue default delete do double else enum explicit extern "
    "false final float for friend goto if inline int long namespace new noexcept nullptr operator override "
    "private protected public return short signed sizeof static struct switch template this throw true try "
    "typedef typename union unsigned using virtual void volatile while NULL constexpr consteval concept "
    "requires co_await kernel device threadgroup half"
)
_PYTHON = Language(
    _words(
        "False None True and as assert async await break case class continue def del elif else "
        "except finally "
        "for from global if import in is lambda match nonlocal not or pass raise return self try type while "
        "with yield"
    ),
    line_comments=("#",),
    block_comments=(),
    long_strings=(('"""', '"""'), ("'''", "'''")),
    decorators=True,
)
_SCRIPT = Language(
    _words(
        "abstract any as async await boolean break case catch class const continue debugger declare default "
        "delete do else enum export extends false finally for from function get if implements import in "
        "instanceof interface keyof let never new null number of package private protected public readonly "
        "return set static string super switch this throw true try type typeof undefined unknown var void "
        "while with yield"
    ),
    long_strings=(("`", "`"),),
    decorators=True,
)
_C = Language(_words(_C_FAMILY))
_JAVA = Language(
    _words(
        _C_FAMILY + " abstract boolean byte extends finally implements import instanceof interface native "
        "null package record sealed super synchronized throws transient var string object decimal foreach in "
        "is out params readonly ref sbyte uint ulong get set async await val fun when internal lateinit data "
        "companion by suspend open trait def given"
    ),
    long_strings=(('"""', '"""'),),
    decorators=True,
)
_GO = Language(
    _words(
        "break case chan const continue default defer else fallthrough false for func go goto if import "
        "interface map nil package range return select struct switch true type var string int int64 error "
        "bool byte float64"
    ),
    long_strings=(("`", "`"),),
)
_RUST = Language(
    _words(
        "as async await break const continue crate dyn else enum extern false fn for if impl in let loop "
        "match mod move mut pub ref return self Self static struct super trait true type unsafe use where "
        "while i32 i64 u8 u32 u64 usize f32 f64 bool str String Option Some None Result Ok Err Vec"
    ),
    quotes='"',
)
_SWIFT = Language(
    _words(
        "actor any as associatedtype async await break case catch class continue default defer deinit do "
        "else enum extension fallthrough false fileprivate final for func get guard if import in init inout "
        "internal is lazy let mutating nil open operator override private protocol public repeat required "
        "return self Self set some static struct subscript super switch throw throws true try typealias var "
        "weak where while Int Double Float String Bool"
    ),
    long_strings=(('"""', '"""'),),
    quotes='"',
    decorators=True,
)
_SHELL = Language(
    _words(
        "if then else elif fi for while until do done case esac in function select time return exit break "
        "continue local export readonly declare set unset source alias echo cd sudo eval exec trap shift"
    ),
    line_comments=("#",),
    block_comments=(),
    variables=True,
)
_SQL = Language(
    _words(
        "select from where and or not null is in like between join left right inner outer full cross on "
        "group by order having limit offset union all distinct as insert into values update set delete "
        "create table view index drop alter add column primary key foreign references unique default check "
        "case when then else end exists count sum avg min max with recursive returning begin commit rollback "
        "int integer text varchar char boolean date timestamp float real numeric"
    ),
    line_comments=("--",),
    ignores_case=True,
)
_RUBY = Language(
    _words(
        "BEGIN END alias and begin break case class def defined do else elsif end ensure false for if in "
        "module next nil not or redo rescue retry return self super then true undef unless until when while "
        "yield require puts attr_accessor"
    ),
    line_comments=("#",),
    block_comments=(("=begin", "=end"),),
)
_LUA = Language(
    _words(
        "and break do else elseif end false for function goto if in local nil not or repeat return then true "
        "until while"
    ),
    line_comments=("--",),
    block_comments=(("--[[", "]]"),),
    long_strings=(("[[", "]]"),),
)
_HASKELL = Language(
    _words(
        "case class data deriving do else forall if import in infix infixl infixr instance let "
        "module newtype "
        "of qualified then type where"
    ),
    line_comments=("--",),
    block_comments=(("{-", "-}"),),
    quotes='"',
)
_R = Language(
    _words(
        "if else repeat while function for in next break TRUE FALSE NULL NA Inf NaN library require return"
    ),
    line_comments=("#",),
    block_comments=(),
)
_PHP = replace(
    _SCRIPT,
    keywords=_SCRIPT.keywords
    | _words("echo print foreach array namespace use fn match elseif isset empty php"),
    line_comments=("//", "#"),
    variables=True,
)
_CONFIG = Language(_words("true false null yes no on off"), line_comments=("#",), block_comments=())
_JSON = Language(_words("true false null"), quotes='"')
_MARKUP = Language(frozenset(), line_comments=(), block_comments=(("<!--", "-->"),))
_CSS = Language(_words("important media import root hover focus from to"), line_comments=(), decorators=True)
_TEX = Language(frozenset(), line_comments=("%",), block_comments=(), quotes="")
_MATLAB = Language(
    _words("break case catch classdef continue else elseif end for function global if otherwise parfor "
           "persistent return switch try while true false"),
    line_comments=("%",),
    block_comments=(("%{", "%}"),),
)  # fmt: skip
_LISP = Language(
    _words("define defun defn def let lambda if cond else quote setq loop do fn ns require progn nil t"),
    line_comments=(";",),
    block_comments=(("#|", "|#"),),
    quotes='"',
)

LANGUAGES: dict[str, Language] = {
    **dict.fromkeys(("python", "py", "python3", "pycon", "ipython", "jupyter", "sage"), _PYTHON),
    **dict.fromkeys(("javascript", "js", "jsx", "typescript", "ts", "tsx", "mjs", "node"), _SCRIPT),
    **dict.fromkeys(
        ("c", "h", "cpp", "c++", "cc", "hpp", "objc", "objective-c", "cuda", "metal", "glsl"), _C
    ),
    **dict.fromkeys(("java", "kotlin", "kt", "scala", "cs", "csharp", "c#", "groovy", "dart"), _JAVA),
    **dict.fromkeys(("go", "golang"), _GO),
    **dict.fromkeys(("rust", "rs"), _RUST),
    "swift": _SWIFT,
    **dict.fromkeys(
        ("bash", "sh", "shell", "zsh", "console", "fish", "dockerfile", "make", "makefile"), _SHELL
    ),
    **dict.fromkeys(("sql", "mysql", "postgresql", "sqlite", "plsql"), _SQL),
    **dict.fromkeys(("ruby", "rb", "elixir", "ex", "crystal"), _RUBY),
    "lua": _LUA,
    **dict.fromkeys(("haskell", "hs", "elm"), _HASKELL),
    **dict.fromkeys(("r", "julia", "jl", "perl", "pl"), _R),
    "php": _PHP,
    **dict.fromkeys(("yaml", "yml", "toml", "ini", "cfg", "conf", "env"), _CONFIG),
    **dict.fromkeys(("json", "jsonc", "json5", "jsonl"), _JSON),
    **dict.fromkeys(("html", "xml", "svg", "vue", "svelte"), _MARKUP),
    **dict.fromkeys(("css", "scss", "less"), _CSS),
    **dict.fromkeys(("tex", "latex"), _TEX),
    **dict.fromkeys(("matlab", "octave"), _MATLAB),
    **dict.fromkeys(("lisp", "scheme", "clojure", "clj", "elisp"), _LISP),
}
"""By the word that stands after the fence."""
