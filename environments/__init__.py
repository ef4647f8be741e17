if __name__ != "wisen.environments":
    raise ImportError("import this package as 'wisen.environments', not as 'environments'")
