"""Training stages over one loop, and the backends that run them (imported as srl_edge.trainers)."""

if __name__ != "srl_edge.trainers":
    raise ImportError("import srl_edge.trainers, not trainers")
