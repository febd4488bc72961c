"""The panel admins' routes: servers and guilds of the embedded registry."""

from app.rest.answers import does, puts, shows
from app.rest.door import Door

door = Door()

shows(door, "GET", "/servers", "admin.servers.list")
puts(door, "/servers/{uuid}", "admin.servers.put", "Created.", "Replaced.")
does(door, "DELETE", "/servers/{uuid}", "admin.servers.delete")

shows(door, "GET", "/guilds", "admin.guilds.list")
puts(door, "/guilds/{id}", "admin.guilds.put", "Created.", "Replaced.")
does(door, "DELETE", "/guilds/{id}", "admin.guilds.delete")

puts(
    door,
    "/guilds/{id}/members/{user}",
    "admin.guilds.members.put",
    "The account is a member now.",
    "The account was a member already.",
)
does(door, "DELETE", "/guilds/{id}/members/{user}", "admin.guilds.members.delete")
