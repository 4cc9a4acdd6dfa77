"""The checks: phone, card and account numbers by their rules, foul words by a list, files by YARA."""

# Two of the libraries have no types.
# pyright: reportMissingTypeStubs=false, reportMissingModuleSource=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

from __future__ import annotations

import re
from pathlib import Path

import phonenumbers
import yara
from better_profanity import profanity
from stdnum import iban, luhn

from chatkit.errors import ContentRefusedError
from chatkit.types import FileMetadata

CARD = re.compile(r"\b\d(?:[ -]?\d){12,18}\b")
ACCOUNT = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{2,4}){3,8}\b")
MAIL = re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b")
RULES = yara.compile(filepath=str(Path(__file__).with_name("rules.yar")))


def redact(text: str) -> str:
    """Returns a text without what tells who somebody is, or how to charge them."""
    text = MAIL.sub("[mail address]", text)
    text = CARD.sub(lambda found: "[card number]" if _is_card(found[0]) else found[0], text)
    text = ACCOUNT.sub(lambda found: "[account number]" if iban.is_valid(found[0]) else found[0], text)
    for found in reversed(list(phonenumbers.PhoneNumberMatcher(text, "US"))):
        text = f"{text[: found.start]}[phone number]{text[found.end :]}"
    return text


def _is_card(digits: str) -> bool:
    return luhn.is_valid(re.sub(r"\D", "", digits))


def is_foul(text: str) -> bool:
    """Returns whether a text has foul words."""
    return profanity.contains_profanity(text)


def soften(text: str) -> str:
    """Returns a text with stars in the places of foul words."""
    return profanity.censor(text)


def scan(path: Path, metadata: FileMetadata) -> None:
    """Scans a file before anybody can use it; it runs in a thread."""
    found = RULES.match(filepath=str(path), timeout=20)
    if found:
        raise ContentRefusedError(f"{metadata.name} was refused: {found[0].meta['says']}.")
