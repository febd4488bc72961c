"""Views: the representations of results that the contract defines."""
