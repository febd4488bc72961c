"""Ports: the interfaces that the domain and the operations need from outside."""
