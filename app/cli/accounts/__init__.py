"""Commands for accounts and their access keys: `gatehouse users`, `gatehouse keys`."""
