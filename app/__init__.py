"""What a person touches: the command line, the report."""

if __name__ != "wisen.app":
    raise ImportError("import this package as 'wisen.app', not as 'app'")
