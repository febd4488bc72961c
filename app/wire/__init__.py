"""What both doors say and read in the same way: JSON, inputs, problems, credentials, the edge.

Nothing here decides what may be done; it turns bytes and headers into what the use cases take, and
errors of the catalogue into the problem object of RFC 9457.
"""
