if __name__ != "wisen.core":
    raise ImportError("import this package as 'wisen.core', not as 'core'")
