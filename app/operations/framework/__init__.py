"""The framework of operations: context, write results, idempotency, pagination, audit log."""
