"""What Gatehouse is held against; each runs in a process of its own."""
