def page(graph): return ""
