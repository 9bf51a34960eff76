"""Codes in texts, and values in dimension texts; ezdxf's own MTEXT parser is the oracle."""

from __future__ import annotations

import math

import pytest
from ezdxf.tools.text import plain_mtext as oracle_mtext
from hypothesis import given
from hypothesis import strategies as st

from deepdxf.text import decode_characters, dimension_value, plain_mtext, plain_text


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("plain", "plain"),
        ("%%c20 %%p0.1 45%%d", "Ø20 ±0.1 45°"),
        ("%%C20 %%P0.1 45%%D", "Ø20 ±0.1 45°"),
        ("%%uunder%%u %%oover%%O %%kstruck", "under over struck"),
        ("100%%%", "100%"),
        ("%%065%%066", "AB"),
        ("50 %% of", "50 %% of"),
        ("\\U+00B1\\u+4e2d", "±中"),
        ("\\M+1967B", "本"),
        ("\\U+D800 stays", "\\U+D800 stays"),
        ("\\M+5FFFF stays", "\\M+5FFFF stays"),
        ("two^Jlines^Iand a tab", "two\nlines\tand a tab"),
        ("", ""),
    ],
)
def test_text(raw: str, plain: str) -> None:
    assert plain_text(raw) == plain


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("a\\Pb", "a\nb"),
        ("{\\fArial|b0|i0|c0|p34;bold} {\\H2.5x;tall}", "bold tall"),
        ("\\A1;\\C1;\\c255;\\T1.1;\\Q15;\\W0.8;\\pi0,l2;x", "x"),
        ("\\S1/2; \\S1#2; \\S+0.1^-0.2;", "1/2 1/2 +0.1 -0.2"),
        ("\\Lunder\\l \\Oover\\o \\Kstruck\\k", "under over struck"),
        ("C:\\\\path \\{kept\\}", "C:\\path {kept}"),
        ("a\\~b", "a\u00a0b"),
        ("%%c8 \\U+2300", "Ø8 ⌀"),
        ("{open", "open"),
        ("trailing \\", "trailing \\"),
    ],
)
def test_mtext(raw: str, plain: str) -> None:
    assert plain_mtext(raw) == plain


PIECES = st.sampled_from(
    ["word", "12.5", " ", "\\P", "{\\fArial;x}", "\\H2;", "\\S3/4;", "\\A1;", "\\\\", "\\{", "%%c"]
)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_mtext_agrees_with_ezdxf(raw: str) -> None:
    raw += "."  # the oracle drops a line end at the end
    assert plain_mtext(raw) == oracle_mtext(raw).replace("⌀", "Ø")


@given(st.text())
def test_any_text_decodes_without_error_and_plain_text_stays(raw: str) -> None:
    for decode in (decode_characters, plain_text, plain_mtext):
        decode(raw)
    if not set(raw) & set("\\%^{}") and (raw.isprintable() or not raw):
        assert plain_mtext(raw) == raw


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\")))
def test_escaping_is_undone(text: str) -> None:
    basic = "".join(c for c in text if ord(c) < 0x10000)
    assert decode_characters("".join(f"\\U+{ord(c):04X}" for c in basic)) == basic


NAN = math.nan


@pytest.mark.parametrize(
    ("text", "value", "upper", "lower"),
    [
        ("", 12.5, NAN, NAN),
        (" ", 12.5, NAN, NAN),
        ("<>", 12.5, NAN, NAN),
        ("Ø<> H7", 12.5, NAN, NAN),
        ("<> ±0.1", 12.5, 0.1, 0.1),
        ("<> +0.2 -0.1", 12.5, 0.2, 0.1),
        ("20", 20.0, NAN, NAN),
        ("Ø20,5", 20.5, NAN, NAN),
        ("20 ± .05", 20.0, 0.05, 0.05),
        ("4x M6", 4.0, NAN, NAN),
        ('3 1/2"', 3.5, NAN, NAN),
        ("1/4", 0.25, NAN, NAN),
        ("1/0", 1.0, NAN, NAN),
        ("REF", 12.5, NAN, NAN),
        ("-7", -7.0, NAN, NAN),
    ],
)
def test_dimension_values(text: str, value: float, upper: float, lower: float) -> None:
    assert dimension_value(text, 12.5) == pytest.approx((value, upper, lower), nan_ok=True)


@given(st.text(), st.floats())
def test_dimension_values_of_any_text(text: str, measurement: float) -> None:
    assert len(dimension_value(text, measurement)) == 3


@given(st.decimals(0, 10_000, places=3), st.decimals(0, 10, places=3))
def test_dimension_value_reads_what_it_writes(value: object, tolerance: object) -> None:
    assert dimension_value(f"{value} ±{tolerance}", 0.0) == (
        float(str(value)),
        float(str(tolerance)),
        float(str(tolerance)),
    )
    assert dimension_value(f"{value} ±{tolerance}".replace(".", ","), 0.0)[0] == float(str(value))
