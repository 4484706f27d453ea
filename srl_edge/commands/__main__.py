"""Prints docs/verbs.md."""

from srl_edge.commands.listing import page

if __name__ == "__main__":
    print(page(), end="")
