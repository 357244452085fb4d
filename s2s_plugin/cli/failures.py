"""What the machine may run out of: memory, disk, files, permission; each is one line instead of a traceback."""

from __future__ import annotations

import errno
import re
import traceback

MEMORY = re.compile(r"bad_alloc|allocate memory|not enough memory|out of memory|failed to map segment|start new thread")
WRITER = re.compile(r"PytorchStreamWriter|inline_container|unexpected pos|file write failed")
WORKER = re.compile(r"DataLoader worker .* (killed|exited)|terminated abruptly")
FOLDERS = "set run_dir=FOLDER and prepared_dir=FOLDER to where you may write"
REMEDIES = {
    errno.ENOSPC: "free some space, and run the same command again",
    errno.EDQUOT: "free some space, and run the same command again",
    errno.EFBIG: "raise the limit of the file size (ulimit -f), and run the same command again",
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR, errno.EISDIR), FOLDERS),
    errno.EMFILE: "raise the limit of open files (ulimit -n), or set dataset.num_workers=0",
    errno.ENFILE: "raise the limit of open files, or set dataset.num_workers=0",
    errno.EIO: "check the disk",
    errno.ENAMETOOLONG: "shorten it",
    errno.ENOMEM: "see dataset.max_tokens",
}


def _is_lost_batch(error: BaseException) -> bool:
    """Return whether a worker of the data loader died while it handed over a batch."""
    frames = traceback.extract_tb(error.__traceback__)
    return isinstance(error, (EOFError, ConnectionError)) and any(
        "data/dataloader.py" in each.filename for each in frames
    )


def explain_failure(error: BaseException) -> str | None:
    """Return one line about an error of the machine, with the remedy; None for any other error."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:  # a library may wrap what happened
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    for each in causes:
        if isinstance(each, OSError) and each.errno in REMEDIES:
            where = f"{each.filename}: " if each.filename is not None else ""
            return f"{where}cannot be written or read ({each.strerror}); {REMEDIES[each.errno]}"
    text = str(error)
    if any(isinstance(each, MemoryError) or MEMORY.search(str(each)) for each in causes):
        return (
            "out of memory; lower dataset.max_tokens, set workers=1 or dataset.num_workers=0, or raise the limit of "
            "memory (ulimit -v)"
        )
    if (isinstance(error, RuntimeError) and WORKER.search(text)) or _is_lost_batch(error):
        return "a worker process of the data loader died, perhaps for lack of memory; set dataset.num_workers=0"
    if isinstance(error, RuntimeError) and WRITER.search(text):
        return f"a checkpoint cannot be written ({text.splitlines()[0][:100]}); is the disk full?"
    return None
