"""A page: a bar written note by note with a model of chained heads, under the grammar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engines.notes.asked import Asked, Written
from engines.notes.events import BAR_END, OFFSET, STEP, VELOCITY, Events
from engines.notes.grammar import Grammar, Mask
from engines.notes.steering import Steering
from engines.sampling import pick, shaped

Logits = NDArray[np.float32]

TRIES = 4
"""Times that a moment is drawn anew because who would play at it may not, before all moments are weighed."""
WEIGHED = 12
"""The likeliest moments of a bar, which are."""

TINY = 1e-30


class Page(Protocol):
    """A bar that is being written by a model of one step a note; opened where the history ends."""

    def logits(self, chosen: Sequence[int]) -> Logits:
        """Of the next choice of a note: step (BAR_END: the bar ends), role, pitch, duration, velocity, offset.

        chosen: those that are made, so none for step's. Changes nothing: a moment can be asked about and left again.
        """
        ...

    def write(self, note: Sequence[int]) -> None:
        """The note, all six choices, stands; the next `logits` are of what follows it."""
        ...


class Blend:
    """Pages of the same bar in several genres as one: their logits are mixed by shares."""

    def __init__(self, pages: Sequence[Page], shares: Sequence[float]) -> None:
        self._pages, self._shares = tuple(pages), tuple(shares)

    def logits(self, chosen: Sequence[int]) -> Logits:
        """See Page.logits: the mean of log-probabilities, weighted."""
        mixed = sum(share * normal(page.logits(chosen)) for page, share in zip(self._pages, self._shares, strict=True))
        return np.asarray(mixed, np.float32)

    def write(self, note: Sequence[int]) -> None:
        """See Page.write."""
        for page in self._pages:
            page.write(note)


def written(page: Page, asked: Asked, random: np.random.Generator) -> Written:
    """The bar that a page's model samples under the grammar: any logits make a valid one.

    When and who are drawn together: a moment at which somebody would play who may not is drawn anew. If the drums are
    silent, their sixteenths do not become the others'.
    """
    grammar, rows, steering = asked.grammar, list[list[int]](), Steering(asked.bar.controls)
    feel = replace(asked, temperature=min(asked.temperature, 1.0))  # what is played may be wild, not how

    def drawn(logits: Logits, mask: Mask, asked: Asked = asked) -> int:
        return pick(probabilities(logits, mask, asked), random.random())

    while asked.left_s() > 0.0:
        note = _moment(page, asked, grammar, steering, random)
        if note[0] == BAR_END:
            return Written(_rows(rows))
        step, role = note
        note.append(drawn(steering.pitches(page.logits(note), role), grammar.pitches(step, role)))
        note.append(drawn(page.logits(note), grammar.durations(role)))
        note.append(drawn(page.logits(note), grammar.velocities(), feel))
        note.append(drawn(page.logits(note), grammar.offsets(step, role, note[2]), feel))
        page.write(note)
        steering.wrote(note)
        rows.append([0, *note])
        grammar = grammar.wrote(np.array(rows[-1], np.int32))
    return Written(_rows(rows), complete=False)


def _moment(page: Page, asked: Asked, grammar: Grammar, steering: Steering, random: np.random.Generator) -> list[int]:
    """The next note's step and role, or BAR_END alone."""
    logits, mask = steering.steps(page.logits(()), asked.bar.steps), grammar.steps()
    likely = probabilities(logits, mask, asked)
    wanted: dict[int, Logits] = {}
    for _ in range(TRIES if asked.temperature > 0.0 else 0):
        step = pick(likely, random.random())
        if step == BAR_END:
            return [step]
        if step not in wanted:
            wanted[step] = page.logits((step,))
        role = pick(shaped(wanted[step], asked.temperature, asked.top_k, asked.top_p), random.random())
        if grammar.roles(step)[role]:
            return [step, role]

    weighed = np.where(mask, normal(logits), -np.inf).astype(np.float32)
    order = np.argsort(-weighed, kind="stable")
    for step in order[:WEIGHED].tolist():
        if step == BAR_END or not mask[step]:
            continue
        if step not in wanted:
            wanted[step] = page.logits((step,))
        weighed[step] += np.log(np.exp(normal(wanted[step]))[grammar.roles(step)].sum() + TINY)
    weighed[[step for step in order[WEIGHED:].tolist() if step != BAR_END]] = -np.inf
    step = pick(shaped(weighed, asked.temperature, asked.top_k, asked.top_p), random.random())
    if step == BAR_END:
        return [step]
    return [step, pick(probabilities(wanted[step], grammar.roles(step), asked), random.random())]


def probabilities(logits: Logits, mask: Mask, asked: Asked) -> NDArray[np.float64]:
    """Of what a mask allows, at the temperature and with the cuts that are asked for."""
    return shaped(np.where(mask, logits, -np.inf), asked.temperature, asked.top_k, asked.top_p)


def normal(logits: Logits) -> Logits:
    """Log-probabilities."""
    top = logits - logits.max()
    result: Logits = top - np.log(np.exp(top).sum())
    return result


def scored(page: Page, events: Events) -> float:
    """Nats that a page's model gives the notes of a bar and its end; velocities that are not known are no choices."""
    total = 0.0
    for row in events.tolist():
        note = row[1:]
        for made in range(len(note)):
            if made != VELOCITY - STEP or note[made]:
                total += float(normal(page.logits(note[:made]))[note[made]])
        page.write(note)
    return total + float(normal(page.logits(()))[BAR_END])


def _rows(rows: list[list[int]]) -> Events:
    return np.array(rows, np.int32).reshape(-1, OFFSET + 1)
