"""The one corpus of parity, in its order, each request by a name of its own."""

from collections import Counter
from itertools import chain

from loadtests.equality import answered, faulty, refused, surface, wires
from loadtests.equality.probes import Probe
from loadtests.equality.questions import Named, questions
from loadtests.ledger import Ledger

EVERY = 12
"""Of the requests beyond the questions, a small set has the first of so many."""


def corpus(key: str) -> list[Probe]:
    """All of it, for stacks that ask for this key; raises ValueError when two requests have the same name."""
    # A provider that falls silent takes its time: those requests begin first, and the others go on beside them.
    probes = [*faulty.faulty(), *answered.forms(questions()), *_others(), *surface.guards(key)]
    names = Counter(probe.name for probe in probes)
    if doubled := [name for name, times in names.items() if times > 1]:
        raise ValueError(f"two requests have the name {doubled[0]!r}")
    return probes


def small_set(ledger: Ledger, asked: Named | None = None) -> list[Probe]:
    """What needs no simulator, no key and no setting: the questions, and some of what is answered alike."""
    forms = answered.forms(questions() if asked is None else asked)
    alike = [one for one in _others() if not any(entry.names(one.name) for entry in ledger)]
    return [*forms, *alike[::EVERY]]


def _others() -> list[Probe]:
    kinds = (
        refused.bodies,
        refused.fields,
        refused.queries,
        surface.paths,
        surface.types,
        surface.browsers,
    )
    more = (answered.variants, surface.ids, wires.wires)
    return list(chain.from_iterable(kind() for kind in (*more, *kinds)))
