"""The state of a conversation: turns, KV cache, last reply. A single question is one of a single turn."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from magistral_mlx.errors import UsageError
from magistral_mlx.events import Ending, Reply
from magistral_mlx.generation.options import Options
from magistral_mlx.prompt.turns import AssistantTurn, Turn, UserTurn, as_tool_name

if TYPE_CHECKING:
    from magistral_mlx.generation.cache.cache_store import CacheStore
    from magistral_mlx.generation.cache.prompt_cache import PromptCache
    from magistral_mlx.generation.loaded_model import LoadedModel


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A reply with its token ids."""

    reply: Reply
    token_ids: tuple[int, ...] = ()
    """All ids of the reply as the model wrote them, those that the prompt opened it with included; () if its
    text is to be encoded again."""
    own_ids: tuple[int, ...] = ()
    """The same without the ids that were inserted to close the JSON of a schema."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing came at all."""
        return not (self.reply.reasoning or self.reply.answer or self.reply.tool_calls)

    def as_turn(self) -> AssistantTurn:
        """The reply as history. Names of tools are replaced where the chat format can't express them."""
        reply = self.reply
        calls = tuple(replace(call, name=as_tool_name(call.name)) for call in reply.tool_calls)
        ids = self.token_ids if calls == reply.tool_calls else ()
        return AssistantTurn(reply.reasoning, reply.answer, calls, ids)

    def as_unfinished(self) -> AssistantTurn:
        """The reply as `continue_` takes it up: inside a value that was closed for it."""
        return replace(self.as_turn(), token_ids=self.own_ids)


class History:
    """The state of one conversation. All methods but the properties run on the owner thread.

    Args:
        model: gives the loaded model; raises UsageError once it is closed.
        system: the user's own system text.
        turns: everything said so far.
        kv_bits: width of the KV cache.
        owner: whose KV cache it is, compared by identity; None: its own.
        replies: where to note the history behind each reply, for `Magistral.continue_`.
    """

    def __init__(
        self,
        model: "Callable[[], LoadedModel]",
        *,
        system: str | None,
        turns: Iterable[Turn] = (),
        kv_bits: int = 16,
        owner: object | None = None,
        replies: "WeakKeyDictionary[Reply, History] | None" = None,
    ) -> None:
        self.model = model
        self.system = system
        self.turns: tuple[Turn, ...] = tuple(turns)
        self.kv_bits = kv_bits
        self.owner = object() if owner is None else owner
        self.options = Options()
        """Those of the last question."""
        self.context_used = 0
        """Tokens in the KV cache after the last reply."""
        self.running: PromptCache | None = None
        """The KV cache of the reply in the making."""
        self._replies = replies
        self.ending: Ending | None = None
        """How the last reply ended; None: not known."""
        self._unfinished: AssistantTurn | None = None  # the last reply, as `continue_` takes it up
        self._busy = False

    @property
    def caches(self) -> "CacheStore | None":
        """The model's KV caches; None once it is closed."""
        try:
            return self.model().caches
        except UsageError:
            return None

    def branch(self, *, owner: object | None = None) -> "History":
        """A copy that goes its own way from here."""
        branch = History(
            self.model,
            system=self.system,
            turns=self.turns,
            kv_bits=self.kv_bits,
            owner=owner,
            replies=self._replies,
        )
        branch.options, branch.context_used = self.options, self.context_used
        branch.ending, branch._unfinished = self.ending, self._unfinished
        return branch

    def last_question(self) -> int:
        """The place of the last question in `turns`.

        Raises:
            UsageError: nothing was asked yet.
        """
        questions = [place for place, turn in enumerate(self.turns) if isinstance(turn, UserTurn)]
        if not questions:
            raise UsageError("There is no question to ask again", "Ask one first.")
        return questions[-1]

    def unfinished(self) -> AssistantTurn:
        """The last reply, to be continued.

        Raises:
            UsageError: it is complete, or there is none.
        """
        last = self.turns[-1] if self.turns else None
        if not isinstance(last, AssistantTurn):
            raise UsageError("There is no reply to go on with", "Ask a question first.")
        if self.ending is not None and self.ending.is_whole:
            raise UsageError(
                f"The last reply cannot go on: it is {self.ending.value}", "Ask the next question."
            )
        return last if self._unfinished is None else self._unfinished

    @property
    def unfinished_ids(self) -> tuple[int, ...]:
        """Ids of the last reply from which `continue_` goes on; () if its text is to be encoded again."""
        return () if self._unfinished is None else self._unfinished.token_ids

    def resume(self, options: Options, ending: Ending | None, unfinished: tuple[int, ...]) -> None:
        """Take what was saved of the last reply: its options, its ending, `unfinished_ids`."""
        self.options, self.ending = options, ending
        last = self.turns[-1] if self.turns else None
        self._unfinished = (
            replace(last, token_ids=unfinished) if isinstance(last, AssistantTurn) and ending else None
        )

    def idle_model(self) -> "LoadedModel":
        """The model, while no reply is running.

        Raises:
            UsageError: one is running, or the model was closed.
        """
        if self._busy:
            raise UsageError(
                "This conversation is still answering", "Read its stream to the end, or close it."
            )
        return self.model()

    def claim(self) -> None:
        """Begin a reply; `settle` ends it.

        Raises:
            UsageError: as `idle_model`.
        """
        self.idle_model()
        self._busy = True

    def use(self, cache: "PromptCache") -> None:
        """Note the KV cache of the reply in the making."""
        self.running, self.kv_bits = cache, cache.kv_bits

    def settle(self) -> None:
        """The reply that `claim` began is over."""
        if self.running is not None:
            self.context_used = len(self.running)
        self.running = None
        self._busy = False

    def add(self, turns: tuple[Turn, ...], options: Options, answered: Answered) -> None:
        """Take a reply to `turns` as the last one, unless it is empty."""
        if answered.is_empty:
            return
        self.turns = (*turns, answered.as_turn())
        self.options = options
        self.ending = answered.reply.ending
        self._unfinished = answered.as_unfinished()
        if self._replies is not None:
            self._replies[answered.reply] = self.branch(owner=self.owner)
