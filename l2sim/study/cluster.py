"""Cluster: a Dask cluster that is there already, looked at before anything is sent to it.

Without a look, a scheduler or a worker that lacks the package lets the sender wait for ever without a word, and one with another
version lets figures differ in silence.
"""

import platform
import warnings
from asyncio import run, wait_for
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pkgutil import resolve_name
from typing import Any

from l2sim.engine import Lost

TIMEOUT = 15.0
"""How long the scheduler, its first worker and each question may take to answer (s)."""

SAME = ("l2sim:__version__", "numpy:__version__")
"""What must be the same everywhere, as ``module:attribute``; Python's own version comes on top."""


class ClusterError(Exception):
    """The cluster cannot do the work; the message says what is wrong with it and how to mend it."""


@contextmanager
def connected(address: str, timeout: float = TIMEOUT) -> Iterator[Any]:
    """A backend of joblib that leads to the scheduler at ``address``, such as ``tcp://10.0.0.5:8786``, after a look at all of it.

    Raises:
        ClusterError: nobody answers, there is no worker, or scheduler or workers lack the package or have other versions.
    """
    try:
        from distributed import Client
    except ImportError:
        raise ClusterError("a cluster needs the package 'distributed', which is not installed here: pip install 'l2sim[cluster]'") from None
    _greet(address, timeout)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # versions that differ are named below, as an error
        client = Client(address, timeout=timeout, set_as_default=False)
    with client:
        _look(client, address, timeout)
        yield _backend(client)


def _greet(address: str, timeout: float) -> None:
    """Ask who is there before a client is made of it, which would leave threads and noise behind where nobody answers."""
    from distributed import rpc

    async def greeting() -> None:
        scheduler = rpc(address, timeout=timeout)
        try:
            await wait_for(scheduler.identity(), timeout)
        finally:
            await scheduler.close_rpc()

    try:
        with ThreadPoolExecutor(1) as aside:  # a notebook has a loop of its own in this thread
            aside.submit(lambda: run(greeting())).result()
    except Exception as error:
        reason = str(error) or "no answer"
        raise ClusterError(
            f"no Dask scheduler answers at '{address}' within {timeout:g} s ({reason}); start one with 'dask scheduler', name it "
            "with --cluster tcp://HOST:8786, and see that this machine may reach it"
        ) from None


def _look(client: Any, address: str, timeout: float) -> None:
    try:
        client.wait_for_workers(1, timeout=timeout)
    except TimeoutError:
        raise ClusterError(
            f"the scheduler at '{address}' has no workers, and none came within {timeout:g} s; "
            f"start some with 'dask worker {address}', in an environment that has l2sim"
        ) from None
    questions: dict[str, tuple[Callable[..., str], tuple[str, ...]]] = {"python": (platform.python_version, ())}
    questions |= {name.partition(":")[0]: (resolve_name, (name,)) for name in SAME}
    for package, (question, words) in questions.items():
        here = question(*words)
        for who, there in _answers(client, address, timeout, question, words).items():
            if isinstance(there, ImportError | AttributeError):
                raise ClusterError(f"{who} has no {package} ({there}); install l2sim {resolve_name(SAME[0])} there, as it is here")
            if there != here:
                raise ClusterError(f"{who} has {package} {there}, but here it is {here}; install the same, or figures may differ")


def _answers(client: Any, address: str, timeout: float, question: Callable[..., str], words: tuple[str, ...]) -> Mapping[str, Any]:
    """What the scheduler and every worker say; asked beside the queue, so that busy workers answer too."""

    async def asked() -> dict[str, Any]:
        try:
            scheduler = await client.run_on_scheduler(question, *words)
        except (ImportError, AttributeError) as error:
            scheduler = error
        return {"the scheduler": scheduler, **await client.run(question, *words, on_error="return")}

    try:
        said = client.sync(asked, callback_timeout=timeout)
    except (OSError, TimeoutError) as error:
        raise ClusterError(f"the cluster at '{address}' does not answer within {timeout:g} s; are its workers alive? ({error!r})") from None
    return {who if who == "the scheduler" else f"the worker {who}": answer for who, answer in said.items()}


def _backend(client: Any) -> Any:
    from joblib._dask import DaskDistributedBackend

    class Backend(DaskDistributedBackend):  # type: ignore[misc]
        """Joblib's own, which waits for ever for a batch that the cluster gave up; this one says that it is lost.

        Dask itself tries a batch whose worker died on others, three times more unless its configuration says otherwise.
        """

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(int(super().effective_n_jobs(n_jobs)), 2)  # of one, joblib would make a plain loop in this process

        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)

            def settle(done: Any) -> None:
                error = done.exception()
                if error is not None:
                    _, batch = func.items[0][1]
                    callback(Lost(f"the cluster gave up: {type(error).__name__}: {error}", batch))

            future.add_done_callback(settle)
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, BaseException):
                raise ClusterError(f"the cluster went away ({out!r}); what was finished is kept, so start again when it is back")
            return [out] if isinstance(out, Lost) else super().retrieve_result_callback(out)

    return Backend(client=client)
