"""Asks the questions of a structured input item, line by line."""

from __future__ import annotations

from chatkit.cli.console import Console
from chatkit.types import (
    StructuredInputAnswerSubmission,
    StructuredInputItem,
    StructuredInputMultipleChoice,
)

__all__ = ["ask_questions", "read_choice"]


def ask_questions(
    console: Console, item: StructuredInputItem
) -> dict[str, StructuredInputAnswerSubmission] | None:
    """Returns the answers by question id, or None if the input ended before all were given.

    An empty line skips a question.
    """
    answers: dict[str, StructuredInputAnswerSubmission] = {}
    for question in item.inputs:
        console.line(f"? {question.question}")
        if isinstance(question, StructuredInputMultipleChoice):
            for number, option in enumerate(question.options, start=1):
                console.line(f"    {number}. {option.value}")
            hint = "numbers or words, separated by commas" if question.multiple else "a number or a word"
        else:
            hint = question.description or "a line of text"
        console.aside(f"  ({hint}; an empty line skips)")
        while True:
            line = console.ask("answer> ")
            if line is None:
                return None
            if not line.strip():
                answers[question.id] = StructuredInputAnswerSubmission(skipped=True)
                break
            if not isinstance(question, StructuredInputMultipleChoice):
                answers[question.id] = StructuredInputAnswerSubmission(values=[line.strip()])
                break
            values = read_choice(question, line)
            if values is not None:
                answers[question.id] = StructuredInputAnswerSubmission(values=values)
                break
            console.aside("  That is none of the answers.")
    return answers


def read_choice(question: StructuredInputMultipleChoice, line: str) -> list[str] | None:
    """Returns the options that a line names, by number or by their text in any case; None if it names another."""
    options = [option.value for option in question.options]
    by_text = {option.casefold(): option for option in options}
    chosen: list[str] = []
    # An option may have a comma itself, so the whole line is looked up first.
    whole = by_text.get(line.strip().casefold())
    words = [whole] if whole is not None else [word.strip() for word in line.split(",") if word.strip()]
    for word in words:
        option = by_text.get(word.casefold())
        if option is None and word.isdecimal() and 0 < int(word) <= len(options):
            option = options[int(word) - 1]
        if option is None:
            return None
        if option not in chosen:
            chosen.append(option)
    if not chosen or (len(chosen) > 1 and not question.multiple):
        return None
    return chosen
