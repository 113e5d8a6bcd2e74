"""Who is served when: calls of one kind have threads of their own, and visitors take turns on them.

A call never waits for one of another kind, nor behind more than one call a thread of any other visitor, however many
that one has sent.
"""

from __future__ import annotations

import asyncio
import inspect
import ipaddress
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial, wraps
from typing import Any, TypeVar

import gradio as gr

from hsae.errors import HsaeError
from hsae.views.page.looking import page
from hsae.views.parts.say import brief, problem

T = TypeVar("T")
Ask = Callable[..., Awaitable[Any]]
Within = Callable[[Ask, Sequence[Any]], Awaitable[Any]]
"""Asks for the answer to an event, with what it was given."""


async def at_once(ask: Ask, given: Sequence[Any]) -> Any:
    """Of events that depend on no other."""
    return await ask(*given)


class Busy(HsaeError):
    """Too many calls are waiting."""


class Lane:
    """Calls of one kind, `threads` at a time; of one visitor at most `each` wait, of all together at most `everybody`.

    For one event loop.
    """

    def __init__(self, kind: str, *, threads: int, each: int, everybody: int) -> None:
        """kind: what the calls are, in the words of a refusal."""
        self.kind, self.threads, self.each, self.everybody = kind, threads, each, everybody
        self._workers = ThreadPoolExecutor(threads, thread_name_prefix=kind.replace(" ", "-"))
        self._free = threads
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def handler(self, function: Callable[..., Any], within: Within = at_once) -> Callable[..., Any]:
        """The function as an event of Gradio that takes its turn here; its HsaeErrors reach the visitor as sentences.

        It waits without a thread, and Gradio adds the request to its arguments, in front. within: what is around it.
        """

        @wraps(function)
        async def handle(asking: gr.Request, *args: Any) -> Any:
            page.set(asking.session_hash or "")

            async def ask(*given: Any) -> Any:
                return await self.run(visitor_of(asking), partial(function, *given))

            try:
                return await within(ask, args)
            except HsaeError as error:
                raise problem(brief(error)) from error

        asking = inspect.Parameter("asking", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
        taken = inspect.signature(function)
        vars(handle)["__signature__"] = taken.replace(parameters=[asking, *taken.parameters.values()])
        handle.__annotations__ = getattr(function, "__annotations__", {}) | {"asking": gr.Request}
        return handle

    async def run(self, visitor: str, call: Callable[[], T]) -> T:
        """What the call returns; raises Busy at once when the visitor, or everybody, has too many waiting."""
        await self._turn(visitor)
        try:
            context = copy_context()  # in which Gradio keeps whom a warning is for
            return await asyncio.get_running_loop().run_in_executor(self._workers, context.run, call)
        finally:
            self._pass_on()

    async def _turn(self, visitor: str) -> None:
        """Return when a thread is free for the visitor."""
        if self._free:
            self._free -= 1
            return
        self._check_room(visitor)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(visitor, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # its turn came in the same moment
                self._pass_on()
            raise

    def _check_room(self, visitor: str) -> None:
        if len(self._waiting.get(visitor, ())) >= self.each:
            raise Busy(
                f"From your address {self.each} {self.kind} are waiting already", do="Ask again when they are answered."
            )
        if sum(map(len, self._waiting.values())) >= self.everybody:
            raise Busy(f"{self.everybody} {self.kind} of all visitors are waiting already", do="Try again in a minute.")

    def _pass_on(self) -> None:
        """Give a thread that has become free to the visitor who was served longest ago."""
        while self._waiting:
            visitor, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[visitor] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def visitor_of(request: gr.Request) -> str:
    """The address a request comes from; of an IPv6 address the network, since one household has 2^64 of them."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host[:64]
    return host if address.version == 4 else str(ipaddress.ip_network((address, 64), strict=False))
