"""Text as a person reads it: codes of TEXT and MTEXT decoded, numbers and tolerances read out of dimension texts."""

from __future__ import annotations

import re

SYMBOLS = {"d": "°", "p": "±", "c": "Ø", "%": "%"}
PERCENT = re.compile(r"%%(?:(\d{3})|([dpcDPC%])|[uokUOK])")
CARET = re.compile(r"\^([@-_ ])")  # a control character, or the caret itself
CARETS = {"J": "\n", "I": "\t", " ": "^"}
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
UNICODE = re.compile(r"\\[Uu]\+([0-9A-Fa-f]{4})")
MULTIBYTE = re.compile(r"\\[Mm]\+([1-5])([0-9A-Fa-f]{4})")
MULTIBYTE_CODECS = {"1": "cp932", "2": "cp950", "3": "cp949", "4": "johab", "5": "cp936"}
# codes with an argument up to a semicolon; codes without; stacked text; escaped characters
MTEXT_ARGUMENT = re.compile(r"\\[fFHCcTQWAp][^;\\{}]*;")
MTEXT_TOGGLE = re.compile(r"\\[LlOoKkN]")
MTEXT_STACK = re.compile(r"\\S((?:\\.|[^;\\])*);?")


def decode_characters(text: str) -> str:
    r"""``\U+XXXX`` and ``\M+nXXXX`` as the characters that they stand for; impossible codes stay as they are."""
    if "\\" not in text:
        return text

    def multibyte(match: re.Match[str]) -> str:
        try:
            return bytes.fromhex(match[2]).decode(MULTIBYTE_CODECS[match[1]])
        except UnicodeDecodeError:
            return match[0]

    def unicode(match: re.Match[str]) -> str:
        code = int(match[1], 16)
        return match[0] if 0xD800 <= code < 0xE000 else chr(code)

    return MULTIBYTE.sub(multibyte, UNICODE.sub(unicode, text))


def plain_text(text: str) -> str:
    """A TEXT or attribute value with its %% codes, character codes and caret codes (``^J`` = new line) decoded;
    other control characters go."""
    text = decode_characters(text)
    text = CONTROL.sub("", CARET.sub(lambda match: CARETS.get(match[1], ""), text))
    if "%%" not in text:
        return text

    def symbol(match: re.Match[str]) -> str:
        if match[1]:
            return chr(int(match[1])) if int(match[1]) >= 32 else ""
        return SYMBOLS[match[2].lower()] if match[2] else ""

    return PERCENT.sub(symbol, text)


def plain_mtext(text: str) -> str:
    r"""An MTEXT value without formatting: paragraphs as newlines, stacks as ``a/b`` (``a^b`` as ``a b``)."""
    if "\\" not in text and "{" not in text and "}" not in text:
        return plain_text(text)
    text = decode_characters(text)
    # escaped backslashes and braces are set aside as private characters, so that no other rule sees them
    text = text.replace("\\\\", "\ue000").replace("\\{", "\ue001").replace("\\}", "\ue002")
    text = MTEXT_STACK.sub(lambda match: re.sub(r"\s*\^\s*", " ", match[1]).replace("#", "/"), text)
    text = MTEXT_ARGUMENT.sub("", text)
    text = MTEXT_TOGGLE.sub("", text)
    text = text.replace("\\P", "\n").replace("\\X", "\n").replace("\\~", "\u00a0")
    text = text.replace("{", "").replace("}", "")
    text = text.replace("\ue000", "\\").replace("\ue001", "{").replace("\ue002", "}")
    return plain_text(text)


NUMBER = r"(?:\d+(?:[.,]\d+)?|[.,]\d+)"
MIXED = re.compile(r"(?<![\w.,])(?:(\d{1,9})[\s-]+)?(\d{1,9})/(\d{1,9})(?![\d.,/])")
FIRST_NUMBER = re.compile(rf"[-+]?{NUMBER}")
PLUS_MINUS = re.compile(rf"±\s*({NUMBER})")
LIMITS = re.compile(rf"\+\s*({NUMBER})\s*[/ \n^;]*\s*[-−]\s*({NUMBER})")


def to_number(text: str) -> float:
    """A decimal number whose point may be a comma."""
    return float(text.replace(",", "."))


def dimension_value(text: str, measurement: float) -> tuple[float, float, float]:
    """Value, upper and lower tolerance of a dimension as it reads.

    Args:
        text: the plain text of the dimension; empty, a blank or ``<>`` stands for the measurement.
        measurement: the measured value, drawing units or degrees; NaN = unknown.

    Returns:
        The number that the text shows, else the measurement; tolerances as positive numbers, NaN where it has none.
    """
    upper = lower = float("nan")
    rest = text
    if match := PLUS_MINUS.search(rest):
        upper = lower = to_number(match[1])
        rest = rest[: match.start()] + " " + rest[match.end() :]
    elif match := LIMITS.search(rest):
        upper, lower = to_number(match[1]), to_number(match[2])
        rest = rest[: match.start()] + " " + rest[match.end() :]
    if "<>" in rest or not rest.strip():
        return measurement, upper, lower
    if match := MIXED.search(rest):
        whole, over, under = match[1] or "0", int(match[2]), int(match[3])
        if under:
            return int(whole) + over / under, upper, lower
    if match := FIRST_NUMBER.search(rest):
        return to_number(match[0]), upper, lower
    return measurement, upper, lower
