"""The agent as a LangGraph graph, and the parts that another graph can use."""

if __name__ != "wisen.agent":
    raise ImportError("import this package as 'wisen.agent', not as 'agent'")
