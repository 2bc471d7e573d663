"""Work behind the requests, on a thread that starts in the process that serves.

No thread starts at import or construction: a server may fork after both. A forked child begins anew, with a thread of
its own and without what its parent had still to do. At exit every piece of work is finished, for 5 seconds at most.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable
from functools import cache
from time import monotonic
from weakref import WeakSet

EXIT_SECONDS = 5.0
AFTER_FAULT = 1.0

logger = logging.getLogger("patmiddleware")


class Background:
    """Do a piece of work soon after it was asked for, again and again.

    On the request's path read ``awake`` and call :meth:`wake` only where it is False: reading costs next to nothing.

    Args:
        name: of the thread.
        work: does all there is to do. It gives the seconds after which to come again, or None where nothing is left.
        forget: called in a forked child: what is still to do is the parent's.
        pause: seconds to gather before working.
        leave: called at exit where the work did not come to its end: it must hold nothing that others need to end.
    """

    __slots__ = (
        "__weakref__",
        "_done",
        "_forget",
        "_leave",
        "_name",
        "_pause",
        "_thread",
        "_turn",
        "_wanted",
        "_work",
        "_working",
        "awake",
    )

    def __init__(
        self,
        name: str,
        work: Callable[[], float | None],
        *,
        forget: Callable[[], object],
        pause: float,
        leave: Callable[[], object] | None = None,
    ) -> None:
        self._name, self._work, self._forget, self._pause, self._leave = name, work, forget, pause, leave
        self._begin()
        _watch_the_process()
        _living.add(self)

    def _begin(self) -> None:
        self.awake = False
        self._turn, self._working = threading.Condition(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = self._done = 0

    def begin_anew(self) -> None:
        """Start over in a forked child: neither the thread nor the state of a lock came along."""
        self._begin()
        self._forget()

    def wake(self) -> None:
        """See to it that the work is done after the pause. Never raises: a request waits."""
        new: threading.Thread | None = None
        with self._turn:
            if self._thread is None:
                self._thread = new = threading.Thread(target=self._run, name=self._name, daemon=True)
            self.awake = True
            self._turn.notify_all()
        if new is not None:
            self._start(new)

    def _start(self, thread: threading.Thread) -> None:
        # Without the lock: where gevent was told to patch Python only after it was made, it keeps no greenlet out.
        try:
            thread.start()
        except RuntimeError:  # the system gives no more threads, or Python is on its way out; the next wake tries again
            self._thread, self.awake = None, False
        else:
            _watch_the_end()

    def flush(self, timeout: float) -> bool:
        """Have the work done now.

        Args:
            timeout: seconds to wait for it.

        Returns:
            Whether it was done in this time; True where there was none.
        """
        with self._turn:
            if self._thread is None:
                return True
            self._wanted = mine = self._wanted + 1
            self._turn.notify_all()
            return self._turn.wait_for(lambda: self._done >= mine, timeout)

    def finish(self, timeout: float) -> None:
        """Have the work done, for the process ends; as :meth:`flush` else."""
        if not self.flush(timeout) and self._leave is not None:
            self._leave()

    def close(self, timeout: float) -> bool:
        """Have the work done now and end the thread; a later wake starts another.

        Returns:
            Whether the thread ended in this time: only then may what it works with be taken away.
        """
        deadline = monotonic() + timeout
        self.flush(timeout)
        with self._turn:
            thread, self._thread = self._thread, None
            self.awake = False
            self._turn.notify_all()
        if thread is not None and thread.ident is not None:  # else it ends as soon as it starts
            thread.join(max(0.0, deadline - monotonic()))
        return thread is None or not thread.is_alive()

    def _run(self) -> None:
        me = threading.current_thread()
        pause = self._pause
        while True:
            with self._turn:
                self._turn.wait_for(lambda: self.awake or self._hurried(me))
                self._turn.wait_for(lambda: self._hurried(me), pause)
                if self._thread is not me:
                    return
                wanted = self._wanted
            with self._working:  # one that was closed but is slow may still be at it
                pause = self._do_all()
            with self._turn:
                self._done = max(self._done, wanted)
                self._turn.notify_all()

    def _hurried(self, me: threading.Thread) -> bool:
        return self._wanted > self._done or self._thread is not me

    def _do_all(self) -> float:
        again = self._attempt()
        if again is None:
            self.awake = False
            # What came between the last look and this word has woken nobody: look once more.
            again = self._attempt()
            self.awake = self.awake or again is not None
        return self._pause if again is None else again

    def _attempt(self) -> float | None:
        try:
            return self._work()
        except Exception:  # a fault of ours must not end the thread: all that follows would be lost in silence
            logger.exception("%s: a fault in the background; trying again", self._name)
            return AFTER_FAULT


_living: WeakSet[Background] = WeakSet()


@cache
def _watch_the_process() -> None:
    if hasattr(os, "register_at_fork"):  # Windows has no fork
        os.register_at_fork(after_in_child=_begin_anew_in_child)
    atexit.register(_finish_at_exit)


@cache
def _watch_the_end() -> None:
    """Finish at the end of a child of multiprocessing, too: where it was forked it never comes to what atexit has.

    When it was forked would be too soon: what was registered by then is forgotten in the child.
    """
    # Such a child has both. Nothing is imported: a thread that forks meanwhile would take the import's lock along.
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if process is not None and util is not None and process.parent_process() is not None:
        util.Finalize(None, _finish_at_exit, exitpriority=100)  # before what the work may need is taken away


def _begin_anew_in_child() -> None:
    _watch_the_end.cache_clear()
    for background in list(_living):
        background.begin_anew()


def _finish_at_exit() -> None:
    atexit.unregister(_finish_at_exit)  # a child that was spawned would come by twice
    deadline = monotonic() + EXIT_SECONDS
    for background in list(_living):
        background.finish(max(0.0, deadline - monotonic()))
