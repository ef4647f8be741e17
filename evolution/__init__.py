"""The loop: panels, the gate, releases, cycles."""

if __name__ != "wisen.evolution":
    raise ImportError("import this package as 'wisen.evolution', not as 'evolution'")
