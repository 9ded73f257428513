"""Prices and quantities as integers, and the exact way between them and text.

A price (`_px`) is an integer number of 1e-4 currency units, so that adding, comparing and hashing prices is exact.
A quantity (`_qty`) is an integer number of shares. What does not fit the grid is refused, never rounded.
"""

PX_SCALE = 10_000
_PX_DECIMALS = 4


def px_from_text(text: str) -> int:
    """Px of a FIX price such as "100.25"; ValueError for anything that is not a plain decimal on the 1e-4 grid."""
    return _scaled(text, _PX_DECIMALS, "price")


def qty_from_text(text: str) -> int:
    """Shares of a FIX quantity such as "300" or "300.0"; ValueError for fractions of a share or anything else."""
    return _scaled(text, 0, "quantity")


def _scaled(text: str, decimals: int, what: str) -> int:
    digits = text[1:] if text[:1] == "-" else text
    whole, _, fraction = digits.partition(".")
    kept, dropped = fraction[:decimals], fraction[decimals:]
    if not (whole + fraction).isdecimal() or not digits.isascii():
        raise ValueError(f"{what} {text!r} is not a decimal number")
    if dropped.strip("0"):
        raise ValueError(f"{what} {text!r} has more than {decimals} decimals")
    value = int(whole + kept.ljust(decimals, "0") or "0")
    return -value if digits is not text else value


def px_to_text(px: int) -> str:
    """The shortest exact decimal of a Px, with at least two decimals: 1002500 -> "100.25"."""
    sign, px = ("-", -px) if px < 0 else ("", px)
    whole, fraction = divmod(px, PX_SCALE)
    cents, rest = divmod(fraction, 100)
    if rest == 0:
        return f"{sign}{whole}.{cents:02d}"
    return f"{sign}{whole}." + f"{fraction:04d}".rstrip("0")


def avg_px_to_text(notional_px: int, qty: int) -> str:
    """Average price of `qty` shares costing `notional_px` (sum of px * qty): 6 decimals, half to even; "0" if none."""
    if qty == 0:
        return "0"
    micros, rest = divmod(notional_px * 100, qty)  # Px is 1e-4, six decimals are 1e-6
    if rest * 2 > qty or (rest * 2 == qty and micros & 1):
        micros += 1
    whole, fraction = divmod(micros, 1_000_000)
    text = f"{fraction:06d}".rstrip("0")
    return f"{whole}.{text.ljust(2, '0')}"


def bps(px_difference: float, reference_px: float) -> float:
    """A price difference in basis points of a reference price; 0.0 where there is no reference."""
    return px_difference / reference_px * 1e4 if reference_px else 0.0
