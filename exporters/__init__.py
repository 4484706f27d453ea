"""From an adapter to artifacts that answer as trained (imported as srl_edge.exporters)."""

if __name__ != "srl_edge.exporters":
    raise ImportError("import srl_edge.exporters, not exporters")
