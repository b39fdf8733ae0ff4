"""A model that answers every question with one scripted reply, for tests of the commands."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from magistral_mlx.events import AnswerText, Ending, Event, Finished, PrefillProgress, ReasoningText, Reply


@dataclass
class ScriptedStream:
    """Yields the events of one reply; `on_event` runs before each of them."""

    reply: Reply
    pieces: Sequence[Event]
    on_event: Callable[[Event], None] = lambda event: None
    stopped: bool = False

    def __iter__(self) -> Iterator[Event]:
        said: list[Event] = []
        for event in self.pieces:
            self.on_event(event)
            if self.stopped:
                yield Finished(self._so_far(said))
                return
            said.append(event)
            yield event
        yield Finished(self.reply)

    def stop(self) -> None:
        self.stopped = True

    def _so_far(self, said: Sequence[Event]) -> Reply:
        return Reply(
            reasoning="".join(event.text for event in said if isinstance(event, ReasoningText)),
            answer="".join(event.text for event in said if isinstance(event, AnswerText)),
            ending=Ending.STOPPED,
            stats=self.reply.stats,
        )


@dataclass
class ScriptedModel:
    """Answers every question with one scripted reply and remembers what it was asked."""

    reply: Reply
    name: str = "scripted"
    is_miniature: bool = False
    questions: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    on_event: Callable[[Event], None] = lambda event: None

    def stream(self, text: str, **options: object) -> ScriptedStream:
        self.questions.append((text, options))
        reasoning = [ReasoningText(piece, 1) for piece in self.reply.reasoning]
        answer = [AnswerText(piece, 1) for piece in self.reply.answer]
        events = [PrefillProgress(0, 9), PrefillProgress(9, 9), *reasoning, *answer]
        return ScriptedStream(self.reply, events, self.on_event)
