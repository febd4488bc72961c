"""The REST door: what the panel's admins and the chat's users call over plain HTTP.

To give an operation a route: a row in the file of its readers, `shows(...)`, `does(...)` or
`puts(...)` where its answer is of a common kind, else an endpoint of a few lines under
`@door.route(...)`. It appears at `/…` and under `/api`, and in the OpenAPI document, by that alone.
"""
