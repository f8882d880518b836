"""Mask personal data, or drop the rows that hold any: mail and IP addresses, Korean resident numbers, credit cards, phone numbers.

They are known by their form, as far as it can be checked: dates, check digits, the numbering plans of phonenumbers. Names and street
addresses have no form and stay. What is found is never shown: PRIVATE keeps the rows that go out of the report, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from polar_tools.filters import base

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["email", "ip_address", "resident_number", "credit_card", "phone"]
KINDS: tuple[Kind, ...] = ("email", "ip_address", "resident_number", "credit_card", "phone")
"""In the order in which they are looked for: parts of all others could pass for a phone number."""
PHONE_REGION = "KR"
NOT_BEHIND, NOT_BEFORE = r"(?<![0-9A-Za-z.:_+-])", r"(?![0-9A-Za-z]|\.\d)"
"""What may not stand next to a number; Korean letters may."""
EMAIL = re.compile(r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![A-Za-z0-9])", re.ASCII)
IP_ADDRESS = re.compile(rf"{NOT_BEHIND}(?:\d{{1,3}}(?:\.\d{{1,3}}){{3}}|[23][0-9A-Fa-f]{{3}}:[0-9A-Fa-f:]{{2,34}}){NOT_BEFORE}")
RESIDENT_NUMBER = re.compile(rf"{NOT_BEHIND}(\d{{6}})([- ]?)(\d)(\d{{6}}){NOT_BEFORE}")
CREDIT_CARD = re.compile(rf"{NOT_BEHIND}[2-6]\d{{3}}[- ]?(?:\d{{4}}[- ]?\d{{4}}[- ]?\d{{4}}|\d{{6}}[- ]?\d{{4,5}}){NOT_BEFORE}")
PHONE = re.compile(r"(?<![0-9A-Za-z._-])[+(]?\d[\d() ./-]{5,22}\d(?![0-9A-Za-z])")


class Options(base.Options):
    """Where to look, for what, and what becomes of it."""

    PRIVATE: ClassVar[bool] = True
    name: Literal["personal_data"] = "personal_data"
    columns: tuple[str, ...] = ()
    """Columns that are searched, at any depth of them; empty means all that hold text."""
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = KINDS
    """What is searched for. IP addresses count if they are public, resident numbers without a hyphen if the check digit is right."""
    action: Literal["mask", "drop"] = "mask"
    """`mask` writes `[EMAIL]`, `[PHONE]` and so on in its place; `drop` drops the row."""
    phone_region: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = PHONE_REGION
    """Country (ISO 3166) by whose rules a phone number without `+` is read; null knows only those with `+`."""

    @model_validator(mode="after")
    def _region_is_known_and_needed(self) -> Options:
        if "phone" not in self.kinds and self.phone_region != PHONE_REGION:
            raise ValueError("`phone_region` would be ignored: `kinds` has no `phone`")
        with suppress(ImportError):  # a check of the config needs no phonenumbers; prepare, which reads the same options again, does
            from phonenumbers import SUPPORTED_REGIONS

            if self.phone_region is not None and self.phone_region not in SUPPORTED_REGIONS:
                raise ValueError(
                    f"there is no country `{self.phone_region}` in phonenumbers; give a code of ISO 3166, such as `KR` or `US`"
                )
        return self


def apply(chunks: Iterator[pa.Table], options: Options) -> Iterator[pa.Table]:
    """All rows with what is found masked, or the rows in which nothing is found. A null holds nothing and stays."""
    for table in chunks:
        columns, masked = base.text_columns(table, options.columns), table
        for column in columns:
            masked = base.rewritten(masked, column, partial(_masked_all, options=options))
        both = zip(table.select(columns).to_pylist(), masked.select(columns).to_pylist(), strict=True)
        yield masked if options.action == "mask" else table.filter(base.mask(before == after for before, after in both))


def _masked_all(texts: pa.ChunkedArray, options: Options) -> pa.Array:
    import pyarrow as pa

    return pa.array([None if text is None else _masked(text, options) for text in texts.to_pylist()], pa.string())


def _masked(text: str, options: Options) -> str:
    for kind in KINDS:
        if kind in options.kinds:
            mask = f"[{kind.upper()}]"
            text = _mask_phones(text, mask, options.phone_region) if kind == "phone" else _mask(text, mask, *FORMS[kind])
    return text


def _mask(text: str, mask: str, form: re.Pattern[str], is_one: Callable[[re.Match[str]], bool]) -> str:
    return form.sub(lambda found: mask if is_one(found) else found[0], text)


def _mask_phones(text: str, mask: str, region: str | None) -> str:
    """Only what looks like a number is given to phonenumbers, which takes a millisecond for a line."""
    return PHONE.sub(lambda found: _mask_phones_of(found[0], mask, region), text)


def _mask_phones_of(text: str, mask: str, region: str | None) -> str:
    from phonenumbers import PhoneNumberMatcher

    for found in reversed(list(PhoneNumberMatcher(text, region))):
        text = text[: found.start] + mask + text[found.end :]
    return text


def _is_public(found: re.Match[str]) -> bool:
    try:
        return ip_address(found[0]).is_global
    except ValueError:
        return False


def _is_resident(found: re.Match[str]) -> bool:
    """A birthday, and the check digit where no hyphen shows what it is: those given since October 2020 have none."""
    birth, hyphen, kind, _ = found.groups()
    century = {"9": 18, "0": 18, "1": 19, "2": 19, "5": 19, "6": 19}.get(kind, 20)
    try:
        date(100 * century + int(birth[:2]), int(birth[2:4]), int(birth[4:]))
    except ValueError:
        return False
    return bool(hyphen) or _has_check_digit(found[0], foreign=kind in "5678")


def _has_check_digit(number: str, foreign: bool) -> bool:
    total = sum(int(digit) * weight for digit, weight in zip(number, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5), strict=False))
    return int(number[-1]) == ((13 if foreign else 11) - total % 11) % 10


def _is_card(found: re.Match[str]) -> bool:
    """Luhn's check."""
    digits = [int(digit) for digit in reversed(found[0]) if digit.isdigit()]
    return sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0


FORMS: dict[Kind, tuple[re.Pattern[str], Callable[[re.Match[str]], bool]]] = {
    "email": (EMAIL, bool),
    "ip_address": (IP_ADDRESS, _is_public),
    "resident_number": (RESIDENT_NUMBER, _is_resident),
    "credit_card": (CREDIT_CARD, _is_card),
}
"""What each looks like, and whether it is one."""
