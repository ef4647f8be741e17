if __name__ != "wisen.app":
    raise ImportError("import this package as 'wisen.app', not as 'app'")
