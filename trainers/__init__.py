if __name__ != "wisen.trainers":
    raise ImportError("import this package as 'wisen.trainers', not as 'trainers'")
