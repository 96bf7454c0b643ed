"""Compiled: plain functions on arrays, translated to machine code by numba when they are first needed."""

from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The compiled form of a function in a scalar subset of Python, without fast-math: the same bits as the function itself.

    The machine code is kept in ``__pycache__`` beside the source. Numba is imported here, because that alone takes half a second.
    """
    from numba import njit

    return njit(cache=True, fastmath=False, error_model="numpy")(function)
