"""HTTP for both APIs: JSON, parameters, problems, credentials and middleware.

Nothing here decides permissions. It turns bytes and headers into the inputs of operations, and
errors of the catalogue into problem objects (RFC 9457).
"""
