"""One repository per port of the domain, on both engines."""
