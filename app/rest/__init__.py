"""The REST door: what the panel's admins and the chat's users call over plain HTTP.

To give an operation a route: an endpoint of a few lines in the file of its readers, under
`@door.route(method, path, operation, ...)`. It appears at `/…` and under `/api`, and in the
OpenAPI document, by that line alone.
"""
