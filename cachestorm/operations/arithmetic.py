"""Arithmetic on stored numbers, exact where doubles are not.

Called by the commands that add to a number in place.
"""

from __future__ import annotations

from typing import Final

from cachestorm.errors import ArgumentError

# up to here every integer is a double of its own, and sums of such are exact
EXACT: Final = 9007199254740992.0

DECIMALS: Final = 17


def float_sum(number: float, increment: float) -> float:
    """The sum of two numbers as they are written, not as doubles hold them.

    So ten times 0.1 is 1, which is what a server that adds in long doubles prints. As there,
    the sum has 17 decimals at most.

    Raises:
        ArgumentError: if the sum is not a finite number.

    Examples:
        >>> 0.1 + 0.2, float_sum(0.1, 0.2)
        (0.30000000000000004, 0.3)
    """
    total = number + increment
    if total - total != 0.0:
        raise ArgumentError("increment would produce NaN or Infinity")
    if number.is_integer() and increment.is_integer() and -EXACT < total < EXACT:
        return total + 0.0
    from decimal import Context, Decimal

    exact = Context(prec=40).add(Decimal(repr(number)), Decimal(repr(increment)))
    # no minus zero
    return round(float(exact), DECIMALS) + 0.0
