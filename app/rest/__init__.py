"""The REST API: path operations on one `APIRouter` a subject.

To give an operation a route, write a path operation in the module of its subject and name it after
the operation: `@router.get("/users/@self/keys", name="keys.list", response_model=…)`. Take
`perform: Perform` to perform it, and `command: <its input dataclass>` to have its input read from
path, headers, and body or query. The route also exists below `/api`, and in the OpenAPI document.
"""
