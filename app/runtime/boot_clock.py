"""Clock for the leases that this process holds."""

import time

# CLOCK_MONOTONIC stops on Linux while the machine is suspended (clock_gettime(2)), so the holder
# would trust a lease that has ended for everyone else.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boottime() -> float:
    """Return the seconds since the machine was booted; unaffected by changes of the time."""
    return time.clock_gettime(_CLOCK)
