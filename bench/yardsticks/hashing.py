"""argon2-cffi alone: `python -m bench.yardsticks.hashing HASH PASSWORD SECONDS`.

Prints the verifications per second of one thread, and the microseconds of CPU time of each.
The hash contains the parameters.
"""

import sys
from time import perf_counter, process_time

from argon2 import PasswordHasher


def main(hashed: str, password: str, seconds: str) -> None:
    hasher = PasswordHasher()
    hasher.verify(hashed, password)
    done, started, used = 0, perf_counter(), process_time()
    while (elapsed := perf_counter() - started) < float(seconds):
        hasher.verify(hashed, password)
        done += 1
    print(done / elapsed, (process_time() - used) / done * 1e6)


if __name__ == "__main__":
    main(*sys.argv[1:])
