"""Compiled: plain functions on arrays, translated to machine code by numba when they are first needed, without fast-math.

The same bits as the functions themselves. The machine code is kept in ``__pycache__`` beside the source. Numba is imported here,
inside the functions, because that alone takes half a second.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import FunctionType
from typing import Any


@cache
def compiled(function: Callable[..., Any], allocates: bool = False) -> Callable[..., Any]:
    """The compiled form of a function in a scalar subset of Python; plain functions that it calls are compiled with it.

    Functions that make no arrays do without counting references, which makes them some three times as fast.
    """
    from numba import njit

    options: Any = {"cache": True, "error_model": "numpy", "_nrt": allocates}
    made: Callable[..., Any] = _fresh(njit(_bound(function, allocates), **options), function)
    return made


@cache
def pointer(function: Callable[..., Any], signature: Any) -> Callable[..., Any]:
    """The compiled form for one signature, as a value that compiled code can be handed, keep in a list and call."""
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    made: Any = CFunc(_bound(function), normalize_signature(signature), {}, {"error_model": "numpy", "_nrt": False})  # type: ignore[no-untyped-call]
    made.enable_caching()
    _fresh(made, function).compile()
    return made  # type: ignore[no-any-return]


def _calls(function: Callable[..., Any]) -> Iterator[tuple[str, FunctionType]]:
    """The plain functions that a function may call, by the name under which it knows them."""
    known = function.__globals__
    for name in function.__code__.co_names:
        if isinstance(known.get(name), FunctionType):
            yield name, known[name]


def _bound(function: Callable[..., Any], allocates: bool = False) -> Callable[..., Any]:
    """The same function, with the plain functions that it calls replaced by their compiled forms."""
    called = {name: compiled(other, allocates) for name, other in _calls(function)}
    if not called:
        return function
    made = FunctionType(function.__code__, function.__globals__ | called, function.__name__, function.__defaults__)
    made.__qualname__, made.__module__ = function.__qualname__, function.__module__
    return made


def _sources(function: Callable[..., Any]) -> set[str]:
    files = {function.__code__.co_filename}
    for _, other in _calls(function):
        files |= _sources(other)
    return files


def _fresh(made: Any, function: Callable[..., Any]) -> Any:
    """Have kept machine code thrown away when any file has changed that it was made from: numba looks at the first only."""
    files = sorted(_sources(function))
    if len(files) > 1:
        stamps = [Path(file).stat() for file in files]
        made._cache._cache_file._source_stamp = max(s.st_mtime for s in stamps), sum(s.st_size for s in stamps)
    return made
