"""Where an artifact runs, and what is measured there (imported as srl_edge.devices)."""

if __name__ != "srl_edge.devices":
    raise ImportError("import srl_edge.devices, not devices")
