"""The command line as the parsers give it: the commands, their options, and all of it as Markdown.

Help texts are laid out differently from one Python to the next, so the documents show the parsers' contents and not
their ``--help``.
"""

from __future__ import annotations

import argparse
import re
from typing import TYPE_CHECKING

from otelmig.cli.main import build_parser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["arguments", "command_reference", "commands", "exit_codes", "options"]


def commands() -> Mapping[str, argparse.ArgumentParser]:
    """Return the parser of each command, in the order of ``otelmig --help``."""
    (subparsers,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    choices: Mapping[str, argparse.ArgumentParser] = subparsers.choices
    return choices


def arguments() -> Iterator[tuple[str, argparse.Action]]:
    """Yield every argument of every command, with the command's name; ``--help`` is left out."""
    for command, parser in commands().items():
        yield from ((command, action) for action in parser._actions if not isinstance(action, argparse._HelpAction))


def options() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield every option of every command: the command's name, and all names of the option."""
    return ((command, tuple(action.option_strings)) for command, action in arguments() if action.option_strings)


def command_reference() -> str:
    """Return all commands with their arguments, options and examples as Markdown, one section a command."""
    return "\n\n".join(_command(name, parser) for name, parser in commands().items())


def exit_codes() -> str:
    """Return the exit codes that ``otelmig --help`` names, as a table in Markdown."""
    pieces = re.split(r"[;\n]|Exit codes:", build_parser().epilog or "", flags=re.IGNORECASE)
    codes = [match for piece in pieces if (match := re.fullmatch(r"\s*(\d{1,3})\b:?\s+(.+?)[.\s]*", piece))]
    return "\n".join(["| code | meaning |", "|---|---|", *(f"| {match[1]} | {_cell(match[2])} |" for match in codes)])


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    parts = [f"## otelmig {name}", _sentence(parser.description or "")]
    positional = [action for action in parser._actions if not action.option_strings]
    usage = " ".join(["otelmig", name, "[OPTION]...", *map(_usage, positional)])
    parts.append(f"```text\n{usage}\n```")
    for group in parser._action_groups:
        actions = [
            action
            for action in group._group_actions
            if not isinstance(action, argparse._HelpAction) and action.help is not argparse.SUPPRESS
        ]
        if actions:
            title = "Arguments" if not actions[0].option_strings else (group.title or "options")
            what = "option" if actions[0].option_strings else "argument"
            rows = [f"| {what} | what it does |", "|---|---|", *map(_row, actions)]
            parts.append("\n".join([f"**{_heading(title)}**", "", *rows]))
    if parser.epilog:
        parts.append(f"```text\n{parser.epilog.strip()}\n```")
    return "\n\n".join(parts)


def _usage(action: argparse.Action) -> str:
    metavar = str(action.metavar or action.dest)
    return {"+": f"{metavar}...", "*": f"[{metavar}]...", "?": f"[{metavar}]"}.get(str(action.nargs), metavar)


def _row(action: argparse.Action) -> str:
    value = ""
    if action.nargs != 0:
        choices = None if action.choices is None else "{" + ",".join(map(str, action.choices)) + "}"
        value = str(action.metavar or choices or action.dest.upper())
        value = f"[{value}]" if action.nargs == "?" else value
    names = ", ".join(f"`{name}`" for name in action.option_strings[:-1])
    last = f"`{action.option_strings[-1]} {value}".rstrip() + "`" if action.option_strings else f"`{_usage(action)}`"
    text = (action.help or "") % {**vars(action), "prog": "otelmig"}
    return f"| {', '.join(filter(None, (names, last)))} | {_cell(text)} |"


def _cell(text: str) -> str:
    """Return ``text`` so that Markdown shows it as it is, inside a table."""
    for character in "\\|*<":
        text = text.replace(character, f"\\{character}")
    return text


def _heading(title: str) -> str:
    return _cell(title[:1].upper() + title[1:])


def _sentence(text: str) -> str:
    """Return ``text`` as a sentence: the parsers' summaries begin small and end without a full stop."""
    return _cell(text[:1].upper() + text[1:]) + ("" if text.endswith(".") else ".")
