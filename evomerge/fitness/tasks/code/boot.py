"""The first program of an answer's own process: runs the answer and tells how it ended, as ``TOKEN passed``.

What it needs afterwards it binds beforehand, since an answer may replace whatever it can name.
"""

from __future__ import annotations

import errno
import os
import sys
import types

_ASKED, _TELL = 3, 4
_LONGEST = 300  # characters of a told error
_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_NO_MORE_FILES = (errno.EMFILE, errno.ENFILE)


def _cause(error: BaseException) -> str:
    code = getattr(error, "errno", None) if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or code == errno.ENOMEM:
        return "memory"
    if code == errno.EAGAIN or (isinstance(error, RuntimeError) and "start new thread" in str(error)):
        return "processes"
    if code in _NO_SPACE:
        return "disk"
    if code in _NO_MORE_FILES:
        return "files"
    if isinstance(error, SystemExit | KeyboardInterrupt | GeneratorExit):
        return "ended"
    return "failed" if isinstance(error, AssertionError) else "error"


def _told(error: BaseException) -> str:
    cause = _cause(error)
    try:
        text = str(error)
    except BaseException:  # an answer's own exception
        text = ""
    line = (text.strip() or "no message").splitlines()[0] if text.strip() else ""
    name = type(error).__name__
    return f"{cause} {name}{': ' + line if line else ''}"[:_LONGEST]


def _run(module: types.ModuleType) -> str:
    try:
        with open("/program", encoding="utf-8") as file:
            text = file.read()
        exec(compile(text, "answer", "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        error.__traceback__ = None  # what its frames hold may be all of the memory
        return _told(error)
    return "passed"


def _main() -> None:
    write, leave, process = os.write, os._exit, os.getpid
    token, me = os.read(_ASKED, 64), process()
    sys.path.append("/packages")
    # As a module that is imported: code under ``if __name__ == "__main__"`` is not what is tested.
    module = types.ModuleType("answer")
    sys.modules["answer"] = module
    said = _run(module)
    if process() == me:  # and not a child that an answer has forked
        write(_TELL, token + b" " + said.encode("utf-8", "replace"))
    leave(0)


if __name__ == "__main__":  # its text is the command of a Python of its own
    _main()
