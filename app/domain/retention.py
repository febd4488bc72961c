"""Retention periods: when rows that have ended are deleted."""

from datetime import timedelta

# Rows are deleted this long after they ended, so that a temporarily wrong clock loses no data
# (docs/reliability.md).
GRACE = timedelta(days=1)
# An expired access key stays in its owner's list for this time.
EXPIRED_KEY_KEPT_FOR = timedelta(days=30)
# A dead outbox message can be requeued for this time.
DEAD_MESSAGE_KEPT_FOR = timedelta(days=90)
