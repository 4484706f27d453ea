"""How fast this computer reads its memory: what bounds decoding, which reads all weights a token.

Run as a module with a number of threads it prints gigabytes a second, so that its buffers count
in no other process's memory.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_BYTES = 256 << 20  # of a thread's buffer: more than any cache holds
_TRIES = 4


def measured(threads: int) -> float:
    """The fastest of a few readings of a buffer by each thread, in GB/s of all together."""
    buffers = [np.ones(_BYTES // 4, np.float32) for _ in range(threads)]

    def read(buffer: "np.ndarray[tuple[int], np.dtype[np.float32]]") -> float:
        return float(buffer @ buffer)

    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(_TRIES):
            start = time.perf_counter()
            list(pool.map(read, buffers))
            best = max(best, threads * _BYTES / (time.perf_counter() - start) / 1e9)
    return best


if __name__ == "__main__":
    print(measured(int(sys.argv[1])))
