"""The dead letters of both queues, in hand while somebody looks at them, and put back afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime

import click

from deployer.aws.queue import HIDDEN_SECONDS, Found, Message, SqsQueue
from deployer.commands.parts.letters import Addressee, Letter, Queue, read
from deployer.commands.parts.target import Stack, Unusable, understood

# A person who is asked thinks; until then nobody else has these letters.
ASKING_SECONDS = 300


class Pile:
    """Letters that nobody else can see while we have them, oldest first; and whether they are all."""

    def __init__(self, queues: dict[Queue, SqsQueue], tell: Callable[[str], None]) -> None:
        self.letters: list[Letter] = []
        self.counted = 0
        self.complete = True
        self._queues = queues
        self._tell = tell
        self._held: dict[Queue, dict[str, Message]] = {queue: {} for queue in queues}
        self._seconds = HIDDEN_SECONDS

    def read(self, to: Addressee) -> None:
        """Everything in both queues, at once: each is asked until it has had a second to show another letter.
        Raises `Unusable`."""
        with ThreadPoolExecutor(len(self._queues)) as readers:
            reading = {
                name: readers.submit(queue.read, self._held[name]) for name, queue in self._queues.items()
            }
        for name, found in reading.items():
            with understood(f"reading {name}"):
                self._judge(name, found.result())
            self.letters += [read(message, name, to) for message in self._held[name].values()]
        never = datetime.max.replace(tzinfo=UTC)
        self.letters.sort(key=lambda letter: (letter.sent_at or never, letter.id))

    def _judge(self, name: Queue, found: Found) -> None:
        self.counted += found.counted
        if found.cut:
            self._tell(f"{name}: only {len(found.messages)} letters were looked at; there are more")
        elif found.counted > len(found.messages):
            self._tell(
                f"{name}: SQS counts {found.counted} and showed {len(found.messages)}. Somebody may be "
                "reading the others, or they have just been taken away: look again in half a minute"
            )
        self.complete = self.complete and not found.cut and found.counted <= len(found.messages)

    def keep(self, chosen: Iterable[Letter]) -> None:
        """Put back all the others now, and have these for `ASKING_SECONDS` from now. Raises `Unusable`."""
        wanted = {letter.id for letter in chosen}
        self._put_back(lambda id_: id_ not in wanted)
        self._seconds = ASKING_SECONDS
        for name, queue in self._queues.items():
            with understood(f"keeping letters of {name} in hand"):
                queue.keep(self._held[name].values(), ASKING_SECONDS)

    def take_away(self, letter: Letter) -> None:
        """Out of its queue, for good. Raises `Unusable`."""
        with understood(f"deleting it from {letter.queue}"):
            self._queues[letter.queue].delete(letter.message)
        del self._held[letter.queue][letter.id]

    def put_back(self) -> None:
        """All that are still in hand. They come back by themselves when this cannot be done."""
        self._put_back(lambda _: True)

    def _put_back(self, which: Callable[[str], bool]) -> None:
        for name, held in self._held.items():
            back = [message for id_, message in held.items() if which(id_)]
            if not back:
                continue
            try:
                with understood(f"putting letters back into {name}"):
                    self._queues[name].put_back(back)
            except Unusable as error:
                self._tell(f"{error.message}. They can be seen again in {self._seconds} seconds at most")
            for message in back:
                del held[message.id]


@contextmanager
def in_hand(stack: Stack) -> Iterator[Pile]:
    """The letters of a stack, until the end of the block, however it ends. Raises `Unusable`."""
    urls = {
        Queue.RULES: stack.output("RuleDeadLettersUrl"),
        Queue.DEPLOYER: stack.output("DeployerDeadLettersUrl"),
    }
    registry, _, repository = stack.output("RepositoryUri").partition("/")
    to = Addressee(
        stack.output("DeployerName"), repository, registry.partition(".")[0], stack.output("ReleaseTag")
    )
    with understood("opening the dead-letter queues"):
        queues = {name: stack.queue(url) for name, url in urls.items()}
    pile = Pile(queues, lambda line: click.echo(f"note: {line}", err=True))
    try:
        pile.read(to)
        yield pile
    finally:
        pile.put_back()
