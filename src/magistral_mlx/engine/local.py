"""The engine on threads of this process, for scripts and tests.

The same host as in the child process, without the pipes. A native crash of the runtime ends this process, and
an answer that ignores `stop` cannot be killed: user interfaces use `ChildEngine`.
"""

import asyncio
import contextlib
from collections.abc import Callable

from magistral_mlx.engine.adapter import MagistralRuntime
from magistral_mlx.engine.host import Host
from magistral_mlx.engine.linked import Deliver, LinkedEngine, Lost
from magistral_mlx.engine.protocol import Close, Failed, Message
from magistral_mlx.engine.wire import Mailbox
from magistral_mlx.machine.probes import probes_of_this_machine
from magistral_mlx.machine.telemetry import sample


class LocalEngine(LinkedEngine):
    """An Engine on threads of this process.

    Args:
        make_runtime: makes a runtime with nothing loaded yet; called at each start.
    """

    def __init__(self, *, make_runtime: Callable[[], MagistralRuntime] = MagistralRuntime) -> None:
        super().__init__(lambda deliver, lost: _LocalLink(deliver, lost, make_runtime))


class _LocalLink:
    def __init__(self, deliver: Deliver, lost: Lost, make_runtime: Callable[[], MagistralRuntime]) -> None:
        self._lost = lost
        self._deliver = deliver
        self._make_runtime = make_runtime
        self._host: Host | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: there is no reader
                loop.call_soon_threadsafe(self._hand_over)

        self._mailbox = Mailbox(wake)
        probes = probes_of_this_machine()

        def abandon(failed: Failed) -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._lost, failed)

        self._host = Host(
            self._make_runtime(), self._mailbox.put, telemetry=lambda: sample(probes), abandon=abandon
        )
        self._host.begin()

    def post(self, turn: int, command: Message) -> None:
        if self._host is not None:
            self._host.handle(turn, command)

    async def close(self) -> None:
        host, self._host = self._host, None
        if host is not None:
            host.handle(0, Close())
            await asyncio.to_thread(host.join)

    def _hand_over(self) -> None:
        for turn, message in self._mailbox.take():
            self._deliver(turn, message)
