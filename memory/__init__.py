if __name__ != "wisen.memory":
    raise ImportError("import this package as 'wisen.memory', not as 'memory'")
