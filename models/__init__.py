if __name__ != "wisen.models":
    raise ImportError("import this package as 'wisen.models', not as 'models'")
